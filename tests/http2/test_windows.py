"""Windows: the RFC's arithmetic, and what h2's two endpoints say of theirs."""

from struct import pack

import h2.config
import h2.connection
import hpack
import pytest

from goproxy_ebpf.http2.names import PREFACE
from goproxy_ebpf.records.flow import Plaintext, PlaintextGap
from goproxy_ebpf.records.log import Frame, WindowChange

from .talk import GET, OK, RECV, SEND, Talk, frame, run


def update(stream: int, increment: int) -> bytes:
    return frame(8, 0, stream, pack(">I", increment))


def setting(number: int, value: int) -> bytes:
    return frame(4, 0, 0, pack(">HI", number, value))


GO = PREFACE + frame(4, 0, 0, pack(">HIHIHI", 2, 0, 4, 4_194_304, 6, 10_485_760)) + update(0, 1_073_741_824)


def windows(*pieces) -> list:
    """(dir, type, stream, window) of the frames that have one; ``pieces`` are (direction, bytes), in time order."""
    events = [Plaintext(direction, 1 + number, data) for number, (direction, data) in enumerate(pieces)]
    frames = [each for each in run(events) if isinstance(each, Frame)]
    return [(each.dir, each.type, each.stream, each.window) for each in frames if each.window is not None]


def start(direction=SEND) -> list:
    encoder = hpack.Encoder()
    return [
        (direction, GO + frame(1, 5, 1, encoder.encode(GET)) + frame(1, 4, 3, encoder.encode(GET))),
        (direction.other, frame(4, 0, 0) + frame(1, 4, 1, hpack.Encoder().encode(OK))),
    ]


def test_go_s_grants_and_what_the_server_takes_of_them():
    found = windows(
        *start(),
        (RECV, frame(0, 0, 1, b"x" * 16_384)),
        (RECV, frame(0, 8, 1, b"\3" + b"x" * 96 + b"\0" * 3)),
        (SEND, update(1, 32_768) + update(0, 32_768)),
        (RECV, frame(0, 1, 1)),
        (SEND, update(1, 7)),
    )
    assert found == [
        ("send", "WINDOW_UPDATE", 0, WindowChange(conn=(65_535, 1_073_807_359))),
        ("recv", "DATA", 1, WindowChange((1_073_807_359, 1_073_790_975), (4_194_304, 4_177_920))),
        ("recv", "DATA", 1, WindowChange((1_073_790_975, 1_073_790_875), (4_177_920, 4_177_820))),
        ("send", "WINDOW_UPDATE", 1, WindowChange(stream=(4_177_820, 4_210_588))),
        ("send", "WINDOW_UPDATE", 0, WindowChange(conn=(1_073_790_875, 1_073_823_643))),
        ("recv", "DATA", 1, WindowChange((1_073_823_643, 1_073_823_643), (4_210_588, 4_210_588))),
    ]


def test_the_traced_process_may_be_the_server():
    found = windows(*start(RECV), (SEND, frame(0, 0, 1, b"x" * 10)), (RECV, update(1, 5)))
    assert found == [
        ("recv", "WINDOW_UPDATE", 0, WindowChange(conn=(65_535, 1_073_807_359))),
        ("send", "DATA", 1, WindowChange((1_073_807_359, 1_073_807_349), (4_194_304, 4_194_294))),
        ("recv", "WINDOW_UPDATE", 1, WindowChange(stream=(4_194_294, 4_194_299))),
    ]


def test_a_change_of_the_initial_size_moves_open_streams_by_the_difference_even_below_zero():
    found = windows(
        *start(),
        (SEND, frame(0, 0, 3, b"x" * 60_000)),
        (RECV, setting(4, 16_384)),
        (SEND, frame(0, 1, 3)),
        (RECV, update(3, 50_000)),
    )
    assert found[1:] == [
        ("send", "DATA", 3, WindowChange((65_535, 5535), (65_535, 5535))),
        ("send", "DATA", 3, WindowChange((5535, 5535), (-43_616, -43_616))),
        ("recv", "WINDOW_UPDATE", 3, WindowChange(stream=(-43_616, 6384))),
    ]


def test_a_closed_stream_has_no_window_but_its_data_counts_for_the_connection():
    found = windows(
        *start(),
        (SEND, frame(3, 0, 1, pack(">I", 8))),
        (RECV, frame(0, 0, 1, b"x" * 100)),
        (SEND, update(1, 100) + update(9, 100) + update(0, 100)),
    )
    assert found[1:] == [
        ("recv", "DATA", 1, WindowChange(conn=(1_073_807_359, 1_073_807_259))),
        ("send", "WINDOW_UPDATE", 0, WindowChange(conn=(1_073_807_259, 1_073_807_359))),
    ]


def test_windows_are_unknown_once_bytes_are_missing():
    events = [Plaintext(direction, 1 + number, data) for number, (direction, data) in enumerate(start())]
    events += [PlaintextGap(RECV, 5, 100, "lost"), Plaintext(SEND, 6, update(0, 5) + update(1, 5))]
    frames = [each for each in run(events) if isinstance(each, Frame) and each.type == "WINDOW_UPDATE"]
    assert [each.window for each in frames] == [WindowChange(conn=(65_535, 1_073_807_359)), None, None]


@pytest.mark.parametrize("client", [SEND, RECV])
def test_the_windows_of_two_h2_endpoints_are_those_of_the_ledger(client):
    talk = Talk(client)
    talk.client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    talk.client.local_settings.initial_window_size = 100_000
    talk.start()
    told = []
    stream = talk.client.get_next_available_stream_id()
    talk.client.send_headers(stream, [(":method", "POST"), *GET[1:]])
    talk.flush()
    talk.server.send_headers(stream, OK[:2])
    talk.flush()
    for number, size in enumerate((1, 16_384, 5000, 0, 16_000, 9999)):
        talk.server.send_data(stream, b"x" * size, pad_length=(None, 9)[number % 2 and size < 16_000])
        talk.flush()
        told.append(talk.server.local_flow_control_window(stream))
        talk.client.send_data(stream, b"y" * size)
        talk.flush()
        told.append(talk.client.local_flow_control_window(stream))
        if size:
            talk.client.increment_flow_control_window(size, stream)
            talk.server.increment_flow_control_window(size)
        if number == 3:
            talk.server.update_settings({4: 50_000})
        talk.flush()
    found = [
        min(each.window.conn[1], each.window.stream[1])
        for each in run(talk.events)
        if isinstance(each, Frame) and each.type == "DATA"
    ]
    assert found == told

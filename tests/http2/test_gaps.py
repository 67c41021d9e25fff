"""Missing bytes: nothing is decoded across them, and frames are found again only where that is provable."""

import random

import pytest

from goproxy_ebpf.http2 import Http
from goproxy_ebpf.http2.resync import Resync
from goproxy_ebpf.records.flow import Plaintext, PlaintextEnd, PlaintextGap
from goproxy_ebpf.records.log import Exchange, Frame, Gap

from .talk import RECV, SEND, frame, run, split
from .test_exchanges import Wire

NOISE = random.Random(7).randbytes(40_000)


def wire_with_open_stream() -> Wire:
    wire = Wire()
    wire.ask()
    wire.answer()
    return wire


def after_gap(wire: Wire, *data: bytes) -> list:
    """The records of RECV behind 1000 bytes that are missing, each of ``data`` a piece."""
    outs = []
    for size in (1 << 20, 1):
        http = Http(1)
        for event in split(wire.events, size):
            list(http.feed(event))
        out = list(http.feed(PlaintextGap(RECV, 50, 1000, "lost")))
        for event in split([Plaintext(RECV, 51 + number, each) for number, each in enumerate(data)], size):
            out += http.feed(event)
        outs.append(out + list(http.finish(99)))
    assert outs[0] == outs[1]
    return [each for each in outs[0] if not isinstance(each, Exchange)]


def brief(records: list) -> list:
    return [
        (each.time_ns, each.type, each.length, each.confidence)
        if isinstance(each, Frame)
        else (each.time_ns, each.layer, each.length, each.reason)
        for each in records
    ]


def test_frames_go_on_where_three_headers_fit_and_the_first_is_marked():
    data = NOISE[:3000] + frame(0, 0, 1, b"x" * 700) + frame(0, 0, 1, b"y" * 800)
    rest = frame(6, 0, 0, b"12345678") + frame(0, 1, 1)
    assert brief(after_gap(wire_with_open_stream(), data, rest)) == [
        (50, "http2", 1000, "lost"),
        (52, "http2", 3000, "lost: skipped to a frame's start"),
        (51, "DATA", 700, "gap"),
        (51, "DATA", 800, "full"),
        (52, "PING", 8, "full"),
        (52, "DATA", 0, "full"),
    ]


def test_two_headers_prove_nothing():
    data = NOISE[:3000] + frame(0, 0, 1, b"x" * 700) + frame(0, 0, 1, b"y" * 800)
    assert brief(after_gap(wire_with_open_stream(), data)) == [
        (50, "http2", 1000, "lost"),
        (99, "http2", len(data), "end of the run: no frame found"),
    ]


def test_what_was_unfinished_before_the_gap_is_counted():
    wire = wire_with_open_stream()
    wire.recv(frame(0, 0, 1, b"x" * 700)[:209])
    assert brief(after_gap(wire)) == [
        (50, "http2", 1000, "lost"),
        (50, "http2", 209, "lost: the unfinished frame before it"),
    ]


@pytest.mark.parametrize(
    "chain",
    [
        frame(0, 0, 3, b"x") * 4,  # a stream that was never opened
        frame(0, 2, 1, b"x") * 4,  # a flag that DATA does not have
        frame(0, 0, 1, b"x" * 16_385) * 4,  # longer than the server may send
        frame(0xB, 0, 0, b"x") * 4,  # a type that RFC 9113 does not have
        frame(9, 4, 1, b"x") * 4,  # CONTINUATION of nothing
        frame(1, 0, 1, b"x") + frame(0, 0, 1, b"x") * 2,  # a header block that does not go on
        frame(8, 0, 0, b"x" * 5) * 4,  # WINDOW_UPDATE has 4 bytes
        frame(4, 0, 0, b"x" * 7) * 4,  # SETTINGS have 6 bytes each
        frame(7, 0, 0, b"x" * 7) * 4,  # GOAWAY has at least 8
        frame(0, 8, 1) * 4,  # no room for the Pad Length
        frame(6, 0, 1, b"x" * 8) * 4,  # PING is on stream 0
        b"\0" * 5000,
        NOISE,
    ],
    ids=lambda value: value[:9].hex(),
)
def test_a_chain_that_is_not_plausible_in_every_field_is_skipped(chain):
    assert brief(after_gap(wire_with_open_stream(), chain)) == [
        (50, "http2", 1000, "lost"),
        (99, "http2", len(chain), "end of the run: no frame found"),
    ]


def test_header_lists_behind_a_gap_are_unknown_in_its_direction_only():
    wire = wire_with_open_stream()
    wire.events.append(PlaintextGap(RECV, 50, 1000, "lost"))
    wire.ask(3)
    wire.recv(frame(0, 1, 1, b"x") + frame(6, 0, 0, b"12345678"))
    wire.answer(3, flags=5)
    heads = [each for each in run(wire.events) if isinstance(each, Frame) and each.type == "HEADERS"]
    assert [(each.dir, each.headers is None, each.confidence) for each in heads] == [
        ("send", False, "full"),
        ("recv", False, "full"),
        ("send", False, "full"),
        ("recv", True, "hpack-unknown"),
    ]


def test_a_block_cut_by_a_gap_is_given_out_without_its_list():
    wire = Wire()
    wire.ask()
    wire.answer(flags=0)
    frames = [each for each in after_gap(wire) if isinstance(each, Frame)]
    assert [(each.type, each.headers, each.confidence, each.note) for each in frames] == [
        ("HEADERS", None, "hpack-unknown", "RFC 9113 §6.10: the header block's end is missing")
    ]


def test_an_end_inside_a_frame_is_a_gap_of_what_was_seen_of_it():
    wire = wire_with_open_stream()
    wire.recv(frame(0, 0, 1, b"x" * 500)[:100])
    wire.events.append(PlaintextEnd(RECV, 7))
    gaps = [each for each in run(wire.events) if isinstance(each, Gap)]
    assert gaps == [Gap(7, "http2", 100, "end of the direction: ended inside a frame", conn=1, dir="recv")]


def test_a_connection_joined_late_is_found_by_five_headers_and_has_no_windows_and_no_lists():
    data = NOISE[:500] + frame(0, 0, 77, b"x" * 100) * 4 + frame(0, 1, 77, b"x") + frame(1, 4, 79, b"\xbe")
    events = [
        Plaintext(RECV, 1, data),
        Plaintext(SEND, 2, (frame(8, 0, 77, b"\0\0\1\0") + frame(8, 0, 0, b"\0\0\1\0")) * 3),
    ]
    records = run(events, finish_ns=9)
    assert records == run(split(events, 1), finish_ns=9)
    assert [(each.dir, each.type, each.confidence, each.window) for each in records if isinstance(each, Frame)] == [
        ("recv", "DATA", "gap", None),
        *[("recv", "DATA", "full", None)] * 4,
        ("recv", "HEADERS", "hpack-unknown", None),
        ("send", "WINDOW_UPDATE", "gap", None),
        *[("send", "WINDOW_UPDATE", "full", None)] * 5,
    ]
    assert [
        (each.stream, each.state, each.confidence, each.response_bytes)
        for each in records
        if isinstance(each, Exchange)
    ] == [
        (77, "complete", "gap", 401),
        (79, "cut", "gap", 0),
    ]
    assert [each.length for each in records if isinstance(each, Gap)] == [500]


def test_a_gap_in_the_preface_leaves_the_client_late_and_the_server_whole():
    whole = wire_with_open_stream()
    events = [PlaintextGap(SEND, 1, 500, "lost"), *[each for each in whole.events if each.direction is RECV]]
    records = run(events, finish_ns=9)
    heads = [each for each in records if isinstance(each, Frame)]
    assert [(each.type, each.headers is None) for each in heads] == [("SETTINGS", True), ("HEADERS", False)]
    assert [(each.state, each.status, each.confidence) for each in records if isinstance(each, Exchange)] == [
        ("cut", 200, "gap")
    ]


def test_a_gap_behind_the_end_of_a_side_does_not_taint_it():
    wire = Wire()
    wire.ask()
    wire.events.append(PlaintextGap(SEND, 4, 1000, "lost"))
    wire.answer(flags=5)
    found = [each for each in run(wire.events) if isinstance(each, Exchange)]
    assert [(each.state, each.path, each.confidence) for each in found] == [("complete", "/a/@v/list", "full")]


def test_nothing_waits_for_a_side_that_was_joined_late():
    http = Http(1)
    out = [*http.feed(Plaintext(RECV, 1, frame(4, 0, 0))), *http.feed(PlaintextGap(SEND, 2, 10, "lost"))]
    out += http.feed(Plaintext(RECV, 3, frame(4, 1, 0)))
    assert [(each.dir, each.type) for each in out if isinstance(each, Frame)] == [("recv", "SETTINGS")] * 2


def test_frames_are_found_behind_a_gap_wherever_the_bytes_are_split():
    """Three empty SETTINGS: with only the first bytes there, the second looks like the start of a DATA header."""
    three = bytes.fromhex("000000040000000000") * 3
    found = {}
    for step in (1, 2, 5, 8, 27):
        resync = Resync(lambda *_: True, 16_384, 3)
        for at in range(0, len(three), step):
            resync.feed(three[at : at + step], 1)
        found[step] = (resync.found, resync.skipped, b"".join(piece for piece, _ in resync.take()))
    assert found == dict.fromkeys(found, (True, 0, three))

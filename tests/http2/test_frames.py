"""Frames: against hyperframe's, hpack's and h2's own output."""

import hpack
import hyperframe.frame as hf
import pytest

from goproxy_ebpf.http2.names import PREFACE
from goproxy_ebpf.records.flow import Plaintext
from goproxy_ebpf.records.log import Exchange, Frame, Gap

from .talk import GET, OK, RECV, SEND, Talk, frame, joined, run, split

EMPTY_SETTINGS = frame(4, 0, 0)
CLIENT = Plaintext(SEND, 1, PREFACE + EMPTY_SETTINGS)
SERVER = Plaintext(RECV, 2, EMPTY_SETTINGS)


def one(data: bytes, direction=RECV) -> Frame:
    """The only record that ``data`` adds to a fresh connection's."""
    out = [record for record in run([CLIENT, SERVER, Plaintext(direction, 3, data)]) if isinstance(record, Frame)]
    assert len(out) == 3
    return out[2]


def told_by_hyperframe(talk: Talk) -> list:
    """(direction, type, stream, length) of all that passed, cut by hyperframe."""
    told = []
    for direction in (SEND, RECV):
        data = b"".join(event.data for event in talk.events if event.direction is direction)
        data = data.removeprefix(PREFACE)
        while data:
            parsed, length = hf.Frame.parse_frame_header(memoryview(data[:9]))
            name = type(parsed).__name__.removesuffix("Frame")
            told.append((direction.value, name, parsed.stream_id, length, frozenset(parsed.flags)))
            data = data[9 + length :]
    return sorted(told, key=str)


def ours(records: list) -> list:
    short = {
        "RST_STREAM": "RstStream",
        "GOAWAY": "GoAway",
        "WINDOW_UPDATE": "WindowUpdate",
        "PUSH_PROMISE": "PushPromise",
    }
    return sorted(
        (
            (each.dir, short.get(each.type, each.type.capitalize()), each.stream, each.length, frozenset(each.flags))
            for each in records
            if isinstance(each, Frame)
        ),
        key=str,
    )


def long_talk(client=SEND) -> Talk:
    """All ten types, trailers, a push, a reset, padding, priority, a header block in several CONTINUATIONs."""
    talk = Talk(client).start()
    talk.get()
    stream = talk.client.get_next_available_stream_id()
    talk.client.send_headers(stream, GET, end_stream=True, priority_weight=200, priority_depends_on=1)
    talk.flush()
    talk.server.push_stream(stream, 2, [*GET[:3], (":path", "/pushed")])
    talk.server.send_headers(2, OK)
    talk.server.send_data(2, b"puppy", pad_length=7)
    talk.server.send_data(2, b"", end_stream=True)
    talk.server.send_headers(stream, [(":status", "103"), ("link", "x")])
    talk.server.send_headers(stream, [*OK[:2], ("x-long", "y" * 40_000), ("x-longer", "z" * 20_000)])
    talk.server.send_data(stream, b"x" * 16_384)
    talk.flush()
    talk.client.increment_flow_control_window(16_384)
    talk.client.increment_flow_control_window(16_384, stream)
    talk.client.ping(b"12345678")
    talk.flush()
    talk.server.send_headers(stream, [("x-checksum", "1")], end_stream=True)
    talk.flush()
    stream = talk.client.get_next_available_stream_id()
    talk.client.send_headers(stream, [(":method", "POST"), *GET[1:]])
    talk.client.send_data(stream, b"body")
    talk.client.prioritize(stream, weight=16)
    talk.flush()
    talk.server.update_settings({4: 100_000, 1: 0})
    talk.flush()
    talk.client.reset_stream(stream, 8)
    talk.get()
    talk.server.close_connection(2, b"debug data", last_stream_id=stream)
    talk.flush()
    return talk


@pytest.mark.parametrize("client", [SEND, RECV])
def test_frames_of_a_whole_conversation_are_those_that_hyperframe_cuts(client):
    talk = long_talk(client)
    records = run(talk.events)
    assert ours(records) == told_by_hyperframe(talk)
    assert {each.type for each in records if isinstance(each, Frame)} == {
        *("DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE"),
        "CONTINUATION",
    }
    assert not [each for each in records if isinstance(each, Gap)]
    notes = {each.note for each in records if isinstance(each, Frame)}
    assert notes == {"", "interim response, RFC 9110 §15.2"}


def test_header_lists_of_a_whole_conversation_are_those_that_h2_decoded():
    talk = long_talk()
    blocks = ("RequestReceived", "ResponseReceived", "TrailersReceived", "InformationalResponseReceived")
    told = []
    for direction, events in (("send", talk.server_events), ("recv", talk.client_events)):
        for event in events:
            if type(event).__name__ in blocks:
                told.append((direction, event.stream_id, [(n.decode(), v.decode()) for n, v in event.headers]))
            elif type(event).__name__ == "PushedStreamReceived":
                told.append((direction, event.parent_stream_id, [(n.decode(), v.decode()) for n, v in event.headers]))
    found = [
        (each.dir, each.stream, list(each.headers))
        for each in run(talk.events)
        if isinstance(each, Frame) and each.headers is not None
    ]
    assert sorted(found) == sorted(told)
    assert len(found) == 11


@pytest.mark.parametrize("size", [1, 2, 5, 9, 10, 23, 4096])
def test_every_split_gives_the_same_records(size):
    talk = long_talk()
    assert run(split(talk.events, size)) == run(talk.events)


def test_several_frames_in_one_piece_give_the_same_frames_with_its_time():
    talk = long_talk()
    whole = [Plaintext(event.direction, 7, event.data) for event in talk.events]
    assert run(joined(whole)) == run(whole) == run(split(whole, 3))


def test_a_frame_has_the_time_of_the_piece_that_completed_it():
    data = frame(0, 1, 1, b"x" * 100)
    pieces = [Plaintext(RECV, 10 + n, data[n * 20 : n * 20 + 20]) for n in range(6)]
    frames = [each for each in run([CLIENT, SERVER, *pieces]) if isinstance(each, Frame)]
    assert [(each.type, each.time_ns) for each in frames] == [("SETTINGS", 1), ("SETTINGS", 2), ("DATA", 15)]


def test_extension_frames_have_their_names_or_numbers_and_only_their_length():
    kinds = {0xA: "ALTSVC", 0xC: "ORIGIN", 0x10: "PRIORITY_UPDATE", 0xB: "0x0b", 0xFF: "0xff"}
    for number, name in kinds.items():
        assert one(frame(number, 0x41, 0, b"abc")) == Frame(
            n=0, time_ns=3, conn=1, dir="recv", stream=0, type=name, length=3, flags=("0x01", "0x40")
        )


def test_flags_settings_and_errors_have_their_names_and_unknown_ones_hex():
    assert one(frame(0, 0x69, 0x80000001, b"\2abcde")).flags == ("END_STREAM", "PADDED", "0x20", "0x40")
    ids = (1, 2, 3, 4, 5, 6, 8, 9, 0x1A)
    payload = b"".join(number.to_bytes(2, "big") + (16_384 + number).to_bytes(4, "big") for number in ids)
    assert one(frame(4, 0, 0, payload)).settings == {
        "HEADER_TABLE_SIZE": 16_385,
        "ENABLE_PUSH": 16_386,
        "MAX_CONCURRENT_STREAMS": 16_387,
        "INITIAL_WINDOW_SIZE": 16_388,
        "MAX_FRAME_SIZE": 16_389,
        "MAX_HEADER_LIST_SIZE": 16_390,
        "ENABLE_CONNECT_PROTOCOL": 16_392,
        "NO_RFC7540_PRIORITIES": 16_393,
        "0x1a": 16_410,
    }
    assert one(frame(4, 1, 0)).settings is None
    goaway = one(frame(7, 0, 0, b"\x80\0\7\xcf\0\0\0\x0d" + b"bye"))
    assert (goaway.last_stream, goaway.error, goaway.length) == (1999, "HTTP_1_1_REQUIRED", 11)
    assert one(frame(3, 0, 1, b"\0\0\0\x0e")).error == "0x0e"
    assert one(frame(6, 1, 0, b"\0\1\2\3\4\5\6\7")).data == "0001020304050607"
    assert one(frame(2, 0, 3, b"\x80\0\0\1\x0f")).priority == (1, 16, True)


def test_reserved_bits_are_ignored():
    update = one(frame(8, 0, 0x80000000, b"\x80\0\1\0"))
    assert (update.stream, update.increment, update.note) == (0, 256, "")
    assert one(frame(0, 0, 0x80000001, b"x")).stream == 1
    promise = one(frame(5, 4, 1, b"\x80\0\0\2" + hpack.Encoder().encode(GET)))
    assert (promise.promised_stream, promise.headers) == (2, tuple(GET))


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (frame(0, 0, 0, b"x"), "RFC 9113 §6.1"),
        (frame(0, 8, 1, b""), "RFC 9113 §6.1"),
        (frame(0, 8, 1, b"\4abc"), "RFC 9113 §6.1"),
        (frame(1, 4, 0, b"\x82"), "RFC 9113 §6.2"),
        (frame(1, 0x2C, 1, b"\1\0\0\0\0\1"), "RFC 9113 §6.2"),
        (frame(1, 0x24, 1, b"\0\0"), "RFC 9113 §6.2"),
        (frame(1, 0x0C, 1, b"\2\x82"), "RFC 9113 §6.2"),
        (frame(2, 0, 1, b"\0" * 4), "RFC 9113 §6.3"),
        (frame(2, 0, 1, b"\0" * 6), "RFC 9113 §6.3"),
        (frame(2, 0, 0, b"\0" * 5), "RFC 9113 §6.3"),
        (frame(3, 0, 1, b"\0" * 3), "RFC 9113 §6.4"),
        (frame(3, 0, 0, b"\0" * 4), "RFC 9113 §6.4"),
        (frame(4, 0, 1), "RFC 9113 §6.5"),
        (frame(4, 0, 0, b"\0" * 7), "RFC 9113 §6.5"),
        (frame(4, 1, 0, b"\0" * 6), "RFC 9113 §6.5"),
        (frame(4, 0, 0, b"\0\4\x80\0\0\0"), "RFC 9113 §6.5.2"),
        (frame(5, 4, 1, b"\0\0"), "RFC 9113 §6.6"),
        (frame(5, 4, 1, b"\0\0\0\3"), "RFC 9113 §6.6"),
        (frame(5, 0xC, 1, b"\1\0\0\0\2"), "RFC 9113 §6.6"),
        (frame(6, 0, 0, b"\0" * 7), "RFC 9113 §6.7"),
        (frame(6, 0, 1, b"\0" * 8), "RFC 9113 §6.7"),
        (frame(7, 0, 0, b"\0" * 7), "RFC 9113 §6.8"),
        (frame(7, 0, 1, b"\0" * 8), "RFC 9113 §6.8"),
        (frame(8, 0, 0, b"\0" * 3), "RFC 9113 §6.9"),
        (frame(8, 0, 0, b"\0" * 4), "RFC 9113 §6.9"),
        (frame(8, 0, 0, b"\0" * 5), "RFC 9113 §6.9"),
        (frame(8, 0, 0, b"\x7f\xff\xff\xff"), "RFC 9113 §6.9.1"),
        (frame(9, 4, 1, b"\x82"), "RFC 9113 §6.10"),
        (frame(1, 4, 1, b"x" * 20_000), "RFC 9113 §4.2"),
        (frame(0, 0, 1, b"x" * 20_000), "RFC 9113"),
        (frame(1, 4, 1, b"x" * (1 << 20) + b"x"), "RFC 9113 §6.2"),
        (frame(0xEE, 0, 1, b"x" * (1 << 20) + b"x"), "RFC 9113 §4.2"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[:12].hex(),
)
def test_a_frame_that_breaks_a_rule_is_a_frame_with_the_section(data, note):
    broken = one(data)
    assert broken.note.startswith(note)
    assert broken.length == len(data) - 9
    rest = [CLIENT, SERVER, Plaintext(RECV, 3, data + frame(6, 0, 0, b"12345678"))]
    for events in (rest, split(rest, 1 if len(data) < 1000 else 1000)):
        assert [each for each in run(events) if isinstance(each, Frame)][2:] == [
            broken,
            Frame(n=0, time_ns=3, conn=1, dir="recv", stream=0, type="PING", length=8, data=b"12345678".hex()),
        ]


def test_padding_may_leave_an_empty_fragment():
    padded = one(frame(1, 0x0D, 1, b"\3\0\0\0"))
    assert (padded.headers, padded.padding, padded.note) == ((), 3, "")


def test_a_block_in_continuations_stands_on_its_headers_frame_with_that_frame_s_time():
    block = hpack.Encoder().encode(OK)
    data = [
        Plaintext(SEND, 3, frame(1, 5, 1, hpack.Encoder().encode(GET))),
        Plaintext(RECV, 4, frame(1, 1, 1, block[:3])),
        Plaintext(RECV, 5, frame(9, 0, 1, block[3:4])),
        Plaintext(RECV, 6, frame(9, 4, 1, block[4:])),
    ]
    records = run([CLIENT, SERVER, *data])[3:]
    base = {"n": 0, "conn": 1, "dir": "recv", "stream": 1}
    assert records[:3] == [
        Frame(**base, time_ns=4, type="HEADERS", length=3, flags=("END_STREAM",), headers=tuple(OK)),
        Frame(**base, time_ns=5, type="CONTINUATION", length=1),
        Frame(**base, time_ns=6, type="CONTINUATION", length=len(block) - 4, flags=("END_HEADERS",)),
    ]
    assert (records[3].state, records[3].first_byte_ns, records[3].end_ns) == ("complete", 4, 4)


def test_a_broken_or_interrupted_block_makes_all_later_ones_of_its_direction_unknown():
    encoder = hpack.Encoder()
    first, second = encoder.encode(GET), encoder.encode(GET)
    for wrong in (frame(1, 5, 3, b"\xff\xff\xff"), frame(1, 1, 3, b"\x82") + frame(6, 0, 0, b"12345678")):
        records = run([CLIENT, SERVER, Plaintext(SEND, 3, frame(1, 5, 1, first) + wrong + frame(1, 5, 5, second))])
        heads = [each for each in records if isinstance(each, Frame) and each.type == "HEADERS"]
        assert [(each.headers, each.confidence) for each in heads] == [
            (tuple(GET), "full"),
            (None, "hpack-unknown"),
            (None, "hpack-unknown"),
        ]
        exchanges = [each for each in records if isinstance(each, Exchange)]
        assert [(each.path, each.confidence) for each in exchanges] == [
            ("/a/@v/list", "full"),
            ("", "hpack-unknown"),
            ("", "hpack-unknown"),
        ]


def test_table_size_updates_are_followed_whatever_the_settings_came_to():
    encoder = hpack.Encoder()
    blocks = [encoder.encode(GET)]
    for size in (0, 4096, 65_536, 100, 60_000):
        encoder.header_table_size = size
        blocks += [encoder.encode([*GET, ("x-a", "b" * 50)]), encoder.encode([*GET, ("x-a", "b" * 50)])]
    data = b"".join(frame(1, 5, 1 + 2 * number, block) for number, block in enumerate(blocks))
    heads = [each.headers for each in run([CLIENT, SERVER, Plaintext(SEND, 3, data)]) if isinstance(each, Frame)][2:]
    assert heads == [tuple(GET)] + [(*GET, ("x-a", "b" * 50))] * 10


def test_a_larger_table_is_followed_when_the_peer_allowed_it():
    encoder = hpack.Encoder()
    encoder.header_table_size = 100_000
    large = [("x-large", "b" * 30_000)] * 2 + [("x-larger", "c" * 40_000)] * 2 + [("x-large", "b" * 30_000)]
    pieces = [
        Plaintext(RECV, 3, frame(4, 0, 0, b"\0\1\0\2\0\0")),
        Plaintext(SEND, 4, frame(1, 5, 1, encoder.encode(large))),
    ]
    heads = [each.headers for each in run([CLIENT, SERVER, *pieces]) if isinstance(each, Frame)][3:]
    assert heads == [tuple(large)]


def test_header_text_is_latin_1():
    block = hpack.Encoder().encode([(b":method", b"GET"), (b"x-raw", b"\xff\xfe\xe9")], huffman=False)
    assert one(frame(1, 5, 1, block), SEND).headers == ((":method", "GET"), ("x-raw", "\xff\xfe\xe9"))


def test_a_flood_of_continuations_is_given_out_and_not_kept():
    data = frame(1, 1, 1, b"\x82") + frame(9, 0, 1, b"") * 5000 + frame(9, 4, 1, b"") + frame(1, 5, 3, b"\x82")
    records = run([CLIENT, SERVER, Plaintext(SEND, 3, data)])
    frames = [each for each in records if isinstance(each, Frame)][2:]
    assert [each.type for each in frames] == ["HEADERS", *["CONTINUATION"] * 5001, "HEADERS"]
    assert frames[0].note == "RFC 9113 §4.3: header block too long to decode"
    assert {each.note for each in frames[1:]} == {""}
    assert frames[-1].confidence == "hpack-unknown"


def test_no_payload_is_kept_of_data():
    planted = b"package secret // module source" * 500
    assert b"module source" not in repr(run([CLIENT, SERVER, Plaintext(RECV, 3, frame(0, 0, 1, planted))])).encode()

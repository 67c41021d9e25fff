"""Exchanges: one a stream, whatever becomes of it."""

from struct import pack

import hpack
import pytest

from goproxy_ebpf.http2.names import PREFACE
from goproxy_ebpf.records.flow import Plaintext, PlaintextEnd, PlaintextGap
from goproxy_ebpf.records.log import Exchange

from .talk import GET, OK, RECV, SEND, Talk, frame, run, split

ONE = {
    "n": 0,
    "conn": 1,
    "stream": 1,
    "protocol": "h2",
    "method": "GET",
    "scheme": "https",
    "authority": "proxy.example",
    "path": "/a/@v/list",
    "request_headers": tuple(GET),
}
ANSWER = {"status": 200, "content_length": 5, "content_type": "text/plain", "response_headers": tuple(OK)}
RESET = {name: pack(">I", code) for name, code in (("NO_ERROR", 0), ("INTERNAL_ERROR", 2), ("CANCEL", 8))}


class Wire:
    """Frames by hand; each ``send`` or ``recv`` is one piece, at 1, 2, 3, …"""

    def __init__(self) -> None:
        self.up, self.down = hpack.Encoder(), hpack.Encoder()
        self.events = []
        self.send(PREFACE + frame(4, 0, 0))
        self.recv(frame(4, 0, 0))

    def send(self, data: bytes) -> None:
        self.events.append(Plaintext(SEND, len(self.events) + 1, data))

    def recv(self, data: bytes) -> None:
        self.events.append(Plaintext(RECV, len(self.events) + 1, data))

    def ask(self, stream: int = 1, flags: int = 5) -> None:
        self.send(frame(1, flags, stream, self.up.encode(GET)))

    def answer(self, stream: int = 1, headers=OK, flags: int = 4) -> None:
        self.recv(frame(1, flags, stream, self.down.encode(headers)))

    def exchanges(self) -> list[Exchange]:
        found = [each for each in run(self.events, finish_ns=99) if isinstance(each, Exchange)]
        assert [each for each in run(split(self.events, 1), finish_ns=99) if isinstance(each, Exchange)] == found
        return found


def test_a_whole_exchange_with_its_times_and_bytes():
    wire = Wire()
    wire.ask()  # 3
    wire.answer(headers=[(":status", "103"), ("link", "</x>")])  # 4
    wire.answer()  # 5
    wire.recv(frame(0, 0, 1))  # 6: empty
    wire.recv(frame(0, 8, 1, b"\2hel\0\0"))  # 7
    wire.recv(frame(0, 0, 1, b"lo"))  # 8
    wire.answer(headers=[("x-sum", "1")], flags=5)  # 9
    wire.send(frame(3, 0, 1, RESET["CANCEL"]))  # too late to be an error
    assert wire.exchanges() == [
        Exchange(
            **ONE,
            **ANSWER,
            time_ns=9,
            state="complete",
            request_ns=3,
            request_end_ns=3,
            first_byte_ns=5,
            first_data_ns=7,
            end_ns=9,
            response_bytes=5,
            trailers=(("x-sum", "1"),),
        )
    ]


def test_a_request_with_a_body_may_end_after_its_answer():
    wire = Wire()
    wire.ask(flags=4)
    wire.answer(flags=5)
    wire.send(frame(0, 8, 1, b"\1body\0"))
    wire.send(frame(0, 1, 1, b"end"))
    (found,) = wire.exchanges()
    assert (found.state, found.request_bytes, found.first_byte_ns, found.request_end_ns, found.end_ns) == (
        *("complete", 7),
        *(4, 6, 6),
    )


@pytest.mark.parametrize(("by", "error"), [(RECV, "INTERNAL_ERROR"), (SEND, "CANCEL")])
def test_a_reset_stream_says_by_whom_and_why(by, error):
    wire = Wire()
    wire.ask()
    wire.answer()
    wire.recv(frame(0, 0, 1, b"he"))
    wire.events.append(Plaintext(by, 6, frame(3, 0, 1, RESET[error])))
    wire.recv(frame(0, 1, 1, b"llo"))
    assert wire.exchanges() == [
        Exchange(
            **ONE,
            **ANSWER,
            time_ns=6,
            state="reset",
            request_ns=3,
            request_end_ns=3,
            first_byte_ns=4,
            first_data_ns=5,
            end_ns=6,
            response_bytes=2,
            error=error,
            reset_by=by.value,
        )
    ]


def test_a_server_that_stops_the_request_after_a_whole_answer_is_no_error():
    wire = Wire()
    wire.ask(flags=4)
    wire.answer(flags=5)
    wire.recv(frame(3, 0, 1, RESET["NO_ERROR"]))
    assert [(each.state, each.error, each.reset_by) for each in wire.exchanges()] == [("complete", "", "")]


def test_goaway_refuses_the_streams_above_its_last_one_also_those_opened_later():
    wire = Wire()
    for stream in (1, 3, 5):
        wire.ask(stream)
    wire.recv(frame(7, 0, 0, pack(">II", 3, 11)))  # 6
    wire.ask(7)  # 7
    wire.answer(1, flags=5)  # 8
    wire.answer(5, flags=5)
    assert [(each.stream, each.state, each.error, each.end_ns) for each in wire.exchanges()] == [
        (5, "refused", "ENHANCE_YOUR_CALM", 6),
        (7, "refused", "ENHANCE_YOUR_CALM", 7),
        (1, "complete", "", 8),
        (3, "cut", "", 99),
    ]


def test_an_ended_direction_cuts_what_it_had_not_ended():
    wire = Wire()
    wire.ask(1)  # 3
    wire.ask(3)
    wire.ask(5, flags=4)
    wire.answer(1)
    wire.answer(5, flags=5)
    wire.events.append(PlaintextEnd(RECV, 8))
    wire.events.append(PlaintextEnd(SEND, 9))
    assert [(each.stream, each.state, each.status, each.end_ns) for each in wire.exchanges()] == [
        (1, "cut", 200, 8),
        (3, "cut", None, 8),
        (5, "cut", 200, 9),
    ]


def test_a_client_that_has_said_goodbye_still_gets_its_answer():
    wire = Wire()
    wire.ask()
    wire.events.append(PlaintextEnd(SEND, 4))
    wire.answer(flags=5)
    assert [each.state for each in wire.exchanges()] == ["complete"]


def test_a_promised_stream_is_an_exchange():
    wire = Wire()
    wire.ask()
    wire.recv(frame(5, 4, 1, pack(">I", 2) + wire.down.encode([*GET[:3], (":path", "/b")])))
    wire.answer(2)
    wire.recv(frame(0, 1, 2, b"hello"))
    wire.answer(1, flags=5)
    assert [
        (each.stream, each.path, each.state, each.request_ns, each.request_end_ns, each.first_byte_ns, each.end_ns)
        for each in wire.exchanges()
    ] == [(2, "/b", "complete", 4, 4, 5, 6), (1, "/a/@v/list", "complete", 3, 3, 7, 7)]


@pytest.mark.parametrize("text", ["", "-1", "+5", "5x", "\u0665", "1_0", "9" * 5000, "5, 5"])
def test_a_content_length_that_is_no_number_is_none(text):
    wire = Wire()
    wire.ask()
    wire.answer(headers=[(":status", "200"), ("content-length", text)], flags=5)
    assert [each.content_length for each in wire.exchanges()] == [None]


def test_a_gap_taints_what_was_open_and_leaves_header_lists_unknown_behind_it():
    wire = Wire()
    wire.ask(1)
    wire.answer(1, flags=5)
    wire.ask(3)
    wire.ask(5)
    wire.answer(3)
    wire.events.append(PlaintextGap(RECV, 8, 5000, "lost"))
    wire.recv(frame(0, 0, 3, b"x" * 50) + frame(0, 1, 3, b"x" * 10) + wire_head(wire, 5) + frame(0, 1, 5, b"abc"))
    wire.ask(7)
    wire.answer(7, flags=5)
    assert [
        (each.stream, each.state, each.status, each.confidence, each.response_bytes) for each in wire.exchanges()
    ] == [
        (1, "complete", 200, "full", 0),
        (3, "complete", 200, "gap", 60),
        (5, "complete", None, "gap", 3),
        (7, "complete", None, "hpack-unknown", 0),
    ]


def wire_head(wire: Wire, stream: int) -> bytes:
    return frame(1, 4, stream, wire.down.encode(OK))


def test_frames_on_a_stream_in_the_wrong_state_are_noted_and_change_nothing():
    wire = Wire()
    wire.ask()
    wire.recv(frame(0, 0, 1, b"early"))
    wire.answer(flags=4)
    wire.send(frame(0, 0, 1, b"late"))
    wire.recv(frame(0, 1, 1))
    notes = [each.note for each in run(wire.events) if getattr(each, "note", "")]
    assert notes == ["RFC 9113 §8.1: DATA before HEADERS", "RFC 9113 §5.1: DATA on a stream half-closed by the client"]


def test_frames_on_finished_streams_make_no_new_state():
    wire = Wire()
    for stream in (1, 3):
        wire.ask(stream)
        wire.answer(stream, flags=5)
    for stream in (1, 3, 2, 999):
        wire.send(frame(8, 0, stream, pack(">I", 5)) + frame(3, 0, stream, RESET["CANCEL"]))
        wire.recv(frame(0, 0, stream, b"x"))
    wire.ask(1)
    wire.answer(3)
    assert [(each.stream, each.state) for each in wire.exchanges()] == [(1, "complete"), (3, "complete")]


def test_what_h2_says_of_a_conversation_s_streams_is_what_the_exchanges_say():
    talk = Talk().start()
    sizes = [5, 0, 16_384, 40_000]
    for size in sizes:
        stream = talk.client.get_next_available_stream_id()
        talk.client.send_headers(stream, GET, end_stream=True)
        talk.flush()
        talk.server.send_headers(stream, [(":status", "200"), ("content-length", str(size))])
        for start in range(0, size, 16_384):
            talk.server.send_data(stream, b"x" * min(16_384, size - start))
        talk.server.end_stream(stream)
        talk.flush()
        if size:
            talk.client.acknowledge_received_data(size, stream)
    ended = [event.stream_id for event in talk.client_events if type(event).__name__ == "StreamEnded"]
    found = [each for each in run(talk.events) if isinstance(each, Exchange)]
    assert [each.stream for each in found] == ended
    assert [(each.state, each.content_length, each.response_bytes) for each in found] == [
        ("complete", size, size) for size in sizes
    ]

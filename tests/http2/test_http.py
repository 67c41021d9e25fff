"""What a connection speaks is found out from its first bytes, however they are split."""

import pytest

from goproxy_ebpf.http2 import Http
from goproxy_ebpf.http2.http import MAX_OPENING, Start, recognise
from goproxy_ebpf.http2.names import PREFACE
from goproxy_ebpf.records.flow import Plaintext, PlaintextEnd

from .talk import RECV, SEND, frame

VECTORS = [
    (PREFACE, Start.H2_CLIENT),
    (frame(4, 0, 0), Start.H2_SERVER),
    (frame(4, 0, 0, b"\0\4\0\1\0\0"), Start.H2_SERVER),
    (frame(4, 1, 0), Start.UNKNOWN),
    (frame(4, 0, 0, b"12345"), Start.UNKNOWN),
    (frame(0, 0, 1, b"x"), Start.UNKNOWN),
    (b"GET /a HTTP/1.1\r\n", Start.H1_CLIENT),
    (b"PROPFIND /a HTTP/1.0\n", Start.H1_CLIENT),
    (b"PRI * HTTP/1.1\r\n", Start.H1_CLIENT),
    (b"CONNECT a:443 HTTP/1.1\r\n", Start.H1_CLIENT),
    (b"HTTP/1.1 200 OK\r\n", Start.H1_SERVER),
    (b"HTTP/2 200 OK\r\n", Start.UNKNOWN),
    (b"GET /a\r\n", Start.UNKNOWN),
    (b"SSH-2.0-OpenSSH_9.2\r\n", Start.UNKNOWN),
    (b"EHLO proxy.example\r\n", Start.UNKNOWN),
    (b"\x16\x03\x01\x02\x00", Start.UNKNOWN),
    (b"A" * 33, Start.UNKNOWN),
    (b"GET /" + b"a" * 20_000, Start.UNKNOWN),
]


@pytest.mark.parametrize(("data", "start"), VECTORS, ids=lambda value: repr(value)[:30])
def test_a_beginning_is_recognised_as_soon_as_it_can_be_and_with_anything_behind_it(data, start):
    assert recognise(data + b"\0trailing") == (start if data[:1] != b"A" else Start.UNKNOWN)
    verdicts = [recognise(data[:end]) for end in range(1, min(len(data), 40) + 1)]
    assert set(verdicts) <= {None, start}
    if len(data) <= 40:
        assert verdicts[-1] is start


@pytest.mark.parametrize(
    ("direction", "data", "protocol"),
    [
        (SEND, PREFACE, "h2"),
        (RECV, PREFACE, "h2"),
        (RECV, frame(4, 0, 0), "h2"),
        (SEND, b"GET / HTTP/1.1\r\n", "http/1.1"),
        (RECV, b"GET / HTTP/1.1\r\n", "http/1.1"),
        (RECV, b"HTTP/1.0 200 OK\r\n", "http/1.1"),
        (SEND, PREFACE[:20], ""),
        (SEND, b"", ""),
        (SEND, b"SSH-2.0-x\r\n", ""),
        (SEND, b"\xff" * (MAX_OPENING + 1), "other"),
    ],
)
def test_the_protocol_of_a_connection(direction, data, protocol):
    http = Http(1)
    list(http.feed(Plaintext(direction, 1, data)))
    assert http.protocol == protocol


def test_a_short_connection_of_another_protocol_is_other_and_gives_nothing():
    http = Http(1)
    out = [*http.feed(Plaintext(SEND, 1, b"SSH-2.0-x\r\n")), *http.feed(PlaintextEnd(SEND, 2)), *http.finish(3)]
    assert (out, http.protocol) == ([], "other")


def test_a_connection_without_plaintext_has_no_protocol():
    http = Http(1)
    out = [*http.feed(PlaintextEnd(SEND, 2)), *http.finish(3)]
    assert (out, http.protocol) == ([], "")

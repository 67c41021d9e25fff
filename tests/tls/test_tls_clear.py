"""Connections without TLS, and TLS that begins behind clear text."""

import itertools

import pytest
from crafted import DATA, LOG, Peers, client_hello, server_hello
from tls_peers import RECV, SEND, play

from goproxy_ebpf.records.flow import Plaintext, PlaintextEnd, PlaintextGap

PIECES = (1, 2, 3, 1 << 20)


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (b"GET http://proxy/ HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n\x16\x03\x01"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0\0\0\4\0\0\0\0\0"),
        (b"\x16\x02", b""),
        (b"\x16", b"\x16\x03"),
        (b"\x16\x03\x05", b"220 hello"),
        (b"", b"SSH-2.0\r\n"),
        (b"C", b"H"),
        (b"CONTENT", b"HTTP/1.1 200"),
    ],
)
def test_clear_text_passes_as_it_is(piece, sent, received):
    heard = play([(SEND, sent), (RECV, received)], piece=piece)
    assert (heard.plaintext(SEND), heard.plaintext(RECV)) == (sent, received)
    assert heard.tls.is_tls(1) is False
    assert heard.tls.bytes(1, SEND) is None
    assert [heard.of(d)[-1] for d in (SEND, RECV)] == [PlaintextEnd(d, 3000) for d in (SEND, RECV)]


def test_a_connection_without_bytes_is_not_known_to_be_anything():
    heard = play([])
    assert (heard.events, heard.tls.is_tls(1)) == ([], None)


def test_a_gap_in_clear_text_is_a_gap():
    heard = play([(SEND, b"GET / HT"), (SEND, 5), (SEND, b"\r\n")], how="reset")
    assert heard.of(SEND) == [
        Plaintext(SEND, 1000, b"GET / HT"),
        PlaintextGap(SEND, 2000, 5, "lost"),
        Plaintext(SEND, 3000, b"\r\n"),
    ]


CONNECT = b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n"
GRANTED = b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n"


def tunnel(request, answer):
    peers = Peers()
    return [
        (SEND, request + client_hello()),
        (RECV, answer + server_hello() + peers.server_flight()),
        (SEND, peers.client_finished() + peers.client.seal(DATA, b"up")),
        (RECV, peers.server.seal(DATA, b"down")),
    ]


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("interim", [b"", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_tls_begins_behind_a_connect(piece, mirror, interim):
    items = [*LOG, *tunnel(CONNECT, interim + GRANTED)]
    heard = play(items, piece=piece, mirror=mirror)
    asks, answers = (RECV, SEND) if mirror else (SEND, RECV)
    assert heard.plaintext(asks) == CONNECT + b"up"
    assert heard.plaintext(answers) == interim + GRANTED + b"down"
    assert (heard.tls.is_tls(1), heard.facts.alpn, heard.facts.trouble) == (True, "h2", "")
    assert heard.total(answers).clear == len(interim + GRANTED + server_hello())


def test_a_connect_is_clear_text_until_its_tunnel_speaks_tls():
    heard = play([(SEND, CONNECT), (RECV, GRANTED)], how="")
    assert heard.tls.is_tls(1) is False
    assert [event.data for event in heard.events] == [CONNECT, GRANTED]


@pytest.mark.parametrize("piece", PIECES)
def test_a_tunnel_without_tls_stays_clear_text(piece):
    heard = play([(SEND, CONNECT), (RECV, GRANTED), (SEND, b"\x16\x02"), (RECV, b"SSH-2.0")], piece=piece)
    assert (heard.plaintext(SEND), heard.plaintext(RECV)) == (CONNECT + b"\x16\x02", GRANTED + b"SSH-2.0")
    assert [type(heard.of(d)[-1]) for d in (SEND, RECV)] == [PlaintextEnd, PlaintextEnd]


@pytest.mark.parametrize("piece", PIECES)
def test_a_refused_connect_is_clear_text(piece):
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 3\r\n\r\n\x16\x03\x01"
    heard = play([(SEND, CONNECT), (RECV, refusal)], piece=piece)
    assert (heard.plaintext(SEND), heard.plaintext(RECV)) == (CONNECT, refusal)
    assert heard.tls.is_tls(1) is False


@pytest.mark.parametrize("piece", PIECES)
def test_a_server_that_answers_a_client_hello_in_clear_text_is_named(piece):
    answer = b"HTTP/1.1 400 Bad Request\r\n\r\nClient sent an HTTPS request to an HTTP server"
    heard = play([(SEND, client_hello()), (RECV, answer)], piece=piece)
    assert heard.facts.trouble == "the server does not answer the ClientHello with TLS, but in clear text"
    assert heard.plaintext(RECV) == answer
    assert heard.total(RECV).clear == len(answer)


MIDDLE = b"".join(b"\x17\x03\x03\0\x20" + bytes([k]) * 32 for k in range(40, 44))


@pytest.mark.parametrize("piece", PIECES)
def test_a_connection_in_midstream_is_known_by_two_records_in_a_row(piece):
    for tail in (b"", b"\x17", b"rest of a record", b"\x17\x03\x03\xff"):
        heard = play([(RECV, tail + MIDDLE)], piece=piece, complete=False)
        assert heard.tls.is_tls(1) is True
        assert heard.plaintext(RECV) == b""
    heard = play([(RECV, MIDDLE[:37])], piece=piece, complete=False)
    assert heard.tls.is_tls(1) is True


@pytest.mark.parametrize("piece", (7, 1 << 20))
@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n", bytes(100), bytes(100_000), b"\x17"]
)
def test_clear_text_in_midstream_is_clear_text(piece, data):
    heard = play([(SEND, data), (RECV, b"other")], piece=piece, complete=False)
    assert (heard.plaintext(SEND), heard.plaintext(RECV)) == (data, b"other")
    assert heard.tls.is_tls(1) is False


@pytest.mark.parametrize("piece", PIECES)
def test_a_handshake_whose_syn_was_not_seen_is_read(piece):
    heard = play([*LOG, *tunnel(b"", b"")], piece=piece, complete=False)
    assert (heard.plaintext(SEND), heard.plaintext(RECV)) == (b"up", b"down")


def test_directions_may_come_in_any_order():
    items = list(tunnel(b"", b""))
    for order in itertools.permutations(range(4)):
        if order.index(0) < order.index(2) and order.index(1) < order.index(3):
            heard = play([*LOG, *(items[k] for k in order)])
            assert (heard.plaintext(SEND), heard.plaintext(RECV)) == (b"up", b"down"), order

"""HTTP/1.1: requests and answers in pairs; against Python's own client and server, and by hand for the rest."""

import http.client
import http.server
import threading

import pytest

from goproxy_ebpf.http2 import Http
from goproxy_ebpf.records.flow import Plaintext, PlaintextEnd, PlaintextGap
from goproxy_ebpf.records.log import Exchange, Gap

from .relay import Relay
from .talk import RECV, SEND, Talk, run, split

ASK = b"GET /a HTTP/1.1\r\nHost: p\r\n\r\n"


def said(*pieces, finish_ns: int = 99) -> list:
    """Records of ``pieces``: (direction, bytes, None for an end, or an int for missing bytes) at 1, 2, 3, … ."""
    events = []
    for number, (direction, what) in enumerate(pieces, 1):
        if what is None:
            events.append(PlaintextEnd(direction, number))
        elif isinstance(what, int):
            events.append(PlaintextGap(direction, number, what, "lost"))
        else:
            events.append(Plaintext(direction, number, what))
    out = run(events, finish_ns)
    for size in (1, 3, 7):
        assert without_length(run(split(events, size), finish_ns)) == without_length(out)
    return out


def without_length(records: list) -> list:
    return [(each.time_ns, each.layer, each.reason) if isinstance(each, Gap) else each for each in records]


def brief(records: list) -> list:
    return [
        (each.method, each.path, each.state, each.status, each.request_bytes, each.response_bytes)
        if isinstance(each, Exchange)
        else (each.layer, each.reason)
        for each in records
    ]


def test_a_whole_exchange_with_its_times_and_bytes():
    assert said(
        (SEND, b"POST /a HTTP/1.1\r\nHost: proxy.example\r\nContent-Length: 4\r\n\r\n"),
        (SEND, b"body"),
        (RECV, b"HTTP/1.1 100 Continue\r\n\r\n"),
        (RECV, b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (RECV, b"3\r\nhel\r\n"),
        (RECV, b"2\r\nlo\r\n0\r\nX-Sum: 1\r\n\r\n"),
    ) == [
        Exchange(
            time_ns=6,
            n=0,
            conn=1,
            stream=0,
            protocol="http/1.1",
            state="complete",
            method="POST",
            authority="proxy.example",
            path="/a",
            status=200,
            request_ns=1,
            request_end_ns=2,
            first_byte_ns=4,
            first_data_ns=5,
            end_ns=6,
            request_bytes=4,
            response_bytes=5,
            content_type="text/plain",
            request_headers=(("host", "proxy.example"), ("content-length", "4")),
            response_headers=(("content-type", "text/plain"), ("transfer-encoding", "chunked")),
            trailers=(("x-sum", "1"),),
        )
    ]


def test_pipelined_requests_are_paired_in_order():
    head = b"HEAD /b HTTP/1.1\r\nHost: p\r\n\r\n"
    answers = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"
    answers += b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" + b"HTTP/1.1 304 Not Modified\r\n\r\n"
    answers += b"HTTP/1.1 204 No Content\r\n\r\n" + b"HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\nx"
    assert brief(said((SEND, ASK + head + ASK * 3), (RECV, answers))) == [
        ("GET", "/a", "complete", 200, 0, 3),
        ("HEAD", "/b", "complete", 200, 0, 0),
        ("GET", "/a", "complete", 304, 0, 0),
        ("GET", "/a", "complete", 204, 0, 0),
        ("GET", "/a", "complete", 404, 0, 1),
    ]


def test_an_answer_without_a_length_ends_with_the_connection():
    found = said((SEND, ASK), (RECV, b"HTTP/1.0 200 OK\r\n\r\nabc"), (RECV, b"def"), (RECV, None))
    assert brief(found) == [("GET", "/a", "complete", 200, 0, 6)]
    assert found[0].end_ns == 4


def test_an_answer_with_a_length_is_cut_by_the_end():
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"
    found = said((SEND, ASK + ASK), (RECV, answer), (RECV, None))
    assert brief(found) == [("GET", "/a", "cut", 200, 0, 3), ("GET", "/a", "cut", None, 0, 0)]
    assert [(each.content_length, each.end_ns) for each in found] == [(9, 3), (None, 3)]


def test_what_is_open_at_the_end_of_the_run_is_cut():
    assert brief(said((SEND, ASK), (RECV, b"HTTP/1.1 200 OK\r\n\r\nabc"))) == [("GET", "/a", "cut", 200, 0, 3)]


def test_behind_connect_is_a_tunnel_and_behind_a_refused_one_are_requests():
    connect = b"CONNECT proxy.example:443 HTTP/1.1\r\nHost: proxy.example:443\r\n\r\n"
    tunnel = said((SEND, connect), (RECV, b"HTTP/1.1 200 OK\r\n\r\n"), (SEND, b"\x16\3\1"), (RECV, b"\x16\3\3"))
    assert brief(tunnel) == [("CONNECT", "proxy.example:443", "complete", 200, 0, 0)]
    no = b"HTTP/1.1 407 Who\r\nContent-Length: 2\r\n\r\nno"
    refused = said((SEND, connect), (RECV, no), (SEND, ASK), (RECV, no))
    assert brief(refused) == [
        ("CONNECT", "proxy.example:443", "complete", 407, 0, 2),
        ("GET", "/a", "complete", 407, 0, 2),
    ]


def test_behind_connect_is_what_the_tunnel_carries():
    connect = b"CONNECT m.example:443 HTTP/1.1\r\nHost: m.example:443\r\n\r\n"
    granted = b"HTTP/1.1 200 Connection established\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    expected = [("CONNECT", "m.example:443", "complete", 200, 0, 0), ("GET", "/a", "complete", 200, 0, 2)]
    assert brief(said((SEND, connect), (RECV, granted), (SEND, ASK), (RECV, answer), (RECV, None))) == expected
    assert brief(said((SEND, connect + ASK), (RECV, granted + answer))) == expected
    assert brief(said((RECV, granted), (RECV, answer), (SEND, connect), (SEND, ASK))) == expected
    assert brief(said((SEND, connect), (SEND, ASK), (RECV, granted), (RECV, answer))) == expected


def test_http_2_behind_connect_is_read_as_if_it_stood_alone():
    talk = Talk().start()
    for _ in range(3):
        talk.get()
    alone = run(talk.events)
    connect = b"CONNECT m.example:443 HTTP/1.1\r\nHost: m.example:443\r\n\r\n"
    head = [Plaintext(SEND, 0, connect), Plaintext(RECV, 0, b"HTTP/1.1 200 OK\r\n\r\n")]
    assert len(alone) > 5
    for size in (len(connect), 1, 7):
        http = Http(1)
        found = [each for event in [*split(head, size), *talk.events] for each in http.feed(event)]
        found += http.finish(1 << 40)
        assert (brief(found[:1]), found[1:]) == ([("CONNECT", "m.example:443", "complete", 200, 0, 0)], alone)
        assert http.protocol == "h2"


def test_an_absolute_target_is_the_proxy_s_form_of_host_and_path():
    ask = b"GET http://m.example:8080/a/@v/list?x HTTP/1.1\r\nHost: other\r\n\r\n"
    bare = b"GET HTTP://m.example HTTP/1.1\r\nHost: m.example\r\n\r\n"
    found = said((SEND, ask + bare + ASK), (RECV, b"HTTP/1.1 204 No\r\n\r\n" * 3))
    assert [(each.scheme, each.authority, each.path) for each in found] == [
        ("http", "m.example:8080", "/a/@v/list?x"),
        ("http", "m.example", "/"),
        ("", "p", "/a"),
    ]


def test_tunnels_in_tunnels_cost_no_more_than_their_bytes():
    pair = (SEND, b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"), (RECV, b"HTTP/1.1 200 OK\r\n\r\n")
    http = Http(1)
    found = [each for number in range(3000) for way, data in pair for each in http.feed(Plaintext(way, number, data))]
    assert len(found) == 2


def test_a_change_of_protocol_ends_what_is_read():
    ask = b"GET / HTTP/1.1\r\nHost: p\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    changed = said((SEND, ask), (RECV, b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n\0\0\0\4"), (SEND, b"PRI"))
    assert brief(changed) == [("GET", "/", "complete", 101, 0, 0)]
    kept = said((SEND, ask), (RECV, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"), (SEND, ASK))
    assert brief(kept) == [("GET", "/", "complete", 200, 0, 1), ("GET", "/a", "cut", None, 0, 0)]


def test_an_answer_decoded_before_its_request_waits_for_it():
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"
    found = said((RECV, answer + answer), (RECV, None), (SEND, ASK), (SEND, ASK))
    assert brief(found)[:1] == [("GET", "/a", "complete", 200, 0, 3)]


def test_the_traced_process_may_be_the_server():
    assert brief(said((RECV, ASK), (SEND, b"HTTP/1.1 204 No\r\n\r\n"))) == [("GET", "/a", "complete", 204, 0, 0)]


def test_missing_bytes_stop_the_reading():
    assert brief(said((SEND, ASK), (RECV, b"HTTP/1.1 200 OK\r\n"), (RECV, 500), (RECV, b"\r\nx"), (SEND, ASK))) == [
        ("GET", "/a", "cut", None, 0, 0),
        ("http/1.1", "lost"),
    ]


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        ([(SEND, b"GET /a HTTP/1.1\r\nAuthorization secret\r\n\r\n")], "malformed request"),
        ([(SEND, b"GET /a HTTP/1.1\r\n\r\n")], "malformed request"),
        ([(SEND, ASK + b"secret\r\n\r\n")], "malformed request"),
        ([(SEND, ASK), (RECV, b"secret\r\n\r\n")], "malformed response"),
        ([(SEND, ASK), (RECV, b"HTTP/1.1 200 OK\r\nContent-Length: secret\r\n\r\n")], "malformed response"),
        (
            [(SEND, ASK), (RECV, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nsecret\r\n")],
            "malformed response",
        ),
        ([(SEND, ASK), (RECV, b"HTTP/1.1 101 OK\r\n\r\n")], "malformed response"),
    ],
)
def test_malformed_messages_stop_the_reading_and_are_not_quoted(pieces, reason):
    found = said(*pieces, (SEND, ASK), (RECV, b"HTTP/1.1 204 No\r\n\r\n"))
    assert brief(found)[-1] == ("http/1.1", f"RFC 9112: {reason}")
    assert {each.state for each in found[:-1]} <= {"cut"}
    assert "secret" not in repr([each for each in found if isinstance(each, Gap)])


def test_an_endless_head_or_an_answer_to_nothing_is_not_kept():
    head = [(SEND, b"GET /a HTTP/1.1\r\n" + b"X: y\r\n" * 1000)] * 60
    assert [type(each) for each in run([Plaintext(way, 1, data) for way, data in head])] == [Gap]
    http = Http(1)
    out = [*http.feed(Plaintext(SEND, 1, ASK[:20]))]
    for _ in range(5):
        out += http.feed(Plaintext(RECV, 2, b"x" * 1_000_000))
    assert [(each.length, each.reason) for each in out] == [(5_000_000, "answer to a request that was not seen")]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = b"x" * int(self.path.rpartition("/")[2])
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"5\r\nhello\r\n0\r\n\r\n")

    def log_message(self, *args):
        pass


def test_python_s_client_and_server_are_read():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Relay(server.server_address[1]) as relay:
            client = http.client.HTTPConnection("127.0.0.1", relay.port, timeout=20)
            for size in (0, 3, 100_000):
                client.request("GET", f"/of/{size}")
                assert len(client.getresponse().read()) == size
            client.request("POST", "/post", body=b"four")
            assert client.getresponse().read() == b"hello"
            client.close()
            (events,) = relay.finished()
        server.shutdown()
    assert brief(run(events)) == [
        ("GET", "/of/0", "complete", 200, 0, 0),
        ("GET", "/of/3", "complete", 200, 0, 3),
        ("GET", "/of/100000", "complete", 200, 0, 100_000),
        ("POST", "/post", "complete", 200, 4, 5),
    ]

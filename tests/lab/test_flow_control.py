"""The server keeps to the client's windows, RFC 9113 §5.2, with a client of our own at the other end."""

import socket
import ssl

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, PingAckReceived, ResponseReceived, StreamEnded
from h2.settings import SettingCodes, Settings

from tests.labs import running_lab

BIG = "/example.com/lab/module00/@v/v1.0.0.zip"


@pytest.fixture(scope="module")
def lab():
    with running_lab("--modules", "9", "--megabytes", "3") as running:
        yield running


class Client:
    """Credits nothing by itself."""

    def __init__(self, lab: dict, window: int) -> None:
        context = ssl.create_default_context(cafile=lab["ca"])
        context.set_alpn_protocols(["h2"])
        port = int(lab["url"].rpartition(":")[2])
        self.socket = context.wrap_socket(
            socket.create_connection(("localhost", port), 20), server_hostname="localhost"
        )
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.local_settings = Settings(client=True, initial_values={SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.h2.initiate_connection()
        self.received: dict[int, int] = {}
        self.status: dict[int, str] = {}
        self.ended: set[int] = set()
        self.goodbye = None
        self._pings = 0
        self.flush()

    def flush(self) -> None:
        self.socket.sendall(self.h2.data_to_send())

    def ask(self, path: str, method: str = "GET") -> int:
        stream = self.h2.get_next_available_stream_id()
        fields = [(":method", method), (":scheme", "https"), (":authority", "localhost"), (":path", path)]
        self.h2.send_headers(stream, fields, end_stream=True)
        self.flush()
        return stream

    def settle(self) -> None:
        """Reads until a PING sent now is answered: all that the server would send before has then come."""
        for _ in range(2):  # the second round covers what the first one's reading made it send
            self.h2.ping(b"%8d" % self._pings)
            self._pings += 1
            self.flush()
            self.until(PingAckReceived)

    def until(self, kind: type) -> None:
        while data := self.socket.recv(65536):
            events = self.h2.receive_data(data)
            for event in events:
                if isinstance(event, DataReceived):
                    self.received[event.stream_id] = self.received.get(event.stream_id, 0) + len(event.data)
                elif isinstance(event, ResponseReceived):
                    self.status[event.stream_id] = dict(event.headers)[":status"]
                elif isinstance(event, StreamEnded):
                    self.ended.add(event.stream_id)
                elif isinstance(event, ConnectionTerminated):
                    self.goodbye = event.error_code
            self.flush()
            if any(isinstance(event, kind) for event in events):
                return


def test_a_stream_s_window_is_used_up_and_never_passed(lab):
    client = Client(lab, window=1000)
    stream = client.ask(BIG)
    client.settle()
    steps = [client.received[stream]]
    for credit in (1, 20_000, 16_384):
        client.h2.increment_flow_control_window(credit, stream)
        client.settle()
        steps.append(client.received[stream])
    assert steps == [1000, 1001, 21_001, 37_385]


def test_the_connection_s_window_is_shared_by_all_streams(lab):
    client = Client(lab, window=1 << 20)
    streams = [client.ask(path) for path in (BIG, BIG, BIG)]
    client.settle()
    first = sum(client.received.values())
    client.h2.increment_flow_control_window(100_000)
    client.settle()
    assert (first, sum(client.received.values())) == (65_535, 165_535)
    assert min(client.received.get(stream, 0) for stream in streams) > 16_384, "they take turns"


def test_a_smaller_initial_window_makes_open_streams_owe(lab):
    client = Client(lab, window=10_000)
    stream = client.ask(BIG)
    client.settle()
    client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 4_000})
    client.settle()
    client.h2.increment_flow_control_window(6_000, stream)
    client.settle()
    owing = client.received[stream]
    client.h2.increment_flow_control_window(10, stream)
    client.settle()
    assert (owing, client.received[stream]) == (10_000, 10_010)
    client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 5_000})
    client.settle()
    assert client.received[stream] == 11_010


def test_a_stream_that_is_reset_leaves_the_connection_s_window_to_others(lab):
    client = Client(lab, window=1000)
    given_up, kept = client.ask(BIG), client.ask(BIG)
    client.settle()
    client.h2.reset_stream(given_up)
    client.h2.increment_flow_control_window(500, kept)
    client.settle()
    assert client.received == {given_up: 1000, kept: 1500}


def test_a_request_reset_in_the_same_breath_does_not_disturb_the_others(lab):
    client = Client(lab, window=1000)
    kept = client.ask(BIG)
    gone = client.h2.get_next_available_stream_id()
    fields = [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", BIG)]
    client.h2.send_headers(gone, fields, end_stream=True)
    client.h2.reset_stream(gone)
    client.settle()
    client.h2.increment_flow_control_window(10, kept)
    client.settle()
    assert (client.received, client.goodbye) == ({kept: 1010}, None)


def test_two_hundred_requests_at_once_are_all_answered_whole(lab):
    client = Client(lab, window=1 << 20)
    client.h2.increment_flow_control_window(1 << 30)
    streams = [client.ask("/example.com/lab/module01/@v/v1.1.0.zip") for _ in range(200)]
    while set(streams) - client.ended:
        client.until(StreamEnded)
    assert set(client.status.values()) == {"200"}
    assert len(client.received) == 200 and len(set(client.received.values())) == 1


def test_head_has_no_body_and_an_unknown_method_is_refused(lab):
    client = Client(lab, window=1 << 20)
    head, post, missing = client.ask(BIG, "HEAD"), client.ask(BIG, "DELETE"), client.ask("/nothing")
    client.settle()
    assert client.status == {head: "200", post: "405", missing: "404"}
    assert client.ended == {head, post, missing} and head not in client.received


def test_a_protocol_error_ends_the_connection_with_a_goaway(lab):
    client = Client(lab, window=1000)
    client.socket.sendall(b"\0\0\0\x00\0\0\0\0\0")  # DATA on stream 0
    client.until(ConnectionTerminated)
    assert client.goodbye == 1  # PROTOCOL_ERROR
    assert client.socket.recv(100) == b""

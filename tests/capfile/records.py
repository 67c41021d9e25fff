"""Strategies and samples of capture records."""

from hypothesis import strategies as st

from goproxy_ebpf.records.capture import (
    TCP_STATES,
    CaptureRecord,
    Egress,
    HookState,
    Loss,
    Packet,
    ProcessEvent,
    RunEnd,
    RunHeader,
    Secret,
    TcpEvent,
    TrafficSecret,
)
from goproxy_ebpf.records.common import Direction, Endpoint, SocketAddresses

START = 1_763_999_999_123_456_789
SOCKET = SocketAddresses(Endpoint(bytes([10, 0, 0, 1]), 40_000), Endpoint(bytes([10, 0, 0, 2]), 443))
SOCKET6 = SocketAddresses(Endpoint(bytes(15) + b"\1", 40_001), Endpoint(bytes(15) + b"\2", 443))
LABELS = (
    "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
    "SERVER_HANDSHAKE_TRAFFIC_SECRET",
    "CLIENT_TRAFFIC_SECRET_0",
    "SERVER_TRAFFIC_SECRET_0",
    "CLIENT_RANDOM",
)


def secret(number: int, label: str = LABELS[0]) -> Secret:
    return Secret(START + number, 42, label, number.to_bytes(32, "big"), number.to_bytes(48, "big"))


def packet(number: int, size: int = 60, direction: Direction = Direction.SEND) -> Packet:
    data = bytes([0x45, 0, size >> 8 & 255, size & 255, 0, 0, 0, 0, 64, 253, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2])
    body = number.to_bytes(4, "big") + bytes(range(256)) * (size // 256 + 1)
    return Packet(START + number, direction, size, (data + body)[:size], SOCKET, 4_026_531_840, number)


SAMPLES: tuple[CaptureRecord, ...] = (
    RunHeader(
        START,
        "ebpf",
        "1.2",
        run_id="ab12",
        argv=("go", "build", "./..."),
        directory="/src",
        user="u",
        environment={"GOPROXY": "https://u:p@proxy.example,direct"},
        hooks=(HookState("tcp_sendmsg", "egress", "attached"),),
        labels={"job": "7"},
    ),
    ProcessEvent(START + 1, "exec", 42, 1, "/usr/bin/go", ("go", "build"), "go1.26.8", "key log"),
    packet(2),
    Packet(START + 3, Direction.RECV, 100, b"\x60" + bytes(39), SOCKET6, 1, 2),
    Packet(START + 4, Direction.RECV, 70_000, b"\x45" + bytes(1400)),
    secret(5),
    Egress(START + 6, "tcp_sendmsg", 42, 43, SOCKET, 4_294_967_295, 9, b"PRI * HTT", 7, 8, 9),
    TcpEvent(START + 7, "state", SOCKET, 42, "SYN_SENT", TCP_STATES[1], srtt_us=17),
    TrafficSecret(START + 8, 42, Direction.RECV, 0x0304, bytes(range(32)), 3, b"\x17\x03\x03\0\x20", 0xC000123000),
    secret(9, LABELS[4]),
    Loss(START + 10, "ring full", 3, 4096),
    packet(11, 3, Direction.RECV),
    RunEnd(START + 12, 0, {"packets": 5, "lost": 0}),
)

NUMBERS = st.integers(0, 2**32 - 1)
BIG = st.integers(0, 2**64 - 1)
TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
ENDPOINTS = {
    size: st.builds(Endpoint, st.binary(min_size=size, max_size=size), st.integers(0, 65_535)) for size in (4, 16)
}
SOCKETS = st.one_of(
    st.builds(SocketAddresses, ENDPOINTS[4], ENDPOINTS[4]),
    st.builds(SocketAddresses, ENDPOINTS[16], ENDPOINTS[16]),
    st.builds(SocketAddresses, ENDPOINTS[4], ENDPOINTS[16]),
)
DIRECTIONS = st.sampled_from(Direction)
PACKETS = st.builds(Packet, BIG, DIRECTIONS, BIG, st.binary(max_size=90), st.none() | SOCKETS, BIG, BIG)
SECRETS = st.builds(
    Secret, BIG, NUMBERS, st.sampled_from(LABELS) | TEXT, st.binary(max_size=40), st.binary(max_size=70)
)
RECORDS = st.one_of(
    PACKETS,
    SECRETS,
    st.builds(RunHeader, BIG, TEXT, argv=st.lists(TEXT, max_size=3).map(tuple), labels=st.dictionaries(TEXT, TEXT)),
    st.builds(
        Egress, BIG, TEXT, NUMBERS, NUMBERS, SOCKETS, NUMBERS, NUMBERS, st.binary(max_size=90), NUMBERS, BIG, BIG
    ),
    st.builds(
        TrafficSecret, BIG, NUMBERS, DIRECTIONS, NUMBERS, st.binary(max_size=48), BIG, st.binary(max_size=9), BIG
    ),
    st.builds(ProcessEvent, BIG, TEXT, NUMBERS, NUMBERS, TEXT, st.lists(TEXT).map(tuple), status=st.none() | NUMBERS),
    st.builds(TcpEvent, BIG, TEXT, SOCKETS, NUMBERS, TEXT, TEXT, NUMBERS),
    st.builds(Loss, BIG, TEXT, NUMBERS, NUMBERS),
    st.builds(RunEnd, BIG, st.none() | st.integers(-64, 255), st.dictionaries(TEXT, NUMBERS)),
)

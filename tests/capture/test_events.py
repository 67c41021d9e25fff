"""Raw events become records; a packet in chunks becomes one packet or a counted loss, never half a packet."""

import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from goproxy_ebpf.capture import layout
from goproxy_ebpf.capture.events import Events
from goproxy_ebpf.records.capture import Egress, Loss, Packet, ProcessEvent, Secret, TcpEvent, TrafficSecret
from goproxy_ebpf.records.common import Direction, Endpoint, SocketAddresses

OFFSET = 1_000_000
V4 = (bytes([10, 0, 0, 1]) + b"\0" * 12, bytes([10, 0, 0, 2]) + b"\0" * 12, 4000, 443, 2, 0)
PAIR = SocketAddresses(Endpoint(bytes([10, 0, 0, 1]), 4000), Endpoint(bytes([10, 0, 0, 2]), 443))
MAPPED = b"\0" * 10 + b"\xff\xff" + bytes([10, 0, 0, 1])


def packet(data: bytes, seen: int, offset: int, number: int = 7, addresses=V4) -> bytes:
    size = layout.PACKET_EVENT.size + len(data)
    head = (layout.EVENT_PACKET, size, 5, 0, 0)
    return layout.PACKET_EVENT.pack(*head, 99, number, 3, seen, offset, len(data), 1, 0, *addresses) + data


def test_a_whole_packet_is_one_record_with_its_socket():
    assert Events(OFFSET).decode(packet(b"abc", 3, 0)) == Packet(OFFSET + 5, Direction.RECV, 3, b"abc", PAIR, 3, 99)


def test_a_packet_without_a_socket_has_none():
    record = Events(0).decode(packet(b"abc", 3, 0, addresses=(b"\0" * 16, b"\0" * 16, 0, 0, 0, 0)))
    assert record.socket is None


def test_an_ipv4_mapped_socket_is_ipv4():
    record = Events(0).decode(packet(b"abc", 3, 0, addresses=(MAPPED, MAPPED, 4000, 443, 10, 0)))
    assert record.socket == SocketAddresses(Endpoint(bytes([10, 0, 0, 1]), 4000), Endpoint(bytes([10, 0, 0, 1]), 443))


def test_chunks_of_two_packets_interleaved_are_two_packets():
    events = Events(0)
    parts = [packet(b"aa", 5, 0, 1), packet(b"xx", 4, 0, 2), packet(b"bbb", 5, 2, 1), packet(b"yy", 4, 2, 2)]
    assert [record and record.data for record in map(events.decode, parts)] == [None, None, b"aabbb", b"xxyy"]
    assert list(events.finish(9)) == []


def test_a_packet_with_a_lost_chunk_is_a_loss_of_all_its_bytes():
    events = Events(0)
    assert [events.decode(part) for part in (packet(b"aa", 6, 0), packet(b"cc", 6, 4))] == [None, None]
    assert list(events.finish(9)) == [Loss(9, "packet chunks", 1, 6)]


def test_a_packet_whose_first_chunk_is_lost_is_no_packet():
    assert Events(0).decode(packet(b"cc", 6, 4)) is None


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_any_interleaving_of_chunks_in_order_gives_the_packets(bodies: list[bytes], order: random.Random):
    """Chunks of one packet keep their order; those of different CPUs mix as they like."""
    queues = []
    for number, body in enumerate(bodies):
        cut = sorted({0, len(body), *(order.randrange(len(body) + 1) for _ in range(2))})
        spans = itertools.pairwise(cut)
        queues.append([packet(body[start:end], len(body), start, number) for start, end in spans])
    events, got = Events(0), []
    while any(queues):
        queue = order.choice([queue for queue in queues if queue])
        record = events.decode(queue.pop(0))
        if record is not None:
            got.append(record.data)
    assert sorted(got) == sorted(bodies)


def test_an_egress_event_carries_its_place_in_the_stream():
    head = (layout.EVENT_EGRESS, layout.EGRESS_EVENT.size + 4, 5, 12, 13)
    raw = layout.EGRESS_EVENT.pack(*head, 99, 3, layout.HOOK_SK_MSG, 1000, 990, 7, 4, *V4) + b"data"
    assert Events(0).decode(raw) == Egress(5, "sk_msg", 12, 13, PAIR, 1000, 7, b"data", 990, 3, 99)


def test_secrets_are_cut_to_their_lengths():
    head = (layout.EVENT_SECRET, layout.SECRET_EVENT.size, 5, 12, 13)
    raw = layout.SECRET_EVENT.pack(*head, 13, 32, b"CLIENT_RANDOM".ljust(32, b"x"), b"r" * 32, b"s" * 64)
    assert Events(0).decode(raw) == Secret(5, 12, "CLIENT_RANDOM", b"r" * 32, b"s" * 32)
    head = (layout.EVENT_TRAFFIC_SECRET, layout.TRAFFIC_SECRET_EVENT.size, 5, 12, 13)
    raw = layout.TRAFFIC_SECRET_EVENT.pack(*head, 0xC000, 17, 1, 0x304, 48, 5, b"s" * 64, b"r" * 64)
    assert Events(0).decode(raw) == TrafficSecret(5, 12, Direction.RECV, 0x304, b"s" * 48, 17, b"r" * 5, 0xC000)


def test_process_events_have_their_arguments_and_say_when_they_are_cut():
    def execution(arguments: bytes, seen: int) -> bytes:
        head = (layout.EVENT_EXEC, layout.EXEC_EVENT.size, 5, 12, 12)
        return layout.EXEC_EVENT.pack(*head, 1, 7, len(arguments), seen, b"/bin/go", arguments)

    assert Events(0).decode(execution(b"go\0build\0\0", 10)) == ProcessEvent(
        5, "exec", 12, 1, "/bin/go", ("go", "build", "")
    )
    assert Events(0).decode(execution(b"go\0bui", 9000)) == ProcessEvent(
        5, "exec", 12, 1, "/bin/go", ("go", "bui"), note="arguments cut"
    )
    raw = layout.EXIT_EVENT.pack(layout.EVENT_EXIT, layout.EXIT_EVENT.size, 5, 12, 12, 1, 256)
    assert Events(0).decode(raw) == ProcessEvent(5, "exit", 12, 1, status=256)


def test_a_tcp_event_names_its_states():
    head = (layout.EVENT_TCP, layout.TCP_EVENT.size, 5, 12, 13)
    raw = layout.TCP_EVENT.pack(*head, 99, 3, layout.TCP_WHAT_STATE, 2, 1, 10, 11, 12, 13, 14, 1500, *V4)
    assert Events(0).decode(raw) == TcpEvent(
        5, "state", PAIR, 12, "SYN_SENT", "ESTABLISHED", 10, 11, 12, 13, 14, 1500, 3, 99
    )


def test_an_event_of_an_unknown_type_is_passed_over():
    assert Events(0).decode(layout.EVENT_HEAD.pack(200, 24, 5, 0, 0)) is None

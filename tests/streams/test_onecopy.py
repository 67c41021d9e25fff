import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from goproxy_ebpf.records.capture import Packet
from goproxy_ebpf.records.common import Direction, Endpoint, SocketAddresses
from goproxy_ebpf.streams import OneCopy, Streams, onecopy

from .test_streams import EXPECTED, SOCKET, a_whole_talk, both_ends
from .wire import CLIENT, RECV, SEND, SERVER, endpoint, feed, packet, tcp_bytes, udp_bytes


def test_only_the_first_hooks_packets_are_kept_where_both_ends_are_traced():
    one = OneCopy()
    kept = [record for record in both_ends(a_whole_talk()) if one.keep(record)]
    assert [record.direction for record in kept] == [SEND] * 11
    assert feed(Streams(), kept, finish=99) == EXPECTED


def test_all_packets_are_kept_where_one_end_is_traced():
    one = OneCopy()
    assert all(one.keep(record) for record in a_whole_talk().records * 2)


def test_a_retransmission_is_no_copy_at_either_hook():
    data = tcp_bytes(CLIENT, SERVER, 1, 1, "PA", b"again")
    one = OneCopy()
    keep = [
        one.keep(packet(data, direction, 0, socket))
        for direction, socket in ((SEND, SOCKET), (SEND, SOCKET), (RECV, SOCKET.swapped), (RECV, SOCKET.swapped))
    ]
    assert keep == [True, True, False, False]


def test_a_listeners_socket_does_not_hide_that_it_is_a_copy():
    data = tcp_bytes(CLIENT, SERVER, 1, 1, "S")
    listener = SocketAddresses(Endpoint(bytes(4), 443), Endpoint(bytes(4), 0))
    for second in (listener, None):
        one = OneCopy()
        assert (one.keep(packet(data, SEND, 0, SOCKET)), one.keep(packet(data, RECV, 0, second))) == (True, False)


def test_the_same_flow_on_the_wire_of_two_connections_behind_nat_is_kept_for_both():
    """A server's answers pass its own hook and the client's, whose socket has the address before translation."""
    data = tcp_bytes(SERVER, CLIENT, 1, 1, "PA", b"answer")
    one = OneCopy()
    assert one.keep(packet(data, SEND, 0, SOCKET.swapped))
    assert one.keep(packet(data, RECV, 0, SocketAddresses(CLIENT, endpoint("10.9.9.9:443"))))


def test_network_namespaces_and_protocols_are_told_apart():
    one = OneCopy()
    data = tcp_bytes(CLIENT, SERVER, 1, 1, "S")
    assert one.keep(packet(data, SEND))
    assert one.keep(msgspec.structs.replace(packet(data, RECV), netns=5))
    assert one.keep(packet(udp_bytes(CLIENT, SERVER, b"x"), RECV))
    assert not one.keep(packet(udp_bytes(CLIENT, SERVER, b"x"), SEND))


def test_what_cannot_be_read_is_kept():
    one = OneCopy()
    assert [one.keep(packet(b"junk", direction)) for direction in (SEND, RECV)] == [True, True]


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(onecopy, "MAX_FLOWS", 3)
    one = OneCopy()
    for port in range(1, 10):
        one.keep(packet(udp_bytes(endpoint(f"10.0.0.2:{port}"), SERVER, b"x"), SEND))
    assert len(one._owners) == 3


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(Direction), st.binary(max_size=60)), max_size=10))
def test_any_bytes_are_kept_or_not_and_nothing_else(records):
    """Any bytes give True or False."""
    one = OneCopy()
    assert {one.keep(Packet(0, direction, len(data), data)) for direction, data in records} <= {True, False}

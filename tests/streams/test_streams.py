import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goproxy_ebpf.records.capture import Egress, Loss, Packet, TcpEvent
from goproxy_ebpf.records.common import Direction, Endpoint, SocketAddresses
from goproxy_ebpf.records.flow import (
    ConnectionClosed,
    ConnectionEstablished,
    ConnectionOpened,
    Datagram,
    DirectionBytes,
    StreamBytes,
    StreamGap,
)
from goproxy_ebpf.streams import Streams

from .wire import (
    CLIENT,
    MASK,
    NETNS,
    RECV,
    SEND,
    SERVER,
    Talk,
    content,
    endpoint,
    feed,
    only,
    packet,
    tcp_bytes,
    udp_bytes,
)

SOCKET = SocketAddresses(CLIENT, SERVER)


def a_whole_talk(**how) -> Talk:
    talk = Talk(**how).hello()
    talk.out(0, "PA", b"question").into(0, "A", ack=8).into(0, "PA", b"ans", ack=8).into(3, "PA", b"wer", ack=8)
    return talk.out(8, ack=6).out(8, "FA", ack=6).into(6, "FA", ack=9).out(9, ack=7)


EXPECTED = [
    ConnectionOpened(1, 1, SOCKET, NETNS, 0, True),
    ConnectionEstablished(1, 3, 1),
    StreamBytes(1, SEND, 4, 0, b"question"),
    StreamBytes(1, RECV, 6, 0, b"ans"),
    StreamBytes(1, RECV, 7, 3, b"wer"),
    ConnectionClosed(1, 11, "fin", DirectionBytes(span=8, on_wire=8), DirectionBytes(span=6, on_wire=6)),
]


@pytest.mark.parametrize("sockets", [True, False])
def test_a_connection_from_syn_to_last_acknowledgment(sockets):
    assert feed(Streams(), a_whole_talk(sockets=sockets).records, finish=99) == EXPECTED


def test_a_connection_over_ipv6_with_the_wrap_of_both_sequences():
    talk = a_whole_talk(
        client=endpoint("[fd00::2]:1"), server=endpoint("[fd00::1]:2"), client_isn=MASK, server_isn=MASK - 2
    )
    expected = [msgspec.structs.replace(EXPECTED[0], addresses=talk.socket), *EXPECTED[1:]]
    assert feed(Streams(), talk.records, finish=99) == expected


def test_a_mapped_address_is_the_ipv4_address():
    mapped = Endpoint(b"\0" * 10 + b"\xff\xff" + SERVER.address, SERVER.port)
    streams = Streams()
    records = [msgspec.structs.replace(r, socket=SocketAddresses(CLIENT, mapped)) for r in a_whole_talk().records]
    assert feed(streams, records, finish=99) == EXPECTED
    assert streams.connection_of(SOCKET, NETNS) == streams.connection_of(SocketAddresses(mapped, CLIENT), NETNS) == 1
    assert streams.connection_of(SOCKET, NETNS + 1) == 0


def test_the_traced_server_sends_what_it_sends():
    records = [
        msgspec.structs.replace(r, direction=r.direction.other, socket=SOCKET.swapped) for r in a_whole_talk().records
    ]
    events = feed(Streams(), records, finish=99)
    assert (content(events, SEND), content(events, RECV)) == (b"answer", b"question")
    assert only(events, ConnectionOpened) == [ConnectionOpened(1, 1, SOCKET.swapped, NETNS, 0, True)]


def test_translated_addresses_on_the_way_in_do_not_matter_where_the_socket_is_known():
    real = endpoint("192.168.9.9:8443")

    def translated(record: Packet) -> Packet:
        data = record.data[:12] + real.address + record.data[16:20] + (8443).to_bytes(2, "big") + record.data[22:]
        return msgspec.structs.replace(record, data=data) if record.direction is RECV else record

    records = [translated(record) for record in a_whole_talk().records]
    last = records[-2]
    # The last packet in comes when the socket is in TIME_WAIT, which is no full socket.
    records[-2] = msgspec.structs.replace(last, socket=None)
    streams = Streams()
    assert feed(streams, records) == EXPECTED
    late = [msgspec.structs.replace(record, socket=None) for record in records if record.direction is RECV]
    assert feed(streams, late[1:], finish=99) == []


def test_two_connections_behind_nat_with_one_flow_on_the_wire_are_told_apart_by_their_sockets():
    other = SocketAddresses(CLIENT, endpoint("10.9.9.9:443"))
    direct = Talk().hello().into(0, "PA", b"direct")
    behind = Talk(client_isn=5, server_isn=70).hello().into(0, "PA", b"behind")
    behind.records[0] = Talk(server=other.remote, client_isn=5).out(-1, "S", ack=MASK).records[0]
    behind.records[2] = Talk(server=other.remote, client_isn=5, server_isn=70).out(0).records[0]
    moved = [msgspec.structs.replace(record, socket=other) for record in behind.records]
    mixed = [record for pair in zip(direct.records, moved, strict=True) for record in pair]
    assert [(e.connection, e.data) for e in only(feed(Streams(), mixed), StreamBytes)] == [
        (1, b"direct"),
        (2, b"behind"),
    ]


def test_a_socket_that_has_lost_its_port_still_resets_its_connection():
    """close() with unread data gives the port back before it sends the RST."""
    talk = Talk().hello().state("ESTABLISHED", "CLOSE", 0).out(0, "RA")
    portless = SocketAddresses(Endpoint(CLIENT.address, 0), SERVER)
    talk.records[-1] = msgspec.structs.replace(talk.records[-1], socket=portless)
    assert [(e.at_ns, e.how) for e in only(feed(Streams(), talk.records), ConnectionClosed)] == [(5, "reset")]
    # The same behind NAT: the addresses on the wire are not the socket's.
    other = SocketAddresses(CLIENT, endpoint("10.9.9.9:443"))
    behind = [r if isinstance(r, TcpEvent) else msgspec.structs.replace(r, socket=other) for r in talk.records]
    del behind[3]
    behind[-1] = msgspec.structs.replace(behind[-1], socket=SocketAddresses(portless.local, other.remote))
    assert [(e.at_ns, e.how) for e in only(feed(Streams(), behind), ConnectionClosed)] == [(5, "reset")]


def test_a_listeners_socket_on_a_syn_has_no_say():
    records = a_whole_talk().records
    listener = SocketAddresses(Endpoint(bytes(4), 443), Endpoint(bytes(4), 0))
    turned = [msgspec.structs.replace(r, direction=r.direction.other, socket=SOCKET.swapped) for r in records]
    turned[0] = msgspec.structs.replace(turned[0], socket=listener)
    turned[1] = msgspec.structs.replace(turned[1], socket=listener)
    expected = feed(Streams(), [msgspec.structs.replace(r, socket=SOCKET.swapped) for r in turned], finish=99)
    assert feed(Streams(), turned, finish=99) == expected


def both_ends(talk: Talk) -> list[Packet]:
    """Every packet at the sender's egress hook, then at the receiver's ingress hook."""
    records = []
    for record in talk.records:
        mine = SOCKET if record.direction is SEND else SOCKET.swapped
        records.append(msgspec.structs.replace(record, direction=SEND, socket=mine))
        records.append(msgspec.structs.replace(record, direction=RECV, socket=mine.swapped))
    return records


def test_a_connection_with_both_ends_traced_is_one_connection_of_the_client():
    talk = a_whole_talk()
    assert feed(Streams(), both_ends(talk), finish=99) == EXPECTED


def test_what_the_other_traced_ends_socket_says_changes_nothing():
    packets = a_whole_talk().records
    server = Talk(client_isn=Talk().server_isn, server_isn=Talk().client_isn)
    noise = [
        *server.egress(0, b"answer", swapped=True, pid=88).records,
        *server.state("SYN_RECV", "ESTABLISHED", 0, socket=SOCKET.swapped, pid=88).records[-1:],
        *server.state("ESTABLISHED", "CLOSE", 3, socket=SOCKET.swapped, pid=88).records[-1:],
    ]
    for packet_number in range(1, 8):
        records = packets[:packet_number] + noise + packets[packet_number:]
        assert feed(Streams(), records, finish=99) == EXPECTED


def test_a_new_syn_on_known_addresses_is_another_connection_and_a_repeated_one_is_not():
    first = Talk().out(-1, "S", ack=3).out(-1, "S", ack=3).into(-1, "SA").out(0).out(0, "PA", b"one")
    second = Talk(client_isn=77777, at=20).hello().out(0, "PA", b"two")
    events = feed(Streams(), first.records + second.records, finish=50)
    assert [(type(e).__name__, e.connection) for e in events] == [
        ("ConnectionOpened", 1),
        ("ConnectionEstablished", 1),
        ("StreamBytes", 1),
        ("ConnectionClosed", 1),
        ("ConnectionOpened", 2),
        ("ConnectionEstablished", 2),
        ("StreamBytes", 2),
        ("ConnectionClosed", 2),
    ]
    assert [e.how for e in only(events, ConnectionClosed)] == ["abandoned", "open"]
    assert only(events, ConnectionEstablished)[0].rtt_ns == 1  # from the second SYN


def test_late_packets_of_a_closed_connection_open_nothing_but_a_new_syn_does():
    talk = a_whole_talk()
    streams = Streams()
    feed(streams, talk.records)
    assert feed(streams, talk.records) == []
    assert streams.connection_of(SOCKET, NETNS) == 1
    again = feed(streams, Talk(client_isn=5).hello().records, finish=9)
    assert [type(event).__name__ for event in again] == [
        "ConnectionOpened",
        "ConnectionEstablished",
        "ConnectionClosed",
    ]
    assert streams.connection_of(SOCKET, NETNS) == 2


def test_the_same_addresses_in_another_network_namespace_are_another_connection():
    others = [msgspec.structs.replace(record, netns=5) for record in a_whole_talk().records]
    mixed = [record for pair in zip(a_whole_talk().records, others, strict=True) for record in pair]
    events = feed(Streams(), mixed, finish=99)
    assert [event for event in events if event.connection == 1] == EXPECTED
    assert len(events) == 2 * len(EXPECTED)


def test_a_connection_without_its_syn_begins_at_the_first_byte_seen_and_says_so():
    talk = Talk().into(500, "PA", b"middle", ack=90).out(90, "A", ack=506).out(90, "PA", b"next", ack=506)
    events = feed(Streams(), talk.records, finish=99)
    assert events == [
        ConnectionOpened(1, 1, SOCKET, NETNS, 0, False),
        StreamBytes(1, RECV, 1, 0, b"middle"),
        StreamBytes(1, SEND, 3, 0, b"next"),
        ConnectionClosed(1, 99, "open", DirectionBytes(span=4, on_wire=4), DirectionBytes(span=6, on_wire=6)),
    ]


def test_a_connection_whose_syn_alone_was_lost_is_complete():
    events = feed(Streams(), a_whole_talk().records[1:], finish=99)
    assert events == [
        ConnectionOpened(1, 2, SOCKET, NETNS, 0, True),
        ConnectionEstablished(1, 3, 0),
        *EXPECTED[2:],
    ]


def test_a_lost_syn_ack_loses_no_bytes():
    records = a_whole_talk().records
    lost_answer = feed(Streams(), [records[0], *records[2:]], finish=99)
    assert lost_answer == [EXPECTED[0], *EXPECTED[2:]]


@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_syn_does_not_hide_that_the_bytes_behind_it_are_lost_too(lost):
    records = Talk().hello().out(3, "PA", b"sent").into(5, "PA", b"received").records
    events = feed(Streams(), records[:lost] + records[lost + 1 :], finish=99)
    assert (content(events, SEND), content(events, RECV)) == (b"???sent", b"?????received")


def test_acknowledgments_and_resets_of_unknown_connections_open_nothing():
    talk = Talk().out(5, "A", ack=9).into(9, "R").into(9, "FA", ack=5)
    assert feed(Streams(), talk.records, finish=99) == []


def test_data_in_a_syn_stands_at_the_begin():
    talk = Talk().out(-1, "S", b"early").into(-1, "SA", ack=5).out(5, "PA", b"later", ack=0)
    events = feed(Streams(), talk.records, finish=9)
    assert content(events, SEND) == b"earlylater"
    assert only(events, ConnectionEstablished) == [ConnectionEstablished(1, 3, 1)]


def test_a_reset_closes_at_once_and_delivers_what_was_kept():
    talk = Talk().hello().into(2, "PA", b"cd").into(4, "R")
    events = feed(Streams(), talk.records)[2:]
    assert events == [
        StreamGap(1, RECV, 4, 0, 2, "never seen before the end"),
        StreamBytes(1, RECV, 4, 2, b"cd"),
        ConnectionClosed(1, 5, "reset", DirectionBytes(), DirectionBytes(span=4, on_wire=2, missing=2)),
    ]


def test_a_reset_behind_what_was_acknowledged_is_no_end():
    talk = Talk().hello().into(0, "PA", b"abcd").out(0, ack=4).into(1, "R").into(4, "PA", b"ef")
    assert content(feed(Streams(), talk.records), RECV) == b"abcdef"


def test_a_refused_connection_is_reset():
    talk = Talk().out(-1, "S")
    talk.records.append(packet(tcp_bytes(SERVER, CLIENT, 0, talk.client_isn + 1, "RA"), RECV, 2, SOCKET))
    assert feed(Streams(), talk.records)[1:] == [ConnectionClosed(1, 2, "reset", DirectionBytes(), DirectionBytes())]


def test_one_fin_is_an_orderly_end_when_the_run_ends():
    talk = Talk().hello().out(0, "FA")
    assert feed(Streams(), talk.records, finish=9)[-1].how == "fin"


def test_a_retransmission_is_counted_and_delivered_once():
    talk = Talk().hello().out(0, "PA", b"abc").out(0, "PA", b"abcdef").into(0, ack=6)
    events = feed(Streams(), talk.records, finish=9)
    assert content(events, SEND) == b"abcdef"
    assert events[-1].sent == DirectionBytes(span=6, on_wire=6, retransmitted=3)


def test_packets_above_64_kib_are_whole():
    talk = Talk().hello()
    data = tcp_bytes(SERVER, CLIENT, talk.server_isn + 1, talk.client_isn + 1, "PA", b"x" * 100)
    data = data[:2] + b"\0\0" + data[4:] + b"y" * 200_000
    talk.records.append(packet(data, RECV, 4, SOCKET))
    assert content(feed(Streams(), talk.records), RECV) == b"x" * 100 + b"y" * 200_000


def test_a_packet_cut_off_in_the_capture_leaves_a_gap():
    talk = Talk().hello().into(0, "PA", b"abcdef", cut=4).into(6, "PA", b"gh")
    events = feed(Streams(), talk.records, finish=9)
    assert content(events, RECV) == b"ab????gh"
    assert events[-1].received == DirectionBytes(span=8, on_wire=8, missing=4)


def test_what_cannot_be_read_is_counted():
    streams = Streams()
    whole = tcp_bytes(CLIENT, SERVER, 1, 1, "S")
    fragment = whole[:6] + b"\x20\0" + whole[8:]
    assert feed(streams, [packet(b"\0" * 9, SEND), packet(fragment, SEND), packet(whole[:30], SEND, seen=40)]) == []
    assert streams.losses(7) == [Loss(7, "unreadable packets", 2, 49), Loss(7, "fragments", 1, 40)]


def test_the_process_is_known_from_the_cookie_of_the_state_change_before_the_port_was_chosen():
    before = SocketAddresses(Endpoint(CLIENT.address, 0), SERVER)
    talk = Talk().state("CLOSE", "SYN_SENT", pid=42, socket=before, cookie=9)
    talk.hello()
    talk.records[1] = msgspec.structs.replace(talk.records[1], cookie=9)
    streams = Streams()
    events = feed(streams, talk.records)
    assert events[0] == ConnectionOpened(1, 2, SOCKET, NETNS, 42, True)


def test_the_process_is_known_from_the_state_change_or_from_egress_before_or_after_the_packets():
    early = Talk().state("CLOSE", "SYN_SENT", pid=42).hello()
    assert [e.pid for e in only(feed(Streams(), early.records), ConnectionOpened)] == [42]
    first = Talk().egress(0, b"x", pid=43).hello()
    assert [e.pid for e in only(feed(Streams(), first.records), ConnectionOpened)] == [43]
    late = Talk().hello().egress(0, b"x", pid=44)
    streams = Streams()
    assert [e.pid for e in only(feed(streams, late.records), ConnectionOpened)] == [0]
    assert streams.pid_of(1) == 44
    assert [e.pid for e in streams.finish(9)] == [44]
    assert streams.pid_of(1) == 0


def test_a_socket_that_is_gone_without_fin_or_reset_is_abandoned_after_a_second():
    talk = Talk().state("CLOSE", "SYN_SENT", pid=42).out(-1, "S").state("SYN_SENT", "CLOSE")
    streams = Streams()
    feed(streams, talk.records)
    other = Talk(client=endpoint("10.0.0.2:40001"), at=10**9 + 3).state("CLOSE", "SYN_SENT")
    assert [(e.connection, type(e)) for e in feed(streams, other.records)] == [
        (1, ConnectionClosed),
        (2, ConnectionOpened),
    ]
    assert only(feed(Streams(), talk.records, finish=9), ConnectionClosed)[0].how == "abandoned"


def test_the_reset_that_follows_the_end_of_its_socket_is_still_seen():
    talk = Talk().state("CLOSE", "SYN_SENT").hello().state("ESTABLISHED", "CLOSE", 0).out(0, "RA")
    assert [e.how for e in only(feed(Streams(), talk.records), ConnectionClosed)] == ["reset"]


def test_an_orphan_whose_peers_fin_no_hook_sees_has_an_orderly_end_when_its_socket_is_gone():
    talk = Talk().hello().out(0, "FA").into(0, ack=1)
    talk.state("FIN_WAIT1", "FIN_WAIT2", 1).state("FIN_WAIT2", "CLOSE", 1)
    assert [(e.at_ns, e.how) for e in only(feed(Streams(), talk.records, finish=99), ConnectionClosed)] == [(7, "fin")]
    later = Talk(client=endpoint("10.0.0.2:9"), at=10**9 + 7).state("ESTABLISHED", "CLOSE", 0).records
    assert [(e.at_ns, e.how) for e in feed(Streams(), talk.records + later)[2:]] == [(7, "fin")]


def test_packets_whose_network_namespace_is_unknown_are_joined_by_their_ends():
    talk = Talk().state("CLOSE", "SYN_SENT", pid=42)
    named = (
        talk.hello().egress(0, b"question").out(0, "PA", b"question").into(0, "R", ack=8).into(0, "PA", b"late").records
    )
    records = [msgspec.structs.replace(r, netns=0) if isinstance(r, Packet) else r for r in named]
    assert feed(Streams(), records, finish=99) == feed(Streams(), named, finish=99)
    streams = Streams()
    events = feed(streams, records[1:], finish=99)
    assert {event.connection for event in events} == {1}
    assert only(events, ConnectionClosed)[0].sent == DirectionBytes(span=8, on_wire=8, offered=8, matches=True)
    assert streams.connection_of(SOCKET, NETNS) == streams.connection_of(SOCKET, 0) == 1


def test_a_socket_that_begins_to_connect_on_the_addresses_of_an_open_connection_is_another():
    talk = Talk().hello()
    streams = Streams()
    feed(streams, talk.records)
    events = feed(streams, Talk(client_isn=5, at=9).state("CLOSE", "SYN_SENT", pid=3).hello().records)
    assert [(type(e).__name__, e.connection) for e in events] == [
        ("ConnectionClosed", 1),
        ("ConnectionOpened", 2),
        ("ConnectionEstablished", 2),
    ]
    assert only(events, ConnectionOpened)[0].pid == 3


def test_a_socket_that_begins_to_connect_after_its_syn_was_seen_is_that_connections():
    talk = Talk().out(-1, "S").state("CLOSE", "SYN_SENT", pid=3)
    streams = Streams()
    assert len(feed(streams, talk.records)) == 1
    assert streams.pid_of(1) == 3


def test_dns_over_tcp_from_mid_stream_is_not_passed_on():
    talk = Talk(server=endpoint("10.0.0.53:53")).out(5, "PA", b"\0\1q")
    events = feed(Streams(), talk.records)
    assert [type(event) for event in events] == [ConnectionOpened, StreamBytes]


def test_datagrams_of_port_53_are_passed_on_and_others_are_not():
    resolver = endpoint("10.0.0.53:53")
    asking = endpoint("10.0.0.2:5353")
    socket = SocketAddresses(asking, resolver)
    unconnected = SocketAddresses(Endpoint(bytes(4), 5353), Endpoint(bytes(4), 0))
    real = endpoint("127.0.0.11:34567")  # where a container's resolver is translated to
    records = [
        packet(udp_bytes(asking, resolver, b"q"), SEND, 1, socket),
        packet(udp_bytes(resolver, asking, b"a"), RECV, 2, unconnected),
        packet(udp_bytes(real, asking, b"a"), RECV, 3, socket),
        packet(udp_bytes(asking, SERVER, b"quic"), SEND, 4, SocketAddresses(asking, SERVER)),
        packet(udp_bytes(asking, SERVER, b"quic"), SEND, 5),
        packet(udp_bytes(asking, resolver, b"question")[:-2], SEND, 6, seen=36),
    ]
    streams = Streams()
    assert feed(streams, records) == [
        Datagram(1, SEND, socket, NETNS, b"q"),
        Datagram(2, RECV, socket, NETNS, b"a"),
        Datagram(3, RECV, socket, NETNS, b"a"),
    ]
    assert streams.losses(0) == [Loss(0, "datagrams cut off in the capture", 1, 36)]


def test_dns_over_tcp_is_passed_on_until_a_gap():
    talk = Talk(server=endpoint("10.0.0.53:53")).hello().out(0, "PA", b"\0\1q").into(0, "PA", b"\0\2", ack=3)
    talk.into(3, "PA", b"b", ack=3).into(2, "PA", b"a", ack=3).into(4, "PA", b"x", cut=1).into(5, "PA", b"never")
    events = feed(Streams(), talk.records, finish=99)
    socket = talk.socket
    assert only(events, Datagram) == [
        Datagram(4, SEND, socket, NETNS, b"\0\1q", "tcp"),
        Datagram(5, RECV, socket, NETNS, b"\0\2", "tcp"),
        Datagram(7, RECV, socket, NETNS, b"a", "tcp"),
        Datagram(7, RECV, socket, NETNS, b"b", "tcp"),
        Datagram(8, RECV, socket, NETNS, b"", "tcp"),
        Datagram(99, SEND, socket, NETNS, b"", "tcp"),
        Datagram(99, RECV, socket, NETNS, b"", "tcp"),
    ]
    assert content(events, RECV) == b"\0\2ab?never"


def test_ten_thousand_connections_leave_little_behind():
    streams = Streams()
    for number in range(10_000):
        client = Endpoint(b"\x0a\0" + number.to_bytes(2, "big"), 1000)
        for record in a_whole_talk_fast(client):
            streams.feed(record)
    assert (len(streams._table), len(streams._flows[SEND]), len(streams._flows[RECV])) == (0, 0, 0)
    assert streams.connection_of(SocketAddresses(client, SERVER), NETNS) == 10_000


TEMPLATE = a_whole_talk().records


def a_whole_talk_fast(client: Endpoint):
    for record in TEMPLATE:
        at = 12 if record.direction is SEND else 16
        data = record.data[:at] + client.address + record.data[at + 4 :]
        ports = 20 if record.direction is SEND else 22
        data = data[:ports] + client.port.to_bytes(2, "big") + data[ports + 2 :]
        yield msgspec.structs.replace(record, data=data, socket=SocketAddresses(client, SERVER))


def test_open_connections_are_bounded(monkeypatch):
    monkeypatch.setattr("goproxy_ebpf.streams.streams.MAX_OPEN", 2)
    records = [Talk(client=endpoint(f"10.0.0.2:{port}")).out(-1, "S").records[0] for port in (1, 2, 3)]
    events = feed(Streams(), records)
    assert [(type(e).__name__, e.connection) for e in events] == [
        ("ConnectionOpened", 1),
        ("ConnectionOpened", 2),
        ("ConnectionClosed", 1),
        ("ConnectionOpened", 3),
    ]


ANY_SEGMENT = st.builds(
    lambda ends, sequence, acknowledgment, flags, payload: tcp_bytes(*ends, sequence, acknowledgment, flags, payload),
    st.sampled_from([(CLIENT, SERVER), (SERVER, CLIENT), (CLIENT, CLIENT), (CLIENT, endpoint("10.0.0.1:53"))]),
    st.one_of(st.integers(0, 40), st.integers(MASK - 5, MASK), st.integers(0, MASK)),
    st.one_of(st.integers(0, 40), st.integers(0, MASK)),
    st.sampled_from(["S", "SA", "A", "PA", "FA", "F", "R", "RA", "SF", "SR", ""]),
    st.binary(max_size=12),
)
ANY_SOCKET = st.sampled_from([None, SOCKET, SOCKET.swapped, SocketAddresses(SERVER, Endpoint(b"", 0))])
NUMBER = st.one_of(st.integers(0, 40), st.integers(0, MASK), st.integers(-(2**40), 2**40))
STATES = st.sampled_from(["SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2", "CLOSE_WAIT", "CLOSE", "?"])
ANY_RECORD = st.one_of(
    st.builds(
        Packet,
        st.integers(0, 10**11),
        st.sampled_from(Direction),
        st.integers(0, 200),
        st.one_of(ANY_SEGMENT, st.binary(max_size=80)),
        ANY_SOCKET,
        st.integers(0, 1),
    ),
    st.builds(
        lambda direction, socket, data, cut: Packet(0, direction, len(data), data[: len(data) - cut], socket),
        st.sampled_from(Direction),
        ANY_SOCKET,
        ANY_SEGMENT,
        st.sampled_from([0, 0, 3]),
    ),
    st.builds(
        Egress,
        st.integers(0, 99),
        st.just("sk_msg"),
        st.integers(0, 3),
        st.just(1),
        st.sampled_from([SOCKET, SOCKET.swapped]),
        NUMBER,
        NUMBER,
        st.binary(max_size=20),
        NUMBER,
    ),
    st.builds(
        TcpEvent,
        st.integers(0, 10**11),
        st.sampled_from(["state", "retransmit"]),
        st.sampled_from([SOCKET, SOCKET.swapped]),
        st.integers(0, 3),
        STATES,
        STATES,
        NUMBER,
        NUMBER,
        NUMBER,
        NUMBER,
    ),
)


@settings(max_examples=600, deadline=None)
@given(st.lists(ANY_RECORD, max_size=30), st.booleans())
def test_any_records_give_events_that_hold_together(records, packets):
    """Any records: each connection opens once, its bytes follow each other, it closes once, and the spans fit."""
    state: dict[int, dict] = {}
    for event in feed(Streams(packets=packets), records, finish=5):
        if isinstance(event, Datagram):
            continue
        if isinstance(event, ConnectionOpened):
            assert event.connection == len(state) + 1
            state[event.connection] = {SEND: 0, RECV: 0, "missing": {SEND: 0, RECV: 0}}
            continue
        now = state[event.connection]
        assert "closed" not in now
        if isinstance(event, StreamBytes | StreamGap):
            assert event.offset == now[event.direction]
            length = len(event.data) if isinstance(event, StreamBytes) else event.length
            assert length > 0
            now[event.direction] += length
            if isinstance(event, StreamGap):
                now["missing"][event.direction] += length
        elif isinstance(event, ConnectionClosed):
            now["closed"] = True
            for direction, proof in ((SEND, event.sent), (RECV, event.received)):
                assert proof.missing == now["missing"][direction]
                assert proof.span == now[direction] + proof.unsent
                assert 0 <= proof.on_wire <= proof.span
    assert all("closed" in now for now in state.values())

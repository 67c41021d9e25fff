"""What the egress hook and the socket's state changes add to the packets."""

import msgspec
import pytest

from goproxy_ebpf.records.flow import ConnectionClosed, ConnectionOpened, DirectionBytes, StreamBytes, StreamGap
from goproxy_ebpf.streams import Streams, egress

from .wire import RECV, SEND, Talk, content, feed, only


def closed(events) -> ConnectionClosed:
    (found,) = only(events, ConnectionClosed)
    return found


def test_both_views_agree_and_the_proof_adds_up():
    talk = Talk().hello().egress(0, b"abcdef").out(0, "PA", b"abc").out(3, "PA", b"def").into(0, ack=6)
    talk.state("ESTABLISHED", "FIN_WAIT1", 6).out(6, "FA").into(0, "FA", ack=7).state("FIN_WAIT2", "CLOSE", 7).out(
        7, ack=1
    )
    events = feed(Streams(), talk.records)
    assert content(events, SEND) == b"abcdef"
    assert closed(events) == ConnectionClosed(
        1,
        talk.at,
        "fin",
        DirectionBytes(span=6, on_wire=6, offered=6, accepted=6, matches=True),
        DirectionBytes(),
        250,
        77,
    )


def test_views_that_differ_in_one_byte_do_not_match_and_the_packets_stand():
    talk = Talk().hello().egress(0, b"abcdef").out(0, "PA", b"abX").out(3, "PA", b"def")
    events = feed(Streams(), talk.records, finish=99)
    assert content(events, SEND) == b"abXdef"
    assert closed(events).sent.matches is False


def test_a_match_is_unknown_where_nothing_could_be_compared():
    talk = Talk().hello().out(0, "PA", b"abc").egress(0, b"abc")
    assert closed(feed(Streams(), talk.records, finish=99)).sent == DirectionBytes(span=3, on_wire=3, offered=3)


def test_the_same_bytes_offered_again_by_each_turn_of_a_send_are_one():
    talk = (
        Talk().hello().egress(0, b"abcd", seen=8).egress(3, b"defg", seen=5).egress(7, b"h").egress(0, b"abcd", seen=8)
    )
    talk.out(0, "PA", b"abcdefgh")
    events = feed(Streams(), talk.records, finish=99)
    assert closed(events).sent == DirectionBytes(span=8, on_wire=8, offered=8, matches=True)


def test_what_is_offered_later_at_the_same_place_replaces_what_was_not_taken():
    talk = Talk().hello().egress(0, b"ab1").egress(3, b"OLD").egress(2, b"new").out(0, "PA", b"abnew")
    assert closed(feed(Streams(), talk.records, finish=99)).sent.matches is True


def test_a_hole_in_the_packets_is_filled_at_once_when_the_peer_has_acknowledged_it():
    talk = Talk().hello().egress(0, b"lost").into(0, ack=2)
    streams = Streams()
    assert feed(streams, talk.records)[2:] == [StreamBytes(1, SEND, 4, 0, b"lo")]
    assert feed(streams, Talk(at=9).into(0, ack=4).records) == [StreamBytes(1, SEND, 4, 2, b"st")]
    events = feed(streams, Talk(at=20).out(4, "PA", b"more").records, finish=99)
    assert closed(events).sent == DirectionBytes(span=8, on_wire=4, offered=4)


def test_a_hole_is_filled_as_far_as_the_egress_view_goes():
    talk = Talk().hello().egress(1, b"bc").out(0, "PA", b"").out(5, "PA", b"f").into(0, ack=6)
    talk.records.insert(3, Talk().out(0, "PA", b"a").records[0])
    talk.records.insert(0, talk.records.pop(0))
    events = feed(Streams(), talk.records, finish=99)
    assert content(events, SEND) == b"abc??f"
    assert only(events, StreamGap) == [StreamGap(1, SEND, 6, 3, 2, "not captured")]
    assert closed(events).sent == DirectionBytes(span=6, on_wire=2, missing=2, offered=2)


def test_the_tail_of_a_packet_cut_off_in_the_capture_is_filled():
    talk = Talk().hello().egress(0, b"abcdef").out(0, "PA", b"abcdef", cut=4).out(6, "PA", b"gh")
    events = feed(Streams(), talk.records, finish=99)
    assert content(events, SEND) == b"abcdefgh"
    assert closed(events).sent == DirectionBytes(span=8, on_wire=8, offered=6, matches=True)


def test_accepted_bytes_that_never_left_are_unsent_and_not_delivered():
    talk = Talk().hello().egress(0, b"abcdef").out(0, "PA", b"ab").state("ESTABLISHED", "CLOSE", 5).into(0, "R", ack=2)
    events = feed(Streams(), talk.records)
    assert content(events, SEND) == b"ab"
    expected = DirectionBytes(span=5, on_wire=2, offered=6, accepted=5, unsent=3, matches=True)
    assert (closed(events).how, closed(events).sent) == ("reset", expected)


@pytest.mark.parametrize(
    ("changes", "accepted"),
    [
        # tcp_close, tcp_shutdown: the state changes before tcp_send_fin counts the FIN.
        ([("ESTABLISHED", "FIN_WAIT1", 3)], 3),
        ([("ESTABLISHED", "FIN_WAIT1", 3), ("FIN_WAIT1", "FIN_WAIT2", 4), ("FIN_WAIT2", "CLOSE", 4)], 3),
        ([("FIN_WAIT1", "FIN_WAIT2", 4)], 3),
        ([("FIN_WAIT2", "CLOSE", 4)], 3),
        ([("FIN_WAIT1", "CLOSING", 4)], 3),
        ([("ESTABLISHED", "CLOSE_WAIT", 1), ("CLOSE_WAIT", "LAST_ACK", 3), ("LAST_ACK", "CLOSE", 4)], 3),
        ([("LAST_ACK", "CLOSE", 4)], 3),
        # Aborts queue no FIN.
        ([("ESTABLISHED", "CLOSE", 3)], 3),
        ([("CLOSE_WAIT", "CLOSE", 3)], 3),
        # No FIN could be queued for want of memory: what was said before stands.
        ([("ESTABLISHED", "FIN_WAIT1", 3), ("FIN_WAIT1", "CLOSE", 3)], 3),
        # Not the end of writing.
        ([("SYN_SENT", "ESTABLISHED", 0)], None),
        ([("SYN_SENT", "CLOSE", 0)], None),
        ([("SYN_RECV", "ESTABLISHED", 0)], None),
        ([("ESTABLISHED", "CLOSE_WAIT", 1)], None),
    ],
)
def test_what_the_socket_took_is_its_write_sequence_without_a_fin_that_is_counted(changes, accepted):
    talk = Talk().hello().out(0, "PA", b"abc")
    for change in changes:
        talk.state(*change)
    assert closed(feed(Streams(), talk.records, finish=99)).sent.accepted == accepted


def test_a_connection_that_is_in_no_packet_is_delivered_from_the_egress_view_at_its_end():
    talk = Talk().state("CLOSE", "SYN_SENT", pid=5).egress(0, b"abc").egress(3, b"def").state("ESTABLISHED", "CLOSE", 5)
    events = feed(Streams(), talk.records, finish=99)
    assert content(events, SEND) == b"abcde"
    assert closed(events).sent == DirectionBytes(span=5, offered=6, accepted=5)


def test_without_packets_bytes_are_delivered_as_soon_as_the_socket_has_taken_them():
    talk = Talk().state("CLOSE", "SYN_SENT", pid=5).state("SYN_SENT", "ESTABLISHED", 0)
    talk.egress(0, b"abcdef").egress(3, b"def").egress(8, b"ij").state("ESTABLISHED", "FIN_WAIT1", 9)
    talk.state("FIN_WAIT1", "FIN_WAIT2", 10).state("FIN_WAIT2", "CLOSE", 10)
    streams = Streams(packets=False)
    events = [feed(streams, [record]) for record in talk.records]
    assert events == [
        [ConnectionOpened(1, 1, talk.socket, events[0][0].netns, 5, True)],
        [type(events[1][0])(1, 2, 1)],
        [],
        [StreamBytes(1, SEND, 3, 0, b"abc")],
        [StreamBytes(1, SEND, 4, 3, b"def"), StreamGap(1, SEND, 5, 6, 2, "not read at the egress hook")],
        [StreamBytes(1, SEND, 5, 8, b"i")],
        [],
        [
            ConnectionClosed(
                1, 8, "fin", DirectionBytes(span=9, missing=2, offered=8, accepted=9), DirectionBytes(), 250, 5
            )
        ],
    ]


def test_without_packets_and_state_changes_all_that_was_offered_is_delivered():
    events = feed(Streams(packets=False), Talk().egress(0, b"abc").egress(3, b"def").records, finish=99)
    assert content(events, SEND) == b"abcdef"
    assert only(events, ConnectionOpened)[0].complete is False
    assert closed(events).sent == DirectionBytes(span=6, offered=6)


def test_without_packets_addresses_that_are_used_again_are_another_connection():
    talk = Talk().state("SYN_SENT", "ESTABLISHED", 0).egress(0, b"one").state("ESTABLISHED", "CLOSE", 3)
    second = Talk(client_isn=55555, at=50).state("SYN_SENT", "ESTABLISHED", 0).egress(0, b"two")
    third = Talk(client_isn=99999, at=90).state("SYN_SENT", "ESTABLISHED", 0).egress(0, b"three")
    events = feed(Streams(packets=False), talk.records + second.records + third.records, finish=99)
    assert [(e.connection, e.data) for e in only(events, StreamBytes)] == [(1, b"one"), (2, b"two"), (3, b"three")]


def test_a_record_lost_at_the_egress_hook_is_not_compared_and_loses_nothing():
    talk = Talk().hello().egress(0, b"ab").egress(4, b"ef").out(0, "PA", b"abcdef")
    events = feed(Streams(), talk.records, finish=99)
    assert content(events, SEND) == b"abcdef"
    assert closed(events).sent == DirectionBytes(span=6, on_wire=6, offered=4, matches=True)


def test_bytes_that_no_packet_confirms_are_kept_up_to_a_limit(monkeypatch):
    monkeypatch.setattr(egress, "MAX_KEPT", 10)
    talk = Talk().hello()
    for number in range(5):
        talk.egress(number * 4, b"abcd")
    events = feed(Streams(), talk.into(0, ack=20).records, finish=99)
    assert content(events, SEND) == b"?" * 12 + b"abcdabcd"


def test_what_was_written_before_the_trace_began_is_not_mixed_up_with_what_comes_after():
    talk = Talk().egress(50, b"new").out(40, "PA", b"0123456789").out(50, "PA", b"new").into(0, ack=53)
    events = feed(Streams(), talk.records, finish=99)
    assert content(events, SEND) == b"new"
    assert closed(events).sent == DirectionBytes(span=3, on_wire=3, offered=3, matches=True)


def test_only_the_local_sockets_state_counts():
    talk = Talk().hello().out(0, "PA", b"abc")
    talk.state("ESTABLISHED", "FIN_WAIT1", 9, socket=talk.socket.swapped).egress(3, b"zzz", swapped=True)
    events = feed(Streams(), talk.records, finish=99)
    assert closed(events).sent == DirectionBytes(span=3, on_wire=3)
    assert content(events, RECV) == b""


def test_a_sequence_that_wraps_in_the_egress_view_is_no_matter():
    talk = Talk(client_isn=0xFFFFFFFD).hello().egress(0, b"abcdef").into(0, ack=6)
    events = feed(Streams(), talk.records, finish=99)
    assert content(events, SEND) == b"abcdef"
    assert msgspec.structs.asdict(closed(events).sent)["missing"] == 0


def test_bytes_that_were_in_packets_before_are_not_kept():
    view = egress.EgressView()
    view.add(0, 3, b"abc", 0, 3)
    view.add(3, 3, b"def", 0, 4)
    assert list(view.chunks) == [(4, b"ef", 0)]
    assert (view.offered, view.end) == (6, 6)

import itertools
import random
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from goproxy_ebpf.records.common import Direction
from goproxy_ebpf.records.flow import StreamBytes, StreamGap
from goproxy_ebpf.streams import reassembly
from goproxy_ebpf.streams.reassembly import CUT, ENDED, NOT_CAPTURED, TOO_MUCH, Reassembly

from .wire import MASK, RECV, content

ISN = st.one_of(st.integers(0, MASK), st.integers(MASK - 80, MASK), st.integers(0x7FFFFF80, 0x80000010))


def half(isn: int = 0, reordering: int = 3) -> Reassembly:
    made = Reassembly(1, Direction.RECV, reordering)
    made.anchor(isn + 1)
    return made


def add(to: Reassembly, isn: int, offset: int, payload: bytes, at_ns: int = 0, *, cut: int = 0) -> list:
    out: list = []
    to.add((isn + 1 + offset) & MASK, payload[: len(payload) - cut], len(payload), at_ns, out)
    return out


def ack(to: Reassembly, isn: int, offset: int) -> list:
    out: list = []
    to.acknowledge((isn + 1 + offset) & MASK, out)
    return out


def finish(to: Reassembly, at_ns: int = 0) -> list:
    out: list = []
    to.finish(at_ns, None, out)
    return out


@st.composite
def segmentations(draw):
    """A text, and pieces of it in any order that cover all of it, some of them twice and overlapping."""
    text = draw(st.binary(min_size=1, max_size=120))
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=12)) | {0, len(text)})
    pieces = list(itertools.pairwise(cuts))
    edge = st.integers(0, len(text))
    pieces += [(min(p), max(p)) for p in draw(st.lists(st.tuples(edge, edge), max_size=8)) if p[0] != p[1]]
    return text, draw(st.permutations(pieces))


@settings(max_examples=400, deadline=None)
@given(segmentations(), ISN)
def test_any_order_duplication_and_overlap_gives_exactly_the_bytes(cut, isn):
    """However a text is cut into segments, and however they come, its bytes come out once and in order."""
    text, pieces = cut
    to = half(isn)
    events = [event for low, high in pieces for event in add(to, isn, low, text[low:high])]
    assert content(events, RECV) == text
    assert finish(to) == []
    assert (to.on_wire, to.missing) == (len(text), 0)
    assert to.retransmitted == sum(high - low for low, high in pieces) - len(text)
    to.end_at((isn + 1 + len(text)) & MASK)
    assert to.fin == len(text)


@settings(max_examples=400, deadline=None)
@given(
    segmentations(),
    ISN,
    st.sets(st.integers(0, 30)),
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 130))),
    st.tuples(st.integers(1, 4), st.booleans()),
)
def test_loss_of_any_segments_gives_bytes_and_gaps_that_add_up_to_the_span(cut, isn, lost, acks, how):
    """Whatever is lost, cut off and acknowledged: the text comes out, and gaps that add up to what is missing."""
    text, pieces = cut
    reordering, with_fin = how
    to = half(isn, reordering)
    events = []
    if with_fin:
        to.end_at((isn + 1 + len(text)) & MASK)
    for number, (low, high) in enumerate(pieces):
        for _, offset in (pair for pair in acks if pair[0] == number):
            events += ack(to, isn, min(offset, len(text)))
        if number not in lost:
            events += add(to, isn, low, text[low:high], cut=(high - low) // 2 if number % 5 == 4 else 0)
    seen = to.highest
    events += finish(to)
    found = content(events, RECV)
    assert len(found) == (len(text) if with_fin else max(seen, to.next))
    gaps = [event for event in events if isinstance(event, StreamGap)]
    assert to.missing == sum(gap.length for gap in gaps)
    at = 0
    for event in events:
        if isinstance(event, StreamBytes):
            assert event.data == text[event.offset : event.offset + len(event.data)]
        at += len(event.data) if isinstance(event, StreamBytes) else event.length
    assert at == to.next


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "ack", "fin", "offer"]),
            st.one_of(st.integers(0, MASK), st.integers(0, 300)),
            st.binary(max_size=40),
            st.integers(0, 60),
        ),
        max_size=40,
    )
)
def test_any_segments_and_acknowledgments_give_events_that_follow_each_other(steps):
    """Any sequence numbers at all: offsets have no hole and no overlap, time never goes back, the counts agree."""
    to = Reassembly(1, Direction.RECV, 3)
    out: list = []
    for at, (what, sequence, payload, length) in enumerate(steps):
        if what == "add":
            to.add(sequence, payload[:length], max(length, 1), at % 7, out)
        elif what == "ack":
            to.acknowledge(sequence, out)
        elif what == "fin":
            to.end_at(sequence)
        else:
            to.offer(sequence, length, payload, at % 7, out)
    to.finish(0, None, out)
    at = 0
    last_ns = 0
    for event in out:
        assert event.offset == at
        at += len(event.data) if isinstance(event, StreamBytes) else event.length
        assert event.at_ns >= last_ns
        last_ns = event.at_ns
    assert at == to.next
    assert to.fin is None or to.next <= to.fin
    assert to.missing == sum(event.length for event in out if isinstance(event, StreamGap))
    assert 0 <= to.on_wire <= to.next


def test_bytes_come_as_soon_as_they_are_in_order_with_the_time_of_their_packet_or_of_the_one_before():
    to = half()
    assert add(to, 0, 0, b"ab", 10) == [StreamBytes(1, RECV, 10, 0, b"ab")]
    assert add(to, 0, 4, b"ef", 20) == []
    assert add(to, 0, 2, b"cd", 30) == [StreamBytes(1, RECV, 30, 2, b"cd"), StreamBytes(1, RECV, 30, 4, b"ef")]


def test_the_first_copy_of_a_byte_counts():
    to = half()
    assert add(to, 0, 3, b"DEF") == []
    assert add(to, 0, 1, b"bcdefg") == []
    assert content(add(to, 0, 0, b"a"), RECV) == b"abcDEFg"
    assert add(to, 0, 0, b"XXXXXXX") == []
    assert to.retransmitted == 3 + 7


def test_a_hole_is_given_up_when_it_is_acknowledged_and_enough_came_behind_it():
    to = half()
    assert add(to, 0, 2, b"c", 1) + add(to, 0, 3, b"d", 2) + add(to, 0, 4, b"e", 3) + add(to, 0, 5, b"f", 4) == []
    assert ack(to, 0, 1) == []
    assert ack(to, 0, 2) == [
        StreamGap(1, RECV, 1, 0, 2, NOT_CAPTURED),
        StreamBytes(1, RECV, 1, 2, b"c"),
        StreamBytes(1, RECV, 2, 3, b"d"),
        StreamBytes(1, RECV, 3, 4, b"e"),
        StreamBytes(1, RECV, 4, 5, b"f"),
    ]


def test_one_segment_behind_an_acknowledged_hole_is_enough_where_records_are_in_order_and_not_where_they_are_not():
    for reordering, expected in ((1, b"??c"), (3, b"")):
        to = half(reordering=reordering)
        assert content(add(to, 0, 2, b"c") + ack(to, 0, 3), RECV) == expected


def test_a_mebibyte_behind_an_acknowledged_hole_is_enough():
    to = half()
    assert ack(to, 0, 1) + add(to, 0, 1, bytes(1 << 20))[:1] == [StreamGap(1, RECV, 0, 0, 1, NOT_CAPTURED)]


def test_a_packet_cut_off_in_the_capture_leaves_a_gap_and_counts_as_seen():
    to = half()
    assert add(to, 0, 0, b"abcd", 5, cut=3) == [StreamBytes(1, RECV, 5, 0, b"a"), StreamGap(1, RECV, 5, 1, 3, CUT)]
    assert add(to, 0, 4, b"e", 6) == [StreamBytes(1, RECV, 6, 4, b"e")]
    assert (to.on_wire, to.missing, to.next) == (5, 3, 5)


def test_what_was_never_acknowledged_is_a_gap_only_at_the_end():
    to = half()
    assert [add(to, 0, offset, b"x") for offset in range(2, 8)] == [[]] * 6
    assert finish(to)[0] == StreamGap(1, RECV, 0, 0, 2, ENDED)


def test_bytes_that_were_acknowledged_and_never_seen_are_a_gap_at_the_end():
    to = half()
    add(to, 0, 0, b"ab")
    assert ack(to, 0, 5) == []
    assert finish(to, 9) == [StreamGap(1, RECV, 9, 2, 3, NOT_CAPTURED)]


def test_one_more_acknowledged_than_seen_is_a_fin_that_was_not_captured():
    to = half()
    add(to, 0, 0, b"ab")
    ack(to, 0, 3)
    assert finish(to) == []


def test_keep_alive_probes_are_no_retransmissions():
    to = half()
    add(to, 0, 0, b"ab")
    ack(to, 0, 2)
    assert add(to, 0, 1, b"\0") == []
    assert to.retransmitted == 0
    assert add(to, 0, 0, b"ab") == []
    assert to.retransmitted == 2


def test_nothing_stands_behind_a_fin():
    to = half()
    events = add(to, 0, 0, b"ab") + add(to, 0, 3, b"defg")
    to.end_at(1 + 4)
    events += add(to, 0, 2, b"cdX") + add(to, 0, 4, b"more") + finish(to)
    assert content(events, RECV) == b"abcd"
    assert to.fin == 4


def test_a_segment_farther_ahead_than_any_window_is_left_out():
    to = half()
    assert add(to, 0, (1 << 30) + 1, b"x") + finish(to) == []


def test_memory_is_bounded_in_bytes_and_in_pieces(monkeypatch):
    monkeypatch.setattr(reassembly, "MAX_KEPT", 1000)
    monkeypatch.setattr(reassembly, "MAX_PIECES", 50)
    to = half()
    assert add(to, 0, 1, bytes(1000)) == []
    assert add(to, 0, 1001, b"x")[0] == StreamGap(1, RECV, 0, 0, 1, TOO_MUCH)
    to = half()
    events = [add(to, 0, 2 * number, b"x") for number in range(1, 52)]
    assert [len(found) for found in events] == [0] * 50 + [2]


def test_time_is_not_quadratic_in_the_number_of_segments():
    """20,000 one-byte segments, backwards or at random behind a hole, take well under a second each way."""
    for order in ("backwards", "random"):
        numbers = list(range(1, 20_000))
        numbers.reverse() if order == "backwards" else random.Random(1).shuffle(numbers)
        to = half()
        out: list = []
        began = time.process_time()
        for number in numbers:
            to.add(1 + number * 2, b"x", 1, 0, out)
        to.finish(0, None, out)
        assert time.process_time() - began < 2

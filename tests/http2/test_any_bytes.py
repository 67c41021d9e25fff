"""Any bytes in any direction, with gaps and ends anywhere, give frames, gaps and exchanges, and nothing else."""

import random
import time
import tracemalloc

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goproxy_ebpf.http2 import Http
from goproxy_ebpf.http2.names import PREFACE
from goproxy_ebpf.records.flow import Plaintext, PlaintextEnd, PlaintextGap
from goproxy_ebpf.records.log import Exchange, Frame, Gap

from .talk import RECV, SEND, frame, run, split
from .test_frames import long_talk
from .test_http1 import ASK

directions = st.sampled_from([SEND, RECV])
frames = st.builds(
    frame,
    st.one_of(st.integers(0, 10), st.integers(0, 255)),
    st.one_of(st.sampled_from([0, 1, 4, 5, 8, 0x2D]), st.integers(0, 255)),
    st.one_of(st.integers(0, 6), st.integers(0, 2**32 - 1)),
    st.binary(max_size=40),
    st.one_of(st.none(), st.none(), st.none(), st.integers(0, 100), st.integers(0, 2**24 - 1)),
)
http1 = st.sampled_from(
    [
        *(ASK, b"POST / HTTP/1.1\r\nHost: p\r\nTransfer-Encoding: chunked\r\n\r\n", b"3\r\nabc\r\n", b"0\r\n\r\n"),
        *(
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 100 C\r\n\r\n",
            b"HTTP/1.1 304 N\r\n",
            b"Content-Length: 3\r\n\r\n",
            b"\r\n",
        ),
        *(
            b"CONNECT a:1 HTTP/1.1\r\nHost: p\r\n\r\n",
            b"HTTP/1.1 101 S\r\n\r\n",
            b"Upgrade: x\r\n",
            b"GET / HTTP/1.0\r\n",
        ),
    ]
)
pieces = st.one_of(st.just(PREFACE), st.just(frame(4, 0, 0)), frames, http1, st.binary(max_size=60))
event = st.one_of(
    st.builds(Plaintext, directions, st.integers(1, 50), st.lists(pieces, max_size=4).map(b"".join)),
    st.builds(Plaintext, directions, st.integers(1, 50), st.lists(pieces, max_size=4).map(b"".join)),
    st.builds(PlaintextGap, directions, st.integers(1, 50), st.integers(0, 9), st.just("lost")),
    st.builds(PlaintextEnd, directions, st.integers(1, 50)),
)
START = [Plaintext(SEND, 1, PREFACE + frame(4, 0, 0)), Plaintext(RECV, 1, frame(4, 0, 0))]
MODEST = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def plain(records: list) -> list:
    """Malformed HTTP/1.1 is noticed at different lengths of what is left, depending on the split."""
    return [
        msgspec.structs.replace(each, length=0) if isinstance(each, Gap) and each.layer == "http/1.1" else each
        for each in records
    ]


def check(events: list) -> None:
    records = run(events, finish_ns=99)
    assert {type(each) for each in records} <= {Frame, Exchange, Gap}
    assert all(len(msgspec.json.encode(each)) for each in records)
    assert {each.state for each in records if isinstance(each, Exchange)} <= {"complete", "reset", "refused", "cut"}
    seen = sum(len(each.data) for each in events if isinstance(each, Plaintext))
    assert sum(9 + each.length for each in records if isinstance(each, Frame)) <= seen
    assert plain(run(split(events, 1), finish_ns=99)) == plain(records)


@MODEST
@given(st.lists(event, max_size=12))
def test_any_bytes_of_a_fresh_connection_give_records_and_no_split_matters(events):
    check(events)


@MODEST
@given(st.lists(event, max_size=12))
def test_any_bytes_of_an_http_2_connection_give_records_and_no_split_matters(events):
    check(START + events)


@MODEST
@given(st.lists(event, max_size=12))
def test_any_bytes_of_an_http_1_connection_give_records_and_no_split_matters(events):
    check([Plaintext(SEND, 1, ASK), *events])


CONVERSATION = long_talk().events


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_real_conversation_with_flipped_bytes_and_holes_gives_records(data):
    events = list(CONVERSATION)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(events) - 1))
        each = events[at]
        if not isinstance(each, Plaintext) or not each.data:
            continue
        cut = data.draw(st.integers(0, len(each.data) - 1))
        other = bytes((each.data[cut] ^ data.draw(st.integers(1, 255)),))
        events[at] = Plaintext(each.direction, each.at_ns, each.data[:cut] + other + each.data[cut + 1 :])
        if data.draw(st.booleans()):
            events.insert(at, PlaintextGap(each.direction, each.at_ns, 5, "lost"))
    records = run(events)
    assert {type(each) for each in records} <= {Frame, Exchange, Gap}


def floods() -> dict:
    noise = random.Random(3).randbytes(1 << 20)
    opened = b"".join(frame(1, 4, stream, b"\x82\x84\x87\x41\x01a") for stream in range(1, 36_001, 2))
    lists = b"".join(frame(1, 4, 1 + 2 * n, b"\x40\x01a\x7f\xa1\x1e" + b"b" * 4000 + b"\xbe" * 60) for n in range(300))
    return {
        "noise": (noise, False),
        "zeros": (bytes(1 << 18), False),
        "noise behind a gap": (noise, True),
        "zeros behind a gap": (bytes(1 << 20), True),
        "half a chain behind a gap": ((frame(0, 0, 1, b"x") * 2 + b"\0" * 7) * 10_000, True),
        "streams that never end": (opened, False),
        "endless settings": (frame(4, 0, 0, bytes(range(60))) * 4000, False),
        "endless goaways": (opened + frame(7, 0, 0, b"\0\0\xff\xff" + bytes(4)) * 2000, False),
        "a frame of 16 MiB": (frame(1, 4, 1, b"", 2**24 - 1) + noise, False),
        "header lists": (lists, False),
        "literals": (frame(1, 4, 1, b"\0\1a\0" * 4000) * 10, False),
    }


@pytest.mark.parametrize("name", list(floods()))
def test_a_flood_takes_time_in_proportion_and_bounded_memory(name):
    data, gap = floods()[name]
    http = Http(1)
    for each in START:
        list(http.feed(each))
    if gap:
        list(http.feed(PlaintextGap(SEND, 2, 5, "lost")))
    tracemalloc.start()
    started = time.process_time()
    for start in range(0, len(data), 16_384):
        for _ in http.feed(Plaintext(SEND, 3, data[start : start + 16_384])):
            pass
    spent = time.process_time() - started
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 48 << 20
    assert spent < 8  # about 0.3 s without tracemalloc; a quadratic one takes minutes

"""A download of the size that go makes: in time, and with nothing left over from finished streams."""

import gc
import time
import tracemalloc
from struct import pack

import hpack

from goproxy_ebpf.http2 import Http
from goproxy_ebpf.http2.names import PREFACE
from goproxy_ebpf.records.flow import Plaintext
from goproxy_ebpf.records.log import Exchange, Frame

from .talk import GET, OK, RECV, SEND, frame


def download() -> list[Plaintext]:
    """60 MB in DATA frames of 16 KiB and TLS records of 16 KiB, a pair of WINDOW_UPDATEs for each: 11,000 frames."""
    go = PREFACE + frame(4, 0, 0, pack(">HI", 4, 4_194_304)) + frame(8, 0, 0, pack(">I", 1 << 30))
    events = [
        Plaintext(SEND, 1, go + frame(1, 5, 1, hpack.Encoder().encode(GET))),
        Plaintext(RECV, 2, frame(4, 0, 0) + frame(1, 4, 1, hpack.Encoder().encode(OK))),
    ]
    data = frame(0, 0, 1, bytes(16_384)) * 3662 + frame(0, 1, 1)
    credit = frame(8, 0, 1, pack(">I", 16_384)) + frame(8, 0, 0, pack(">I", 16_384))
    for start in range(0, len(data), 16_384):
        events.append(Plaintext(RECV, start, data[start : start + 16_384]))
        events.append(Plaintext(SEND, start, credit))
    return events


def test_sixty_megabytes_are_read_in_a_fraction_of_a_second():
    events = download()
    http = Http(1)
    started = time.process_time()
    records = [record for event in events for record in http.feed(event)]
    spent = time.process_time() - started
    frames = [each for each in records if isinstance(each, Frame)]
    assert len(frames) > 10_900
    (exchange,) = [each for each in records if isinstance(each, Exchange)]
    assert (exchange.state, exchange.response_bytes) == ("complete", 3662 * 16_384)
    data = [each for each in frames if each.type == "DATA"]
    assert data[-1].window.stream[0] >= 4_194_304 - 16_384
    assert spent < 1.5, f"{len(frames)} frames took {spent:.2f} s"  # 0.06 s on an idle core


def test_a_hundred_thousand_streams_leave_nothing_behind():
    http = Http(1)
    up, down = hpack.Encoder(), hpack.Encoder()
    blocks = [(up.encode(GET), down.encode(OK[:2])) for _ in range(2)]
    list(http.feed(Plaintext(SEND, 1, PREFACE + frame(4, 0, 0))))
    list(http.feed(Plaintext(RECV, 1, frame(4, 0, 0))))

    def streams(first: int, count: int) -> int:
        complete = 0
        for start in range(first, first + 2 * count, 200):
            numbers = range(start, start + 200, 2)
            ask = b"".join(frame(1, 5, stream, blocks[stream > 1][0]) for stream in numbers)
            answer = b"".join(
                frame(1, 4, stream, blocks[stream > 1][1]) + frame(0, 1, stream, b"x") for stream in numbers
            )
            credit = b"".join(frame(8, 0, stream, pack(">I", 1)) for stream in numbers)
            pieces = [Plaintext(SEND, start, ask), Plaintext(RECV, start, answer), Plaintext(SEND, start, credit)]
            out = [record for piece in pieces for record in http.feed(piece)]
            complete += sum(isinstance(each, Exchange) and each.state == "complete" for each in out)
        return complete

    assert streams(1, 1000) == 1000
    tracemalloc.start()
    gc.collect()
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert streams(2001, 98_000) == 98_000
    tracemalloc.start()
    assert streams(198_001, 1000) == 1000
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 100_000
    assert not http._parser._exchanges.live
    assert not any(window._moved for window in http._parser._ledger.limits.values())

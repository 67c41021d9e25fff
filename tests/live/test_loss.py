"""Losses are counted, shown, and add up; and with the ring that is the default there are none."""

import json
import os
from pathlib import Path

import pytest

from goproxy_ebpf.records.log import Connection

from .conftest import Proxy, start_proxy, stop_proxy
from .harness import Run, program
from .test_against_go import assert_whole, download

MEGABYTES = 50


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    path.touch()  # the server opens it when it has a line
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, journal: Path):
    proxy = start_proxy(tmp_path_factory.mktemp("large"), "--megabytes", str(MEGABYTES), "--log", str(journal))
    yield proxy
    stop_proxy(proxy)


@pytest.fixture(scope="module")
def starved(tmp_path_factory: pytest.TempPathFactory, large: Proxy, journal: Path) -> Run:
    """As fast as loopback goes, through the smallest ring."""
    folder = tmp_path_factory.mktemp("starved")
    before = journal.stat().st_size
    run = download(folder, large, "--ring-kib", "64", GODEBUG="")
    (folder / "journal.jsonl").write_bytes(journal.read_bytes()[before:])
    return run


def spoken(run: Run) -> list[Connection]:
    """Without those that go threw away: a server's SETTINGS may have come on them."""
    used = {exchange.conn for exchange in run.exchanges}
    return [connection for connection in run.connections if connection.conn in used]


def test_a_full_ring_is_counted_in_the_kernel_and_told_in_log_and_report(starved: Run):
    assert (starved.status, starved.stderr) == (0, "")
    counters = starved.summary.counters
    assert counters["ring_full_packet"] > 0
    assert counters["ring_full_packet_bytes"] > 0
    lost = [gap for gap in starved.gaps if gap.layer == "capture"]
    named = {gap.reason: gap.records for gap in lost}
    assert named == {
        name: value for name, value in counters.items() if value and not name.endswith("_bytes") and name in named
    }
    assert "ring_full_packet" in named
    assert starved.summary.lost_records == sum(gap.records for gap in lost)
    assert starved.summary.lost_bytes == sum(gap.length for gap in lost) >= counters["ring_full_packet_bytes"]
    holes = [gap for gap in starved.gaps if gap.layer == "tcp"]
    assert starved.summary.missing_bytes == sum(gap.length for gap in holes) > 0
    report = starved.report.read_text()
    assert report.startswith(f"INCOMPLETE  {starved.summary.missing_bytes:,} B missing from streams")
    assert f"{starved.summary.lost_records:,} records lost" in report.partition("\ncommand")[0]
    assert f"{len(holes):,} gap" in report


def test_what_was_copied_and_what_is_missing_are_the_whole_connection(starved: Run):
    assert spoken(starved)
    for connection in spoken(starved):
        sent, received = connection.sent, connection.received
        assert received.on_wire + received.missing == received.span
        # Two views of what was sent: a byte is missing only where neither has it.
        assert max(sent.on_wire, sent.offered) + sent.missing <= sent.span
        assert sent.on_wire + sent.offered + sent.missing >= sent.span
        for tls, tcp in ((connection.tls_sent, sent), (connection.tls_received, received)):
            assert tls.missing == tcp.missing
            assert tls.clear + tls.decrypted + tls.undecryptable + tls.partial + tls.missing == tcp.span
        holes = [gap for gap in starved.gaps if gap.layer == "tcp" and gap.conn == connection.conn]
        assert sum(gap.length for gap in holes) == sent.missing + received.missing
    assert sum(connection.received.span for connection in spoken(starved)) > MEGABYTES * 1_000_000
    missing = sum(connection.received.missing for connection in starved.connections)
    assert missing > MEGABYTES * 100_000, "the ring was not full enough to show anything"


def test_nothing_is_decoded_across_a_gap(starved: Run):
    """The server's own log of frames is the judge: what we show is in it, in its order, and no frame is made up."""
    (connection,) = spoken(starved)
    said = [json.loads(line) for line in (starved.folder / "journal.jsonl").read_text().splitlines()]
    for way, sender in (("send", "client"), ("recv", "server")):
        theirs = [
            (line["type"], line["stream"], line["length"], line.get("headers"), line.get("increment"))
            for line in said
            if line["from"] == sender and line["connection"] == said[-1]["connection"]
        ]
        own = [frame for frame in starved.frames_of(connection.conn) if frame.dir == way]
        assert len(own) < len(theirs) or way == "send"
        at = 0
        for frame in own:
            headers = None if frame.headers is None else [list(pair) for pair in frame.headers]
            wanted = (frame.type, frame.stream, frame.length, headers, frame.increment)
            assert headers is not None or frame.type != "HEADERS" or frame.confidence == "hpack-unknown"
            while at < len(theirs) and not _same(theirs[at], wanted):
                at += 1
            assert at < len(theirs), f"{frame} is not in the server's log, or not at its place"
            at += 1


def _same(theirs: tuple, wanted: tuple) -> bool:
    """A header list that could not be decoded is compared by its length alone."""
    return theirs[:3] == wanted[:3] and (wanted[3] is None or theirs[3:] == wanted[3:])


def test_a_run_with_losses_reads_back_the_same(starved: Run):
    wide = dict(os.environ) | {"COLUMNS": "100"}
    for file in (starved.capture, starved.log):
        again = program("report", str(file), "--requests", env=wide)
        assert (again.returncode, again.stderr) == (0, "")
        assert again.stdout == starved.report.read_text()


def test_with_the_default_ring_every_byte_from_syn_to_fin_is_copied(tmp_path: Path, large: Proxy):
    run = download(tmp_path, large)
    assert run.status == 0, run.stderr[-2000:]
    assert_whole(run)
    assert set(run.summary.counters.values()) == {0}
    (spoke,) = spoken(run)
    assert (spoke.complete, spoke.closed_by) == (True, "fin")
    assert spoke.received.on_wire == spoke.received.span > MEGABYTES * 1_000_000
    assert spoke.sent.on_wire == spoke.sent.span
    for tls, tcp in ((spoke.tls_sent, spoke.sent), (spoke.tls_received, spoke.received)):
        assert (tls.undecryptable, tls.missing, tls.partial) == (0, 0, 0)
        assert tls.clear + tls.decrypted == tcp.span
    statistics = json.loads((run.folder / "statistics.json").read_text())
    assert statistics["frames"] == len(run.frames)

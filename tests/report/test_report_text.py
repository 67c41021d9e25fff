"""The text report: compared whole with what was looked at and found good (`python -m tests.report.test_report_text`
writes it anew), held to its width, and harmless whatever the network sent.
"""

import re
import sys
from pathlib import Path

import hypothesis
import msgspec
import pytest
from hypothesis import strategies as st

from goproxy_ebpf.records.capture import HookState
from goproxy_ebpf.records.flow import DirectionBytes, TlsBytes, TlsFacts
from goproxy_ebpf.records.log import Connection, Dns, Exchange, Frame, Gap, Process, Summary, Tcp, WindowChange
from goproxy_ebpf.report.harmless import columns
from goproxy_ebpf.report.text import render
from tests.gin_like import HOST, MS, START, changed, fold, header, records, thrown_away

HERE = Path(__file__).parent
replace = msgspec.structs.replace


def failed():
    """The gin-like run as it goes when one zip is reset, one look-up is refused and a proxy says 503."""

    def exchange(record):
        if record.n == 5:
            more = {"error": "INTERNAL_ERROR", "reset_by": "recv", "content_length": record.response_bytes + 99}
            return replace(record, state="reset", **more)
        if record.n == 7:
            return replace(record, status=503, response_bytes=120)
        return replace(record, state="refused", status=None, end_ns=None) if record.n == 20 else record

    def status(record):
        return replace(record, status=1) if record.status == 0 else record

    return changed(records(), exchange=exchange, process=status, summary=status)


def incomplete():
    """The gin-like run with a program that is not Go beside it, a hole, a lost record and a hook that was refused."""
    git = Connection(
        START + 900 * MS,
        5,
        "closed",
        "192.0.2.10:40099",
        "[2001:db8::5]:443",
        4790,
        "git-remote-https",
        "tls",
        START + 800 * MS,
        established_ns=START + 830 * MS,
        tls=TlsFacts("TLS 1.3", "TLS_CHACHA20_POLY1305_SHA256", server_name="git.example.org", trouble="no secrets"),
        sent=DirectionBytes(900, 900, accepted=900, offered=900),
        received=DirectionBytes(70_000, 65_904, 1_448, 4_096),
        tls_sent=TlsBytes(517, 0, 383, reason="not Go"),
        tls_received=TlsBytes(122, 0, 65_000, 4_096, 782, reason="not Go"),
    )
    hook = HookState("sk_msg", "egress bytes", "refused", "this kernel has CONFIG_BPF_STREAM_PARSER off")
    extra = [
        git,
        Process(START + 790 * MS, "exec", 4790, 4711, "/usr/lib/git-core/git-remote-https", coverage="packets only"),
        Gap(START + 850 * MS, "tcp", 4_096, "in no packet", 5, "recv", 1000),
        Gap(START + 860 * MS, "capture", 0, "ring full", records=2),
    ]
    found = changed(records(), header=lambda record: replace(record, hooks=(hook,)))
    last = replace(found[-1], lost_records=2, lost_bytes=3_000, missing_bytes=4_096)
    return [*found[:-1], *extra, last]


def cached():
    """go build with everything in its cache, under a test of many programs."""
    go = Process(START, "exec", 4711, 4700, "/usr/local/go/bin/go", ("go", "build", "./..."), "go1.26.8", "key log")
    tools = [Process(START + n * MS, "exec", 4800 + n, 4711, "/usr/local/go/pkg/tool/compile") for n in range(12)]
    return [
        header(argv=("go", "build", "./...")),
        go,
        *tools,
        Process(START + 800 * MS, "exit", 4711, 4700, status=0),
        Summary(START + 801 * MS, START, 0),
    ]


RUNS = {"gin": records, "failed": failed, "incomplete": incomplete, "cached": cached}
GOLDEN = [(name, width) for name in RUNS for width in (80, 160)]


@pytest.mark.parametrize(("name", "width"), GOLDEN)
def test_a_run_reads_as_it_was_found_good(name, width):
    assert render(fold(RUNS[name]()), width) == (HERE / f"{name}.{width}.txt").read_text()


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("width", [1, 72, 80, 120, 160, 500])
def test_no_line_is_wider_than_the_page(name, width):
    limit = max(72, min(240, width))
    assert [line for line in render(fold(RUNS[name]()), width).splitlines() if columns(line) > limit] == []


def test_colour_adds_sequences_and_changes_nothing_else():
    trace = fold(failed())
    coloured = render(trace, 80, colour=True)
    assert "\x1b[1;31mFAILED\x1b[0m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == render(trace, 80)


def test_all_requests_are_listed_in_the_order_they_were_asked_when_wanted():
    text = render(fold(records()), 160, all_requests=True)
    paths = re.findall(r"^  GET (\S+)", text, re.MULTILINE)
    assert paths == [record.path for record in records() if isinstance(record, Exchange)]
    assert "--requests" not in text


def test_several_connections_with_other_settings_are_told_apart():
    frames = [
        Frame(n, START, n, "send", 0, "SETTINGS", 6, settings={"INITIAL_WINDOW_SIZE": size})
        for n, size in ((1, 10), (2, 10), (3, 20))
    ]
    later = Frame(4, START, 3, "send", 0, "SETTINGS", 6, settings={"INITIAL_WINDOW_SIZE": 30})
    lines = render(fold([*frames, later]), 100).splitlines()
    assert [line for line in lines if "INITIAL" in line or "none seen" in line] == [
        "settings      go on 1, 2: INITIAL_WINDOW_SIZE 10",
        "              peer on 1, 2: none seen",
        "              go on 3: INITIAL_WINDOW_SIZE 20 · frame 4 changed INITIAL_WINDOW_SIZE 30",
        "              peer on 3: none seen",
    ]


HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\n\t\x00\x7f\u202e\u2066\u200b\u2028\ud800\u0301\ue000ok"
ESCAPES = r"\x1b]0;owned\x07\x1b[2J\x9b31m\x0d\x0a\x09\x00\x7f" + "\\u202e\\u2066\\u200b\\u2028\\ud800\\u0301\\ue000ok"


def hostile(text: str):
    """A run in which everything that the network, or a file, can name is ``text``."""
    tls = TlsFacts(text, text, text, text, (text,), text, alert=text, trouble=text, client_hello_ns=1)
    window = WindowChange((5, -9), (2**62, 3))
    return [
        header(
            argv=(text, text),
            directory=text,
            environment={text: text},
            labels={text: text},
            go_version=text,
            egress_hook=text,
            hooks=(HookState(text, text, "refused", text),),
        ),
        Process(START, "exec", 1, 0, text, (text,), text, text, text),
        Dns(START, text, text, text, text, text, (text,), 1, 5, 3),
        Connection(
            START,
            1,
            text,
            text,
            text,
            1,
            text,
            text,
            START,
            tls=tls,
            dns_name=text,
            dns_ns=3,
            received=DirectionBytes(9, 9),
            tls_received=TlsBytes(undecryptable=9, reason=text),
        ),
        Frame(1, START, 1, text, 1, text, 5, settings={text: 2}),
        Frame(2, START, 1, "send", 0, "SETTINGS", 5, settings={text: 2}),
        Frame(3, START, 1, "recv", 0, "GOAWAY", 5, error=text),
        Frame(4, START, 1, "send", 1, "WINDOW_UPDATE", 5, increment=7, window=window),
        Frame(5, START, 1, "recv", 1, "DATA", 5, window=window),
        Exchange(START, 1, 1, 1, text, "complete", text, text, text, text, 500, 1, 2, 3, 4, 5, error=text),
        Exchange(START, 2, 1, 3, text, text, text, text, text + "2", text, None, error=text, reset_by=text),
        Gap(START, text, 5, text),
        Summary(START, START, 1),
    ]


def test_hostile_text_is_written_out_and_reaches_no_terminal():
    text = render(fold(hostile(HOSTILE)), 240)
    assert ESCAPES in text
    assert [c for c in set(text) if not c.isprintable()] == ["\n"]


def test_line_ends_in_hostile_text_make_no_lines():
    plain = render(fold(hostile("ok")), 240)
    assert len(render(fold(hostile("ok\nHEALTHY\r\n")), 240).splitlines()) <= len(plain.splitlines()) + 6
    assert not any(line.startswith("HEALTHY") for line in render(fold(hostile("ok\nHEALTHY\r\n")), 240).splitlines())


@hypothesis.given(st.text(max_size=300), st.integers(72, 240))
@hypothesis.settings(deadline=None, max_examples=60)
def test_any_text_is_harmless_and_held_to_the_width(text, width):
    """Any text from the network gives lines of printable characters that are no wider than the page."""
    shown = render(fold(hostile(text)), width)
    assert all(line.isprintable() and columns(line) <= width for line in shown.split("\n"))


def test_a_run_of_many_kinds_of_many_things_stays_readable():
    found = [header(argv=("go", "x" * 5000))]
    found += [Connection(START, n, "closed", f"a:{n}", f"198.51.100.{n % 200}:443", frames=1) for n in range(1, 500)]
    found += [Dns(START, f"h{n}.example.com", "A", "192.0.2.1:53", rtt_ns=5) for n in range(500)]
    found += [Process(START, "exec", n, 1, f"/bin/go{n}", coverage="key log") for n in range(500)]
    found += [Exchange(START, n, n, 1, "h2", "complete", "GET", "https", HOST, f"/{n}", 500) for n in range(1, 500)]
    found += [Gap(START, "file", 5, f"reason {n}") for n in range(500)]
    assert len(render(fold(found), 80).splitlines()) < 260


def test_thrown_away_connections_alone_are_told_as_connections():
    assert "thrown away" not in render(fold([header(), thrown_away(1), Summary(START, START, 0)]), 80)


def test_a_sentence_that_is_longer_than_a_line_is_read_to_its_end():
    trouble = "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA under TLS 1.2 cannot be decrypted: only AES-GCM and ChaCha20 can"
    tls = TlsFacts("TLS 1.2", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", trouble=trouble)
    line = Connection(START, 1, "closed", "192.0.2.1:5", "203.0.113.7:443", protocol="tls", tls=tls)
    shown = render(fold([header(), line, Summary(START, START, 0)]), 80)
    assert trouble in " ".join(shown.split())


def test_a_capture_of_packets_alone_is_not_held_to_a_hook_that_never_was():
    def closed(record):
        sent = record.sent and replace(record.sent, offered=0, accepted=None, matches=None)
        return replace(record, sent=sent)

    found = [header(source="packets", egress_hook=""), *changed(records(), connection=closed)[1:]]
    shown = render(fold(found), 160)
    assert "proof         egress 118,380 B in packets = decrypted · lost 0 B\n" in shown
    assert "tcp_sendmsg" not in shown


def refused(conn: int) -> Connection:
    return Connection(
        START,
        conn,
        "closed",
        f"192.0.2.10:{conn}",
        "203.0.113.9:443",
        opened_ns=START,
        closed_by="reset",
        sent=DirectionBytes(),
        received=DirectionBytes(),
    )


def test_a_connection_that_was_refused_disproves_nothing():
    shown = render(fold([*records()[:-1], refused(9), records()[-1]]), 160)
    assert "proof         egress 118,380 B at tcp_sendmsg = in packets = decrypted · lost 0 B\n" in shown


def test_a_refused_connection_alone_is_said_to_be_refused_and_has_no_proof():
    reset = Tcp(START, 1, "reset received")
    shown = render(fold([header(), refused(1), reset, Summary(START + MS, START, 1)]), 160)
    assert "connection    203.0.113.9:443 · refused\n" in shown
    assert "proof" not in shown


if __name__ == "__main__":
    for golden, golden_width in GOLDEN:
        (HERE / f"{golden}.{golden_width}.txt").write_text(render(fold(RUNS[golden]()), golden_width))
        print(f"{golden}.{golden_width}.txt", file=sys.stderr)


def test_look_ups_with_the_same_answer_are_one_line():
    """A go whose proxy has no address asks for it again and again: the cause must not scroll away."""
    asked = [
        Dns(START + number, "proxy.example.com", kind, "192.0.2.53:53", rcode="NXDOMAIN", rtt_ns=(number + 1) * MS)
        for number in range(30)
        for kind in ("A", "AAAA")
    ]
    answered = Dns(START, "ok.example.com", "A", "192.0.2.53:53", rcode="NOERROR", answers=("192.0.2.1",), rtt_ns=MS)
    text = render(fold([header(), answered, *asked]), 160)
    assert [" ".join(line.split()) for line in text.splitlines() if "example.com" in line and " · " in line] == [
        "dns ok.example.com A · 192.0.2.1 · 1.00 ms · from 192.0.2.53:53",
        "proxy.example.com A · NXDOMAIN · 1.00 ms to 30.0 ms · from 192.0.2.53:53 · asked 30 times",
        "proxy.example.com AAAA · NXDOMAIN · 1.00 ms to 30.0 ms · from 192.0.2.53:53 · asked 30 times",
    ]

"""Who ran what: the verdict, the command, the programs of the run, findings."""

import datetime
import shlex
from collections.abc import Iterator

from ...diagnose import Severity, Verdict, Word
from ...diagnose.rules.child_failed import ended
from ...trace import ProcessRun, Trace
from ...trace.units import counted, duration
from ..harmless import columns, harmless, shorten
from ..page import Page, words

SHOWN_PROCESSES = 6
SHOWN_FRAMES = 8
WORD_STYLES = {Word.HEALTHY: "good", Word.FAILED: "bad", Word.INCOMPLETE: "doubtful", Word.NO_PROXY_ASKED: "doubtful"}


def verdict_lines(verdict: Verdict, page: Page) -> Iterator[str]:
    """``WORD  sentence``, wrapped under the sentence."""
    word = verdict.word.value
    indent = " " * (columns(word) + 2)
    room = page.width - len(indent)
    line = ""
    first = True
    for raw in [*words(verdict.sentence), ""]:
        token = shorten(harmless(raw), room)
        if token and (not line or columns(line) + 1 + columns(token) <= room):
            line = f"{line} {token}" if line else token
            continue
        yield (page.paint(word, WORD_STYLES[verdict.word]) + "  " if first else indent) + line
        first, line = False, token


def command_lines(trace: Trace, page: Page) -> Iterator[str]:
    header = trace.header
    argv = header.argv if header is not None else ()
    command = shlex.join(argv) if argv else ""
    if not argv and header is not None and header.source == "packets":
        command = "not known: these packets were captured by another program"
    yield from page.section("command", [command] if command else [])
    items = []
    if trace.go_version:
        items.append(trace.go_version)
    if trace.status is not None:
        items.append(f"exit {trace.status}" if trace.status >= 0 else ended(trace.status))
    if trace.duration_ns:
        items.append(duration(trace.duration_ns))
    if header is not None and header.directory:
        items.append(f"in {header.directory}")
    started = _moment(trace.started_ns)
    if started:
        items.append(started)
    yield from page.section("" if command else "run", items)
    if header is not None:
        settings = [f"{name}={value}" for name, value in sorted(header.environment.items())]
        yield from page.section("environment", settings, separator="  ")
        labels = [f"{name}={value}" for name, value in sorted(header.labels.items())]
        yield from page.section("labels", labels, separator="  ")
        refused = [
            f"{hook.hook} refused: {hook.detail or hook.what}" for hook in header.hooks if hook.state == "refused"
        ]
        yield from page.section("hooks", refused)


def _moment(ns: int) -> str:
    """``2026-07-03 12:00:01 UTC``; empty for a time that no calendar has."""
    try:
        moment = datetime.datetime.fromtimestamp(ns // 10**9, tz=datetime.timezone.utc)
    except (OverflowError, ValueError, OSError):
        return ""
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC") if ns > 0 else ""


def process_lines(trace: Trace, page: Page) -> Iterator[str]:
    """The programs with Go's TLS, a line each; the others are counted."""
    speaking = [run for run in trace.processes if run.coverage or run.is_go_command]
    label = "process" if len(speaking) == 1 else "processes"
    for run in speaking[:SHOWN_PROCESSES]:
        yield from page.section(label, _process(run))
        label = ""
    rest = len(trace.processes) - len(speaking)
    items = []
    if len(speaking) > SHOWN_PROCESSES:
        items.append(f"{len(speaking) - SHOWN_PROCESSES:,} more with Go's TLS")
    if rest:
        programs = counted(rest, "other program" if speaking else "program")
        # curl and git may well speak TLS: what is known is that theirs is not read.
        items.append(f"{programs} without Go's TLS: packets only")
    yield from page.section(label if not speaking else "", items)


def _process(run: ProcessRun) -> Iterator[str]:
    yield f"{run.pid} {run.path or shlex.join(run.argv)}"
    if run.go_version:
        yield run.go_version
    if run.coverage:
        yield f"{run.coverage}: {run.note}" if run.note else run.coverage
    if run.replaced:
        yield "went on as another program"
    elif run.status is not None:
        yield f"exit {run.status}" if run.status >= 0 else ended(run.status)


def finding_lines(verdict: Verdict, page: Page) -> Iterator[str]:
    """Each finding: its sentence, unless the verdict already said it, its frames and its advice."""
    for finding in verdict.findings:
        said = finding.severity is Severity.ERROR and finding.sentence in verdict.sentence
        text = "" if said else f"{finding.sentence}."
        if finding.evidence:
            shown = ", ".join(str(n) for n in finding.evidence[:SHOWN_FRAMES])
            more = ", …" if len(finding.evidence) > SHOWN_FRAMES else ""
            text += f" Frame{'' if len(finding.evidence) == 1 else 's'} {shown}{more}."
        if finding.advice:
            text += f" {finding.advice}"
        label = "finding" if finding.severity is Severity.ERROR else finding.severity.value
        if text:
            yield from page.paragraph(label, f"{finding.rule}: {text.strip()}")

"""The report for programs: one JSON object. Its keys are the fields of the structs here; ``schema`` changes when the
meaning does. Sizes are in bytes, times in nanoseconds: ``…_at_ns`` since the Unix epoch, others are durations.
"""

import msgspec

from ..diagnose import Finding, verdict
from ..diagnose.outcome import outcomes
from ..records.capture import HookState
from ..records.log import Connection, Dns
from ..trace import GapTotal, Grants, ProcessRun, Proof, Settings, Trace
from ..trace.encoding import json_bytes
from .kinds import KINDS, kind
from .sections.connections import tls_handshake_ns
from .sections.requests import first_byte_ns, total_ns

SCHEMA = "goproxy-ebpf-report/1"


class Run(msgspec.Struct, frozen=True):
    """``status`` is the child's exit status, or -signal. ``complete`` is False when the log was cut off."""

    argv: tuple[str, ...]
    directory: str
    environment: dict[str, str]
    labels: dict[str, str]
    go_version: str
    source: str
    run_id: str
    kernel: str
    egress_hook: str
    hooks: tuple[HookState, ...]
    started_at_ns: int
    duration_ns: int
    status: int | None
    complete: bool


class Flow(msgspec.Struct, frozen=True):
    """One connection: its last line, SETTINGS by direction, windows by who grants them.

    ``thrown_away`` are those that go opened in parallel and closed before SETTINGS.
    """

    conn: int
    host: str
    thrown_away: bool
    requests: int
    retransmits: int
    goaways: int
    tls_handshake_ns: int | None
    facts: Connection | None
    settings_sent: Settings
    settings_received: Settings
    go_grants: Grants
    peer_grants: Grants


class Request(msgspec.Struct, frozen=True):
    """One exchange. ``ending`` is ``answered``, ``not found``, ``recovered``, ``cancelled``, ``unread``, ``cut`` or
    ``failed``; ``kind`` what was asked for, by its path; ``frames`` its first and last frame.
    """

    n: int
    conn: int
    stream: int
    protocol: str
    method: str
    authority: str
    path: str
    kind: str
    status: int | None
    state: str
    ending: str
    error: str
    reset_by: str
    request_bytes: int
    response_bytes: int
    content_length: int | None
    started_at_ns: int | None
    first_byte_ns: int | None
    total_ns: int | None
    frames: tuple[int, int]


class FrameCount(msgspec.Struct, frozen=True):
    dir: str
    type: str
    count: int


class Totals(msgspec.Struct, frozen=True):
    """``endings`` and ``kinds`` count requests."""

    requests: int
    response_bytes: int
    endings: dict[str, int]
    kinds: dict[str, int]
    frames: int
    frames_by_type: list[FrameCount]
    packets: int
    lost_records: int
    lost_bytes: int
    missing_bytes: int
    undecryptable_bytes: int
    counters: dict[str, int]


class Document(msgspec.Struct, frozen=True):
    """The whole report. ``verdict`` is one of HEALTHY, FAILED, INCOMPLETE, NO PROXY ASKED; ``sentence`` explains it."""

    schema: str
    verdict: str
    sentence: str
    findings: tuple[Finding, ...]
    run: Run
    totals: Totals
    proof: Proof
    gaps: list[GapTotal]
    processes: list[ProcessRun]
    connections: list[Flow]
    dns: list[Dns]
    requests: list[Request]


def document(trace: Trace) -> Document:
    judged = verdict(trace)
    requests = _requests(trace)
    return Document(
        SCHEMA,
        judged.word.value,
        judged.sentence,
        judged.findings,
        _run(trace),
        _totals(trace, requests),
        trace.proof(),
        trace.losses.totals,
        trace.processes,
        _flows(trace),
        trace.dns,
        requests,
    )


def render_json(trace: Trace) -> bytes:
    """The document, indented, ended by a newline. Only ASCII control characters that JSON escapes can be in it."""
    return msgspec.json.format(json_bytes(document(trace)), indent=2) + b"\n"


def _run(trace: Trace) -> Run:
    header = trace.header
    return Run(
        header.argv if header else (),
        header.directory if header else "",
        header.environment if header else {},
        header.labels if header else {},
        trace.go_version,
        header.source if header else "",
        header.run_id if header else "",
        header.kernel if header else "",
        header.egress_hook if header else "",
        header.hooks if header else (),
        trace.started_ns,
        trace.duration_ns,
        trace.status,
        not trace.cut,
    )


def _flows(trace: Trace) -> list[Flow]:
    abandoned = trace.thrown_away()
    return [
        Flow(
            number,
            connection.host,
            number in abandoned,
            connection.exchanges,
            connection.retransmits,
            connection.goaways,
            tls_handshake_ns(connection.record.tls if connection.record else None),
            connection.record,
            connection.sent,
            connection.received,
            connection.go_grants,
            connection.peer_grants,
        )
        for number, connection in trace.connections.items()
    ]


def _requests(trace: Trace) -> list[Request]:
    return [
        Request(
            exchange.n,
            exchange.conn,
            exchange.stream,
            exchange.protocol,
            exchange.method,
            exchange.authority,
            exchange.path,
            kind(exchange.path),
            exchange.status,
            exchange.state,
            outcome.ending.value,
            exchange.error,
            exchange.reset_by,
            exchange.request_bytes,
            exchange.response_bytes,
            exchange.content_length,
            exchange.request_ns,
            first_byte_ns(exchange),
            total_ns(exchange),
            exchange.frames,
        )
        for outcome in outcomes(trace)
        for exchange in (outcome.exchange,)
    ]


def _totals(trace: Trace, requests: list[Request]) -> Totals:
    endings: dict[str, int] = {}
    kinds: dict[str, int] = {}
    for request in requests:
        endings[request.ending] = endings.get(request.ending, 0) + 1
        kinds[request.kind] = kinds.get(request.kind, 0) + 1
    summary = trace.summary
    return Totals(
        len(requests),
        sum(request.response_bytes for request in requests),
        endings,
        {name: kinds[name] for name in KINDS if name in kinds},
        trace.frames,
        [FrameCount(direction, name, number) for (direction, name), number in sorted(trace.frame_counts.items())],
        summary.packets if summary else 0,
        summary.lost_records if summary else 0,
        summary.lost_bytes if summary else 0,
        summary.missing_bytes if summary else 0,
        summary.undecryptable_bytes if summary else 0,
        summary.counters if summary else {},
    )

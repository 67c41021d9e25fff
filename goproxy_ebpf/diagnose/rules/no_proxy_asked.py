"""go asked no module proxy.

Seen
    No HTTP request on any connection.
Means
    Everything that go needed was in its module cache or a vendor directory (the usual case), or GOFLAGS, GOPROXY=off
    or ``file://`` kept it at home; or what ran was no go command, or speaks no TLS that can be read. Where the
    command failed, it may not have come that far: the proxy's name has no address, or go.mod is wrong.
Do
    ``goproxy-ebpf trace --cold -- …`` runs it with an empty, throw-away module cache.
"""

import re
from collections.abc import Iterator

from ...trace import Trace
from ...trace.units import counted
from ..finding import Finding, Severity, Word

NAME = "no-proxy-asked"
WORD = Word.NO_PROXY_ASKED


def find(trace: Trace) -> Iterator[Finding]:
    if trace.exchanges:
        return
    used = len(trace.connections) - len(trace.thrown_away())
    sentence, advice = _why(trace, used)
    yield Finding(NAME, Severity.ERROR, sentence, (), advice)


def _why(trace: Trace, connections: int) -> tuple[str, str]:
    if trace.header is not None and trace.header.source == "packets":
        return f"this capture holds no HTTP request that can be read ({counted(connections, 'connection')})", ""
    goes = any(run.is_go_command for run in trace.processes) or (not trace.processes and trace.go_version)
    if connections:
        who = "go" if goes else "the command"
        return f"{who} opened {counted(connections, 'connection')} and sent no request that can be read", ""
    if goes and (found := _unresolved(trace)):
        return (
            f"go opened no connection: {found}",
            "Check the host in GOPROXY, and ask the resolver: getent hosts NAME.",
        )
    if goes and (told := _told_not_to(trace)):
        return f"go opened no connection: {told}", ""
    if goes and trace.status:
        return "go opened no connection before it failed", ""
    if goes:
        return (
            "go opened no connection: everything it needed was in its cache",
            "goproxy-ebpf trace --cold -- … starts with an empty, throw-away module cache.",
        )
    if any(run.coverage for run in trace.processes):
        return "no go command ran, and what ran opened no connection", ""
    return (
        "no go command ran, and nothing that ran has Go's TLS in it",
        "Trace the go command itself: … trace -- go build ./...",
    )


def _unresolved(trace: Trace) -> str:
    """``proxy.example.com has no address (NXDOMAIN)``: the first name that was asked for, if none had an address."""
    if not trace.dns or any(dns.answers for dns in trace.dns):
        return ""
    first = trace.dns[0]
    return f"{first.name} has no address ({first.rcode or 'no answer'})"


def _told_not_to(trace: Trace) -> str:
    """The setting that kept go at home, by its name and value; empty where none did."""
    environment = trace.header.environment if trace.header is not None else {}
    for flag in environment.get("GOFLAGS", "").split():
        if flag.lstrip("-") == "mod=vendor":
            return "GOFLAGS=-mod=vendor has it use the vendor directory alone"
    proxy = environment.get("GOPROXY", "")
    # Only what is asked first decides: go passes on from a directory to the next entry, from "off" to none.
    first = re.split("[,|]", proxy, maxsplit=1)[0].strip()
    if first == "off":
        return f"GOPROXY={proxy} forbids it"
    if proxy.startswith("file:"):
        return f"GOPROXY={proxy} is a directory"
    return ""

"""Connections: peer, SNI, ALPN, TLS version and cipher, how long name, TCP and TLS took. And DNS look-ups."""

from collections.abc import Iterator

from ...records.flow import TlsFacts
from ...records.log import Dns
from ...trace import ConnectionTrace, Trace
from ...trace.units import counted, duration
from ..page import Page

SHOWN = 12
SHOWN_LOOKUPS = 8


def connection_lines(trace: Trace, page: Page) -> Iterator[str]:
    abandoned = trace.thrown_away()
    used = [connection for number, connection in trace.connections.items() if number not in abandoned]
    if not trace.connections:
        return
    several = len({connection.record.pid for connection in used if connection.record is not None}) > 1
    label = "connection" if len(used) == 1 else "connections"
    for connection in used[:SHOWN]:
        yield from page.section(label, _items(connection, numbered=len(trace.connections) > 1, named=several))
        label = ""
    items = []
    if len(used) > SHOWN:
        items.append(f"{len(used) - SHOWN:,} more")
    if abandoned:
        more = f"{len(abandoned):,} {'more' if used else 'connection' if len(abandoned) == 1 else 'connections'}"
        items.append(f"{more}, thrown away before SETTINGS: another one was ready first")
    yield from page.section(label, items)


def _items(connection: ConnectionTrace, *, numbered: bool, named: bool) -> Iterator[str]:
    record = connection.record
    address = record.remote.rpartition(":")[0] if record is not None and connection.host != record.remote else ""
    name = f"{connection.host} ({address})" if address else connection.host
    if connection.tunnel and record is not None:
        name = f"{connection.host} through {record.remote}"
    yield f"{connection.conn}: {name}" if numbered else name
    if record is None:
        yield "no line of it in this log"
        return
    if record.tls is not None:
        yield from _tls(record.tls)
    if record.protocol and (record.tls is None or record.tls.alpn != record.protocol) and record.protocol != "tls":
        yield record.protocol if record.tls is not None else f"{record.protocol} without TLS"
    if record.dns_ns is not None:
        yield f"dns {duration(record.dns_ns)}"
    if record.established_ns is not None and record.opened_ns:
        yield f"tcp {duration(record.established_ns - record.opened_ns)}"
    elif record.tcp_rtt_ns is not None:
        yield f"tcp {duration(record.tcp_rtt_ns)}"
    handshake = tls_handshake_ns(record.tls)
    if handshake is not None:
        yield f"tls {duration(handshake)}"
    if connection.exchanges:
        yield counted(connection.exchanges, "request")
    if record.tls is not None and record.tls.certificates and record.tls.certificates[0].issuer:
        yield f"issuer {record.tls.certificates[0].issuer}"
    if named and record.process:
        yield f"by {record.process} {record.pid}"
    yield from _trouble(connection)


def _tls(tls: TlsFacts) -> Iterator[str]:
    if tls.version or tls.cipher:
        yield f"{tls.version or 'TLS'} {short_cipher(tls.cipher)}".rstrip()
    if tls.alpn:
        yield tls.alpn
    if tls.hello_retry_request:
        yield "HelloRetryRequest"
    if tls.resumed:
        yield "resumed"


def _trouble(connection: ConnectionTrace) -> Iterator[str]:
    record = connection.record
    if record is None:
        return
    if not record.complete:
        yield "older than the trace"
    if record.tls is not None and record.tls.trouble:
        yield record.tls.trouble
    if record.tls is not None and record.tls.alert and "close_notify" not in record.tls.alert:
        yield f"alert {record.tls.alert}"
    if connection.goaways:
        yield f"GOAWAY {connection.goaway_error}".rstrip()
    if connection.retransmits:
        yield counted(connection.retransmits, "retransmit")
    if record.established_ns is None and record.complete and not connection.spoke_http:
        yield "refused" if record.closed_by == "reset" else "not established"
    elif connection.resets_received:
        yield "reset by the peer"


def tls_handshake_ns(tls: TlsFacts | None) -> int | None:
    """From the ClientHello to the last Finished that was seen; None where it has no end."""
    if tls is None or tls.client_hello_ns is None:
        return None
    end = tls.client_finished_ns if tls.client_finished_ns is not None else tls.server_finished_ns
    return None if end is None else end - tls.client_hello_ns


def short_cipher(name: str) -> str:
    """``TLS_AES_128_GCM_SHA256`` → ``AES-128-GCM``: the hash of an AEAD suite says nothing about the connection."""
    for suffix in ("_SHA256", "_SHA384"):
        if name.removesuffix(suffix).endswith(("_GCM", "_POLY1305")):
            name = name.removesuffix(suffix)
    return name.removeprefix("TLS_").replace("_WITH_", "_").replace("_", "-")


def lookup_lines(trace: Trace, page: Page) -> Iterator[str]:
    """Look-ups with the same question and answer stand together: go asks again for each file of a name that is not."""
    groups: dict[tuple[object, ...], list[Dns]] = {}
    for dns in trace.dns:
        key = (dns.name, dns.type, dns.rcode, dns.answers, dns.rtt_ns is None, dns.resolver, dns.transport)
        groups.setdefault(key, []).append(dns)
    label = "dns"
    for group in list(groups.values())[:SHOWN_LOOKUPS]:
        yield from page.section(label, [item for item in _lookups(group) if item])
        label = ""
    if len(groups) > SHOWN_LOOKUPS:
        yield from page.section("", [f"{len(groups) - SHOWN_LOOKUPS:,} more"])


def _lookups(group: list[Dns]) -> Iterator[str]:
    dns = group[0]
    yield f"{dns.name} {dns.type}"
    if dns.rtt_ns is not None:
        yield dns.rcode if dns.rcode not in ("", "NOERROR") else ", ".join(dns.answers) or "no address"
    times = sorted(each.rtt_ns for each in group if each.rtt_ns is not None)
    if len(times) > 1:
        yield f"{duration(times[0])} to {duration(times[-1])}"
    else:
        yield duration(times[0]) if times else "no answer"
    yield f"from {dns.resolver}"
    asked = sum(each.asked_times for each in group)
    if asked > 1:
        yield f"asked {counted(asked, 'time')}"
    if dns.transport != "udp":
        yield f"over {dns.transport}"

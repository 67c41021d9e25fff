"""SETTINGS both ways, the windows that they and WINDOW_UPDATE open, and frames by type (RFC 9113 §5.2, §6)."""

from collections.abc import Iterator

from ...trace import ConnectionTrace, Grants, Settings, Trace
from ...trace.units import count, counted, exact, size
from ..page import Column, Page, Row

SHOWN = 5
"""Connections, and streams, that are shown one by one."""


def settings_lines(trace: Trace, page: Page) -> Iterator[str]:
    """SETTINGS of each side, connections with the same ones together."""
    groups: dict[str, list[ConnectionTrace]] = {}
    for connection in _http2(trace):
        key = repr((connection.sent.first, connection.received.first, connection.sent.later, connection.received.later))
        groups.setdefault(key, []).append(connection)
    label = "settings"
    for group in list(groups.values())[:SHOWN]:
        where = f" on {_numbers(group)}" if len(groups) > 1 else ""
        for side, settings in (("go", group[0].sent), ("peer", group[0].received)):
            yield from page.section(label, _settings(side + where, settings))
            label = ""
    if len(groups) > SHOWN:
        yield from page.section("", [f"{len(groups) - SHOWN:,} more with other values"])


def _numbers(group: list[ConnectionTrace]) -> str:
    shown = ", ".join(str(connection.conn) for connection in group[:SHOWN])
    return shown + (f" and {len(group) - SHOWN:,} more" if len(group) > SHOWN else "")


def _settings(side: str, settings: Settings) -> Iterator[str]:
    if settings.first is None:
        yield f"{side}: none seen"
        return
    values = [f"{name} {value:,}" for name, value in settings.first.items()]
    yield f"{side}: {values[0]}" if values else f"{side}: all left as they are"
    yield from values[1:]
    for later in settings.later:
        changed = " ".join(f"{name} {value:,}" for name, value in later.values.items()) or "nothing"
        yield f"frame {later.n} changed {changed}"
    if settings.later_count > len(settings.later):
        yield f"{settings.later_count - len(settings.later):,} more SETTINGS"


def window_lines(trace: Trace, page: Page) -> Iterator[str]:
    """Initial credit and lowest point of the connection's and the streams' windows, for both sides."""
    label = "windows"
    http2 = _http2(trace)
    for connection in http2[:SHOWN]:
        where = f" on {connection.conn}" if len(http2) > 1 else ""
        for side, grants in (("go", connection.go_grants), ("peer", connection.peer_grants)):
            items = list(_windows(side + where, grants))
            yield from page.section(label, items)
            label = "" if items else label
    if len(http2) > SHOWN:
        yield from page.section(label, [f"{len(http2) - SHOWN:,} more connections"])


def _windows(side: str, grants: Grants) -> Iterator[str]:
    window = grants.connection
    if window.initial is not None and window.start is not None:
        credit = f" ({count(window.start)} + {count(window.credit)})" if window.credit else ""
        yield f"{side} grants the connection {exact(window.initial)}{credit}"
        yield f"lowest {count(window.lowest)}" if window.lowest is not None else "never used"
    streams = [(stream.lowest, number) for number, stream in grants.streams.items() if stream.lowest is not None]
    initials = sorted({stream.initial for stream in grants.streams.values() if stream.initial is not None})
    if streams and initials:
        lowest, number = min(streams)
        each = count(initials[0]) if len(initials) == 1 else f"{count(initials[0])} to {count(initials[-1])}"
        head = "a stream" if window.initial is not None else f"{side} grants a stream"
        yield f"{head} {each} B"
        yield f"lowest {count(lowest)} (stream {number})"


def update_lines(trace: Trace, page: Page) -> Iterator[str]:
    """WINDOW_UPDATE counts and bytes for the connections and the streams, then the streams with the most."""
    http2 = _http2(trace)
    label = "WINDOW_UPDATE"
    for side in ("go", "peer"):
        grants = [_grants(connection, side) for connection in http2]
        if not any(one.connection.updates or one.stream_updates for one in grants):
            continue
        yield from page.section(label, _updates(side, grants))
        label = ""
    yield from _stream_table(trace, http2, page)


def _updates(side: str, grants: list[Grants]) -> Iterator[str]:
    """``go sent 3,766`` · ``1,883 for the connection, 57.9 MB after the first 1.07 GB`` · …"""
    on_connection = sum(one.connection.updates for one in grants)
    on_streams = sum(one.stream_updates for one in grants)
    yield f"{side} sent {on_connection + on_streams:,}"
    if on_connection:
        credit = sum(one.connection.credit for one in grants)
        later = sum(one.connection.update_bytes for one in grants) - credit
        after = f"{size(later)} after the first {size(credit)}" if credit and later else size(later + credit)
        yield f"{on_connection:,} for the connection, {after}"
    if on_streams:
        streams = sum(stream.updates > 0 for one in grants for stream in one.streams.values())
        length = sum(one.stream_update_bytes for one in grants)
        yield f"{on_streams:,} for {counted(streams, 'stream')}, {size(length)}"


def _grants(connection: ConnectionTrace, side: str) -> Grants:
    return connection.go_grants if side == "go" else connection.peer_grants


def _stream_table(trace: Trace, http2: list[ConnectionTrace], page: Page) -> Iterator[str]:
    paths = {(exchange.conn, exchange.stream): exchange.path for exchange in trace.exchanges}
    streams = [
        (connection.conn, number, stream)
        for connection in http2
        for number, stream in connection.go_grants.streams.items()
        if stream.updates
    ]
    streams.sort(key=lambda item: (-item[2].update_bytes, item[0], item[1]))
    several = len(http2) > 1
    shown = streams[:SHOWN]
    # Mostly all start with the same window, which the lines above name: the paths have better use for its columns.
    differ = len({stream.initial for _, _, stream in shown}) > 1
    rows = []
    for conn, number, stream in shown:
        name = f"{conn}:{number}" if several else str(number)
        window = (_known(stream.initial),) if differ else ()
        cells = (
            paths.get((conn, number), "not answered in this log"),
            name,
            count(stream.updates),
            count(stream.update_bytes),
            *window,
            _known(stream.lowest),
        )
        rows.append(Row(cells))
    titles = (
        Column("", flexible=True, most=10_000),
        Column("stream", right=True),
        Column("updates", right=True),
        Column("bytes", right=True),
        *((Column("window", right=True),) if differ else ()),
        Column("lowest", right=True),
    )
    rest = len(streams) - SHOWN
    yield from page.table("by stream", titles, rows, note=f"… {rest:,} more" if rest > 0 else "")


def _known(number: int | None) -> str:
    return "-" if number is None else count(number)


def frame_lines(trace: Trace, page: Page) -> Iterator[str]:
    """Frames by direction and type, the most frequent first."""
    label = "frames"
    for direction, words in (("send", "sent"), ("recv", "received")):
        counts = [(number, kind) for (way, kind), number in trace.frame_counts.items() if way == direction]
        if counts:
            counts.sort(key=lambda item: (-item[0], item[1]))
            total = sum(number for number, _ in counts)
            yield from page.section(label, [f"{words} {total:,}", *(f"{number:,} {kind}" for number, kind in counts)])
            label = ""


def _http2(trace: Trace) -> list[ConnectionTrace]:
    """Connections on which an HTTP/2 frame passed, without those that go threw away."""
    abandoned = trace.thrown_away()
    return [
        connection
        for number, connection in trace.connections.items()
        if number not in abandoned
        and (
            connection.sent.first is not None
            or connection.received.first is not None
            or connection.go_grants.streams
            or connection.peer_grants.streams
        )
    ]

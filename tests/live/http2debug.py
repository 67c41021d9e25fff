"""Go's own word, as an oracle: what ``GODEBUG=http2debug=2`` prints of the frames that its transport wrote and read."""

import re
from typing import NamedTuple

FRAME = re.compile(
    r"http2: Framer (?P<framer>0x[0-9a-f]+): (?P<way>wrote|read) (?P<type>[A-Z_]+)"
    r"(?: flags=(?P<flags>[A-Z_|0-9x]+))?(?: stream=(?P<stream>\d+))? len=(?P<length>\d+)(?P<rest>.*)"
)
SENT_HEADER = re.compile(r'http2: Transport encoding header "(.*)" = "(.*)"$')
READ_HEADER = re.compile(r'http2: decoded hpack field header field "(.*)" = "(.*)"(?: \(sensitive\))?$')


class Seen(NamedTuple):
    """One frame, as both sides of the comparison say it. ``extra`` is what the type carries, as text."""

    dir: str
    type: str
    stream: int
    length: int
    flags: tuple[str, ...]
    extra: str
    headers: tuple[tuple[str, str], ...] | None


def parse(text: str) -> dict[str, list[Seen]]:
    """Framer -> its frames in the order of the log."""
    framers: dict[str, list[Seen]] = {}
    pending: list[tuple[str, str]] = []
    last_read: tuple[str, int] | None = None
    for line in text.splitlines():
        sent = SENT_HEADER.search(line)
        if sent:
            pending.append((sent[1], sent[2]))
            continue
        read = READ_HEADER.search(line)
        if read and last_read:
            framer, at = last_read
            seen = framers[framer][at]
            framers[framer][at] = seen._replace(headers=(*(seen.headers or ()), (read[1], read[2])))
            continue
        match = FRAME.search(line)
        if not match:
            continue
        frames = framers.setdefault(match["framer"], [])
        way = "send" if match["way"] == "wrote" else "recv"
        headers = None
        if match["type"] == "HEADERS":
            headers, pending = (tuple(pending), []) if way == "send" else ((), pending)
        frames.append(
            Seen(
                way,
                match["type"],
                int(match["stream"] or 0),
                int(match["length"]),
                tuple(sorted((match["flags"] or "").split("|"))) if match["flags"] else (),
                _extra(match["type"], match["rest"]),
                headers,
            )
        )
        last_read = (match["framer"], len(frames) - 1) if match["type"] == "HEADERS" and way == "recv" else last_read
    return framers


def _extra(kind: str, rest: str) -> str:
    if kind == "SETTINGS":
        # Go before 1.24 has no name for RFC 8441's setting.
        return rest.partition("settings: ")[2].replace("UNKNOWN_SETTING_8", "ENABLE_CONNECT_PROTOCOL")
    if kind == "WINDOW_UPDATE":
        return rest.partition("incr=")[2]
    if kind in ("RST_STREAM", "GOAWAY"):
        return rest.partition("ErrCode=")[2].split(" ")[0]
    return ""


def ours(record) -> Seen:
    """A frame of our log in the same words."""
    extra = ""
    if record.type == "SETTINGS":
        extra = ", ".join(f"{name}={value}" for name, value in (record.settings or {}).items())
    elif record.type == "WINDOW_UPDATE":
        extra = str(record.increment)
    elif record.type in ("RST_STREAM", "GOAWAY"):
        extra = record.error or ""
    headers = tuple(tuple(pair) for pair in record.headers) if record.headers is not None else None
    return Seen(record.dir, record.type, record.stream, record.length, tuple(sorted(record.flags)), extra, headers)


def difference(go_says: list[Seen], we_say: list[Seen], slack: int = 64) -> str:
    """What differs, in words; empty if nothing does. At a connection's end one side may know more than the other.

    go logs frames that are still in its buffer, and the kernel holds frames that go never reads: each direction is
    compared as a prefix, and at most ``slack`` frames may be left over: sent ones on go's side, received ones on ours.
    """
    problems = []
    for way in ("send", "recv"):
        theirs = [frame for frame in go_says if frame.dir == way]
        own = [frame for frame in we_say if frame.dir == way]
        for at, (expected, got) in enumerate(zip(theirs, own, strict=False)):
            if expected != got:
                problems.append(f"{way} {at}: go says {expected}, we say {got}")
                break
        more = len(theirs) - len(own) if way == "send" else len(own) - len(theirs)
        if not 0 <= more <= slack:
            problems.append(f"{way}: go logged {len(theirs)} frames, we have {len(own)}")
    return "\n".join(problems)


def left_over(go_says: list[Seen], we_say: list[Seen]) -> list[str]:
    """The frames at a connection's end that only one side knows, a line each."""
    lines = []
    for way, why in (("send", "go logged it and never sent it"), ("recv", "it came and go never read it")):
        theirs = [frame for frame in go_says if frame.dir == way]
        own = [frame for frame in we_say if frame.dir == way]
        rest = theirs[len(own) :] if way == "send" else own[len(theirs) :]
        lines += [f"{way} {frame.type} stream {frame.stream} length {frame.length}: {why}" for frame in rest]
    return lines

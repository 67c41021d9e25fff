"""What a frame's payload says, read by hyperframe.

Two outcomes: a ``Payload`` with the fields of that frame type · a ``Payload`` with ``note``, which names the section
that the frame breaks. Nothing is raised. ``fragment`` is None where a header block fragment could not be taken out.
"""

import hyperframe.exceptions
import hyperframe.frame
import msgspec

from .framing import HEADER, RawFrame
from .names import (
    CONTINUATION,
    DATA,
    GOAWAY,
    HEADERS,
    MAX_STREAM,
    PADDED,
    PING,
    PRIORITY,
    PRIORITY_FLAG,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    error_name,
    section,
)


class Payload(msgspec.Struct, gc=False):
    """Fields as in ``records.log.Frame``; ``settings`` is by number, in the order sent, None on an ACK.

    ``priority`` is (stream depended on, weight 1 to 256, exclusive), RFC 7540 §5.3. ``padding`` is the Pad Length
    field's value, None without the field.
    """

    settings: dict[int, int] | None = None
    increment: int | None = None
    error: str | None = None
    last_stream: int | None = None
    promised_stream: int | None = None
    data: str | None = None
    padding: int | None = None
    priority: tuple[int, int, bool] | None = None
    fragment: bytes | None = None
    note: str = ""


_READ = frozenset((HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION))
_NOTHING = Payload()


def read(frame: RawFrame) -> Payload:
    """The payload of a frame other than DATA; of extension frames nothing is read."""
    kind = frame.type
    if kind not in _READ:
        return _NOTHING
    body = frame.payload
    if body is None:
        return Payload(note=f"{section(kind)}: payload of {frame.length} bytes not read")
    flags = frame.flags
    padding: int | None = None
    if flags & PADDED and kind in (HEADERS, PUSH_PROMISE):
        # By hand: hyperframe refuses padding that leaves an empty fragment, and accepts some that leaves less.
        fixed = 4 if kind == PUSH_PROMISE else 5 if flags & PRIORITY_FLAG else 0
        if not body or body[0] > len(body) - 1 - fixed:
            return Payload(padding=body[0] if body else None, note=f"{section(kind)}: padding longer than the payload")
        padding = body[0]
        body = body[1 : len(body) - padding]
        flags &= ~PADDED
    if kind == WINDOW_UPDATE and len(body) == 4 and body[0] & 0x80:
        body = bytes((body[0] & 0x7F,)) + body[1:]  # the reserved bit is ignored, §6.9
    try:
        parsed, _ = hyperframe.frame.Frame.parse_frame_header(
            memoryview(HEADER.pack(len(body) >> 16, len(body) & 0xFFFF, kind, flags, frame.stream))
        )
        parsed.parse_body(memoryview(body))
    except (hyperframe.exceptions.HyperframeError, ValueError) as refusal:
        return Payload(
            padding=padding,
            increment=0 if kind == WINDOW_UPDATE and body == b"\0\0\0\0" else None,
            note=f"{section(kind)}: {str(refusal).rstrip('.')}",
        )
    return _fields(parsed, padding)


def _fields(parsed: object, padding: int | None) -> Payload:
    payload = Payload(padding=padding)
    if isinstance(parsed, hyperframe.frame.WindowUpdateFrame):
        payload.increment = parsed.window_increment
    elif isinstance(parsed, hyperframe.frame.HeadersFrame):
        payload.fragment = parsed.data
        if "PRIORITY" in parsed.flags:
            payload.priority = (parsed.depends_on, parsed.stream_weight + 1, parsed.exclusive)
    elif isinstance(parsed, hyperframe.frame.ContinuationFrame):
        payload.fragment = parsed.data
    elif isinstance(parsed, hyperframe.frame.PushPromiseFrame):
        payload.fragment = parsed.data
        payload.promised_stream = parsed.promised_stream_id & MAX_STREAM
    elif isinstance(parsed, hyperframe.frame.PriorityFrame):
        payload.priority = (parsed.depends_on, parsed.stream_weight + 1, parsed.exclusive)
    elif isinstance(parsed, hyperframe.frame.RstStreamFrame):
        payload.error = error_name(parsed.error_code)
    elif isinstance(parsed, hyperframe.frame.SettingsFrame):
        payload.settings = None if "ACK" in parsed.flags else parsed.settings
    elif isinstance(parsed, hyperframe.frame.PingFrame):
        payload.data = parsed.opaque_data.hex()
    elif isinstance(parsed, hyperframe.frame.GoAwayFrame):
        payload.last_stream = parsed.last_stream_id & MAX_STREAM
        payload.error = error_name(parsed.error_code)
    return payload


def data_padding(frame: RawFrame) -> tuple[int | None, int, str]:
    """Of a DATA frame: Pad Length (None without one), bytes of data, and what is wrong (RFC 9113 §6.1)."""
    if not frame.flags & PADDED:
        return None, frame.length, "" if frame.stream else f"{section(DATA)}: DATA on stream 0"
    if not frame.payload:
        return None, 0, f"{section(DATA)}: padding longer than the payload"
    padding = frame.payload[0]
    if padding > frame.length - 1:
        return padding, 0, f"{section(DATA)}: padding longer than the payload"
    return padding, frame.length - 1 - padding, "" if frame.stream else f"{section(DATA)}: DATA on stream 0"

"""The lab's own log of what went over its connections, one JSON line a frame: a witness from the other side.

It reads the bytes as they are handed to and taken from TLS, with hyperframe and hpack, and knows nothing of the
server's state. ``from`` is ``client`` or ``server``; other names are those of RFC 9113.
"""

import time
from typing import Any, BinaryIO

import msgspec
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hpack import Decoder, HPACKError
from hyperframe.exceptions import HyperframeError
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER = 9
TYPES = (
    *("DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS"),
    *("PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE", "CONTINUATION"),
)


class Journal:
    """Writes lines to ``file``, or nowhere."""

    def __init__(self, file: BinaryIO | None) -> None:
        self._file = file

    @property
    def wanted(self) -> bool:
        return self._file is not None

    def write(self, connection: int, sender: str, kind: str, **facts: Any) -> None:
        if self._file is not None:
            line = {"at_ns": time.time_ns(), "connection": connection, "from": sender, "type": kind, **facts}
            self._file.write(msgspec.json.encode(line) + b"\n")

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()


class FrameReader:
    """One direction of one connection: ``feed`` with its bytes, in any pieces."""

    def __init__(self, journal: Journal, connection: int, sender: str) -> None:
        self._journal, self._connection, self._sender = journal, connection, sender
        self._buffer = bytearray()
        self._preface = PREFACE if sender == "client" else b""
        self._decoder = Decoder()
        self._block = b""

    def feed(self, data: bytes) -> None:
        self._buffer += data
        if self._preface:
            if len(self._buffer) < len(self._preface):
                return
            del self._buffer[: len(self._preface)]
            self._preface = b""
        while len(self._buffer) >= HEADER:
            length = int.from_bytes(self._buffer[:3], "big")
            if len(self._buffer) < HEADER + length:
                return
            raw = bytes(self._buffer[: HEADER + length])
            del self._buffer[: HEADER + length]
            self._frame(raw, length)

    def _frame(self, raw: bytes, length: int) -> None:
        number = raw[3]
        kind = TYPES[number] if number < len(TYPES) else f"0x{number:x}"
        stream = int.from_bytes(raw[5:9], "big") & 0x7FFFFFFF
        try:
            frame, _ = Frame.parse_frame_header(memoryview(raw[:HEADER]))
            frame.parse_body(memoryview(raw[HEADER:]))
            facts = self._facts(frame, length)
        except (HyperframeError, HPACKError) as error:
            self._journal.write(self._connection, self._sender, kind, stream=stream, length=length, error=str(error))
            return
        self._journal.write(self._connection, self._sender, kind, stream=stream, **facts)

    def _facts(self, frame: Frame, length: int) -> dict[str, Any]:
        """What is written of a frame beside its type and stream."""
        facts: dict[str, Any] = {"length": length, "flags": sorted(str(flag) for flag in frame.flags)}
        if isinstance(frame, DataFrame):
            return facts
        if isinstance(frame, (HeadersFrame, PushPromiseFrame, ContinuationFrame)):
            self._block += frame.data
            if "END_HEADERS" in frame.flags:
                decoded = self._decoder.decode(self._block, raw=True)
                facts["headers"] = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in decoded]
                self._block = b""
        elif isinstance(frame, SettingsFrame):
            facts["settings"] = {_name(SettingCodes, code): value for code, value in frame.settings.items()}
        elif isinstance(frame, WindowUpdateFrame):
            facts["increment"] = frame.window_increment
        elif isinstance(frame, RstStreamFrame):
            facts["error"] = _name(ErrorCodes, frame.error_code)
        elif isinstance(frame, GoAwayFrame):
            facts |= {"error": _name(ErrorCodes, frame.error_code), "last_stream": frame.last_stream_id}
        elif isinstance(frame, PingFrame):
            facts["data"] = frame.opaque_data.hex()
        return facts


def _name(names: Any, code: int) -> str:
    try:
        return str(names(code).name)
    except ValueError:
        return f"0x{code:x}"

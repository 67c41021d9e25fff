"""Names of RFC 9113 and its registered extensions; what has none is ``0x`` and hex."""

from functools import lru_cache

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
"""Frame types, RFC 9113 §6."""

END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITY_FLAG = 0x20

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""The client's connection preface, RFC 9113 §3.4."""

DEFAULT_MAX_FRAME_SIZE = 16_384
DEFAULT_WINDOW = 65_535
MAX_WINDOW = 2**31 - 1
MAX_STREAM = 2**31 - 1

HEADER_TABLE_SIZE = 0x1
INITIAL_WINDOW_SIZE = 0x4
MAX_FRAME_SIZE = 0x5

_TYPES = {
    DATA: "DATA",
    HEADERS: "HEADERS",
    PRIORITY: "PRIORITY",
    RST_STREAM: "RST_STREAM",
    SETTINGS: "SETTINGS",
    PUSH_PROMISE: "PUSH_PROMISE",
    PING: "PING",
    GOAWAY: "GOAWAY",
    WINDOW_UPDATE: "WINDOW_UPDATE",
    CONTINUATION: "CONTINUATION",
    0xA: "ALTSVC",
    0xC: "ORIGIN",
    0x10: "PRIORITY_UPDATE",
}

_SECTIONS = {
    **{number: f"RFC 9113 §6.{number + 1}" for number in range(10)},
    0xA: "RFC 7838 §4",
    0xC: "RFC 8336 §2",
    0x10: "RFC 9218 §7.1",
}

_FLAGS = {
    DATA: {END_STREAM: "END_STREAM", PADDED: "PADDED"},
    HEADERS: {END_STREAM: "END_STREAM", END_HEADERS: "END_HEADERS", PADDED: "PADDED", PRIORITY_FLAG: "PRIORITY"},
    SETTINGS: {ACK: "ACK"},
    PUSH_PROMISE: {END_HEADERS: "END_HEADERS", PADDED: "PADDED"},
    PING: {ACK: "ACK"},
    CONTINUATION: {END_HEADERS: "END_HEADERS"},
}

_SETTINGS = {
    HEADER_TABLE_SIZE: "HEADER_TABLE_SIZE",
    0x2: "ENABLE_PUSH",
    0x3: "MAX_CONCURRENT_STREAMS",
    INITIAL_WINDOW_SIZE: "INITIAL_WINDOW_SIZE",
    MAX_FRAME_SIZE: "MAX_FRAME_SIZE",
    0x6: "MAX_HEADER_LIST_SIZE",
    0x8: "ENABLE_CONNECT_PROTOCOL",
    0x9: "NO_RFC7540_PRIORITIES",
}

_ERRORS = (
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
)


def type_name(number: int) -> str:
    return _TYPES.get(number) or f"0x{number:02x}"


def section(number: int) -> str:
    """Where a frame type is defined."""
    return _SECTIONS.get(number, "RFC 9113 §5.5")


@lru_cache(maxsize=1024)
def flag_names(type_number: int, flags: int) -> tuple[str, ...]:
    """The names of the bits set in ``flags``, lowest bit first."""
    known = _FLAGS.get(type_number, {})
    return tuple(known.get(1 << bit, f"0x{1 << bit:02x}") for bit in range(8) if flags >> bit & 1)


def known_flags(type_number: int) -> int:
    """All bits that RFC 9113 defines for a frame type."""
    return sum(_FLAGS.get(type_number, {}))


def setting_name(number: int) -> str:
    return _SETTINGS.get(number) or f"0x{number:02x}"


def error_name(code: int) -> str:
    return _ERRORS[code] if code < len(_ERRORS) else f"0x{code:02x}"

"""The states of a stream (RFC 9113 §5.1), seen by an observer who knows both ends.

Half-closed by the client: the request has ended; by the server: the response has. ``NEXT`` says what a frame does to a
stream; a pair that is not in it changes nothing.
"""

from enum import Enum


class State(Enum):
    IDLE = "idle"
    RESERVED = "reserved"
    OPEN = "open"
    CLIENT_CLOSED = "half-closed by the client"
    SERVER_CLOSED = "half-closed by the server"
    CLOSED = "closed"


class On(Enum):
    REQUEST = "HEADERS of the client"
    RESPONSE = "HEADERS of the server"
    PROMISE = "PUSH_PROMISE"
    CLIENT_END = "END_STREAM of the client"
    SERVER_END = "END_STREAM of the server"
    RESET = "RST_STREAM"


NEXT = {
    (State.IDLE, On.REQUEST): State.OPEN,
    (State.IDLE, On.RESPONSE): State.OPEN,  # the request's bytes are missing, or not decoded yet
    (State.IDLE, On.PROMISE): State.RESERVED,
    (State.RESERVED, On.RESPONSE): State.CLIENT_CLOSED,
    (State.RESERVED, On.RESET): State.CLOSED,
    (State.OPEN, On.REQUEST): State.OPEN,
    (State.OPEN, On.RESPONSE): State.OPEN,
    (State.OPEN, On.CLIENT_END): State.CLIENT_CLOSED,
    (State.OPEN, On.SERVER_END): State.SERVER_CLOSED,
    (State.OPEN, On.RESET): State.CLOSED,
    (State.CLIENT_CLOSED, On.RESPONSE): State.CLIENT_CLOSED,
    (State.CLIENT_CLOSED, On.SERVER_END): State.CLOSED,
    (State.CLIENT_CLOSED, On.RESET): State.CLOSED,
    (State.SERVER_CLOSED, On.REQUEST): State.SERVER_CLOSED,
    (State.SERVER_CLOSED, On.CLIENT_END): State.CLOSED,
    (State.SERVER_CLOSED, On.RESET): State.CLOSED,
}

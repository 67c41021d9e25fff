"""Datagrams to and from port 53 -> ``Lookup``s: a question and its answer, or a question without one.

Three outcomes: ``Lookup``s · nothing, for a question (it waits for its answer), an answer that nobody asked for, or a
message of which more must come (over TCP, RFC 1035 §4.2.2) · nothing as well for bytes that are no DNS message: there
is no error, a datagram is whatever its sender likes.

An answer belongs to the question with the same ends, network namespace, transport, id and question section. A question
repeated before its answer is the same look-up asked again; it is timed from the first time.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
from dns.rdtypes.ANY.CNAME import CNAME
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA

from goproxy_ebpf.records.common import Direction, Endpoint
from goproxy_ebpf.records.flow import Datagram, Lookup

DNS_PORT = 53
MAX_WAITING = 4096
MAX_STREAMS = 1024

_Key = tuple[int, str, Endpoint, Endpoint, int, str, str]
_Stream = tuple[int, Endpoint, Endpoint, Direction]


@dataclass(slots=True)
class _Question:
    asked_ns: int
    name: str
    type: str
    resolver: str
    transport: str
    times: int = 1


class Lookups:
    """Pairs questions and answers. At most ``MAX_WAITING`` questions wait: the oldest is given up."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[_Key, _Question] = OrderedDict()
        self._streams: dict[_Stream, bytearray | None] = {}

    def feed(self, datagram: Datagram) -> Iterator[Lookup]:
        """The look-ups that end with this datagram."""
        if datagram.transport != "tcp":
            return iter(self._message(datagram, datagram.data))
        return iter(self._tcp(datagram))

    def finish(self, at_ns: int) -> Iterator[Lookup]:
        """The run is over: the questions that were not answered."""
        waiting = list(self._waiting.values())
        self._waiting.clear()
        self._streams.clear()
        return iter([_unanswered(question) for question in waiting])

    def _tcp(self, datagram: Datagram) -> list[Lookup]:
        key = (datagram.netns, datagram.addresses.local, datagram.addresses.remote, datagram.direction)
        if not datagram.data:
            self._streams.pop(key, None)
            return []
        if key not in self._streams:
            # None for a stream too many, so that it is not taken up in its middle later.
            self._streams[key] = bytearray() if len(self._streams) < MAX_STREAMS else None
        waiting = self._streams[key]
        if waiting is None:
            return []
        waiting += datagram.data
        found: list[Lookup] = []
        start = 0
        while len(waiting) >= start + 2:
            end = start + 2 + int.from_bytes(waiting[start : start + 2], "big")
            if len(waiting) < end:
                break
            found += self._message(datagram, bytes(waiting[start + 2 : end]))
            start = end
        del waiting[:start]
        return found

    def _message(self, datagram: Datagram, data: bytes) -> list[Lookup]:
        message = _decode(data)
        if message is None or message.opcode() != dns.opcode.QUERY or len(message.question) != 1:
            return []
        is_answer = bool(message.flags & dns.flags.QR)
        local, remote = datagram.addresses.local, datagram.addresses.remote
        sender, receiver = (local, remote) if datagram.direction is Direction.SEND else (remote, local)
        client, resolver = (receiver, sender) if is_answer else (sender, receiver)
        if resolver.port != DNS_PORT:
            return []
        asked = message.question[0]
        name = asked.name.to_text(omit_final_dot=True)
        kind = dns.rdatatype.to_text(asked.rdtype)
        key = (datagram.netns, datagram.transport, client, resolver, message.id, name.lower(), kind)
        question = self._waiting.get(key)
        if is_answer:
            if question is None:
                return []
            del self._waiting[key]
            return [_answered(question, message, datagram.at_ns)]
        if question is not None:
            question.times += 1
            return []
        self._waiting[key] = _Question(datagram.at_ns, name, kind, str(resolver), datagram.transport)
        if len(self._waiting) > MAX_WAITING:
            return [_unanswered(self._waiting.popitem(last=False)[1])]
        return []


def _decode(data: bytes) -> dns.message.Message | None:
    try:
        return dns.message.from_wire(data, ignore_trailing=True)
    except dns.exception.DNSException:
        return None


def _answered(question: _Question, message: dns.message.Message, at_ns: int) -> Lookup:
    answers: list[str] = []
    ttls: list[int] = []
    for rrset in message.answer:
        ttls.append(rrset.ttl)
        for record in rrset:
            if isinstance(record, A | AAAA):
                answers.append(record.address)
            elif isinstance(record, CNAME):
                answers.append(record.target.to_text(omit_final_dot=True))
    return Lookup(
        question.asked_ns,
        at_ns,
        question.name,
        question.type,
        question.resolver,
        question.transport,
        rcode=dns.rcode.to_text(message.rcode()),
        answers=tuple(answers),
        ttl=min(ttls, default=None),
        asked_times=question.times,
    )


def _unanswered(question: _Question) -> Lookup:
    return Lookup(
        question.asked_ns,
        None,
        question.name,
        question.type,
        question.resolver,
        question.transport,
        asked_times=question.times,
    )

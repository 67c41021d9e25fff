"""This folder has no ``__init__.py``: as a package it would be called ``dns`` and hide dnspython."""

import dns.flags
import dns.message
import dns.rcode
import dns.update
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.dns import DNS, DNSQR, DNSRR

from goproxy_ebpf.dns import Lookups, lookups
from goproxy_ebpf.records.common import Direction, Endpoint, SocketAddresses
from goproxy_ebpf.records.flow import Datagram, Lookup

SEND, RECV = Direction.SEND, Direction.RECV
SOCKET = SocketAddresses(Endpoint(b"\x0a\0\0\2", 5353), Endpoint(b"\x0a\0\0\x35", 53))


def query(name="proxy.example.com.", kind="A", ident=7):
    return dns.message.make_query(name, kind, id=ident, use_edns=True)


def answer(to, *records: str, rcode=dns.rcode.NOERROR):
    message = dns.message.make_response(to)
    message.set_rcode(rcode)
    text = message.to_text() + "\n" if not records else ""
    if records:
        message = dns.message.from_text(
            f"id {to.id}\nopcode QUERY\nrcode NOERROR\nflags QR RD RA\n;QUESTION\n{to.question[0].to_text()}\n;ANSWER\n"
            + "\n".join(records)
        )
    assert records or text
    return message


def asked(message, at_ns=1, socket=SOCKET, transport="udp", netns=9):
    data = message if isinstance(message, bytes) else message.to_wire(want_shuffle=False)
    return Datagram(at_ns, SEND, socket, netns, data, transport)


def told(message, at_ns=2, socket=SOCKET, transport="udp", netns=9):
    return msgspec.structs.replace(asked(message, at_ns, socket, transport, netns), direction=RECV)


def feed(datagrams, finish=None):
    found = Lookups()
    events = [lookup for datagram in datagrams for lookup in found.feed(datagram)]
    return events + list(found.finish(finish)) if finish is not None else events


ANSWERS = (
    "proxy.example.com. 300 IN CNAME edge.example.net.",
    "edge.example.net. 60 IN A 192.0.2.1",
    "edge.example.net. 60 IN A 192.0.2.2",
)
FOUND = Lookup(
    1,
    2,
    "proxy.example.com",
    "A",
    "10.0.0.53:53",
    "udp",
    "NOERROR",
    ("edge.example.net", "192.0.2.1", "192.0.2.2"),
    60,
)


def test_a_question_and_its_answer_are_a_look_up():
    assert feed([asked(query()), told(answer(query(), *ANSWERS))], finish=9) == [FOUND]


def test_scapys_messages_are_read_as_well():
    question = DNS(id=3, qr=0, qd=DNSQR(qname="a.example", qtype="AAAA"))
    response = DNS(
        id=3,
        qr=1,
        rcode=0,
        qd=DNSQR(qname="a.example", qtype="AAAA"),
        an=DNSRR(rrname="a.example", type="AAAA", ttl=5, rdata="2001:db8::1"),
    )
    assert feed([asked(bytes(question)), told(bytes(response))]) == [
        Lookup(1, 2, "a.example", "AAAA", "10.0.0.53:53", "udp", "NOERROR", ("2001:db8::1",), 5)
    ]


def test_a_question_asked_again_is_one_look_up_timed_from_the_first():
    again = [asked(query(), 1), asked(query(), 5), asked(query(), 7), told(answer(query(), *ANSWERS), 8)]
    assert feed(again, finish=9) == [msgspec.structs.replace(FOUND, answered_ns=8, asked_times=3)]


def test_a_question_without_an_answer_is_told_at_the_end():
    expected = Lookup(1, None, "proxy.example.com", "A", "10.0.0.53:53", "udp", asked_times=2)
    assert feed([asked(query()), asked(query(), 3)], finish=9) == [expected]


def test_a_name_that_does_not_exist_has_its_code_and_no_answers():
    found = feed([asked(query()), told(answer(query(), rcode=dns.rcode.NXDOMAIN))])
    assert found == [msgspec.structs.replace(FOUND, rcode="NXDOMAIN", answers=(), ttl=None)]


@pytest.mark.parametrize(
    "stray",
    [
        told(answer(query(ident=8), *ANSWERS)),
        told(answer(query(kind="AAAA"), *ANSWERS)),
        told(answer(query(name="other.example."), *ANSWERS)),
        told(answer(query(), *ANSWERS), netns=10),
        told(answer(query(), *ANSWERS), socket=SocketAddresses(Endpoint(b"\x0a\0\0\2", 1), SOCKET.remote)),
        told(answer(query(), *ANSWERS), socket=SocketAddresses(SOCKET.local, Endpoint(b"\x0a\0\0\1", 53))),
        told(b"\0\7" + answer(query(), *ANSWERS).to_wire(), transport="tcp"),
        asked(answer(query(), *ANSWERS)),
    ],
)
def test_an_answer_to_another_question_is_none(stray):
    assert feed([asked(query()), stray, told(answer(query(), *ANSWERS))], finish=9) == [FOUND]


def test_a_second_answer_is_nothing():
    assert feed([asked(query()), *[told(answer(query(), *ANSWERS))] * 2], finish=9) == [FOUND]


def test_the_case_of_a_name_is_kept_and_does_not_matter():
    found = feed([asked(query("Proxy.Example.com.")), told(answer(query(), *ANSWERS))])
    assert found == [msgspec.structs.replace(FOUND, name="Proxy.Example.com")]


def test_an_answer_seen_from_the_resolvers_side_is_the_same():
    """Both ends traced: the answer is what the resolver's socket sent."""
    seen = msgspec.structs.replace(told(answer(query(), *ANSWERS), socket=SOCKET.swapped), direction=SEND)
    assert feed([asked(query()), seen]) == [FOUND]


def framed(message) -> bytes:
    data = message.to_wire(want_shuffle=False)
    return len(data).to_bytes(2, "big") + data


def test_over_tcp_messages_are_found_however_they_are_cut():
    first, second = query(ident=1), query(kind="AAAA", ident=2)
    asking = framed(first) + framed(second)
    telling = framed(answer(second, "proxy.example.com. 9 IN AAAA ::1")) + framed(answer(first, *ANSWERS))
    expected = [
        Lookup(1, 2, "proxy.example.com", "AAAA", "10.0.0.53:53", "tcp", "NOERROR", ("::1",), 9),
        msgspec.structs.replace(FOUND, transport="tcp"),
    ]
    end = asked(b"", transport="tcp")
    for step in (1, 2, 3, 7, 50, 10_000):
        datagrams = [asked(asking[at : at + step], transport="tcp") for at in range(0, len(asking), step)]
        datagrams += [told(telling[at : at + step], transport="tcp") for at in range(0, len(telling), step)]
        assert feed([*datagrams, end, msgspec.structs.replace(end, direction=RECV)], finish=9) == expected


def test_after_the_end_of_a_tcp_stream_another_begins_with_a_length():
    half = framed(query())[:9]
    datagrams = [asked(half, transport="tcp"), asked(b"", transport="tcp"), asked(framed(query()), transport="tcp")]
    found = feed([*datagrams, told(framed(answer(query(), *ANSWERS)), transport="tcp")], finish=9)
    assert found == [msgspec.structs.replace(FOUND, transport="tcp")]


def test_a_stream_too_many_is_left_out_for_good(monkeypatch):
    monkeypatch.setattr(lookups, "MAX_STREAMS", 1)
    other = SocketAddresses(Endpoint(b"\x0a\0\0\2", 1), SOCKET.remote)
    datagrams = [
        asked(b"\0", transport="tcp"),
        asked(b"\0", transport="tcp", socket=other),
        asked(b"", transport="tcp"),
        asked(framed(query()), transport="tcp", socket=other),
    ]
    assert feed(datagrams, finish=9) == []


def test_questions_that_wait_are_bounded(monkeypatch):
    monkeypatch.setattr(lookups, "MAX_WAITING", 2)
    found = feed([asked(query(ident=number), number) for number in (1, 2, 3)])
    assert [(lookup.asked_ns, lookup.rcode) for lookup in found] == [(1, "")]


def test_messages_that_ask_nothing_are_nothing():
    update = dns.update.UpdateMessage("example.com")
    empty = dns.message.Message(id=7)
    elsewhere = SocketAddresses(SOCKET.local, Endpoint(b"\x0a\0\0\x35", 5300))
    assert feed([asked(update), asked(empty), asked(query(), socket=elsewhere)], finish=9) == []


WIRES = [
    query().to_wire(),
    answer(query(), *ANSWERS).to_wire(),
    answer(query(kind="HTTPS"), 'proxy.example.com. 1 IN HTTPS 1 . alpn="h2"').to_wire(),
]


@settings(max_examples=600, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(
                st.binary(max_size=80),
                st.builds(
                    lambda wire, at, some: wire[: at % len(wire)] + some + wire[at % len(wire) + len(some) :],
                    st.sampled_from(WIRES),
                    st.integers(0, 300),
                    st.binary(max_size=4),
                ),
            ),
            st.sampled_from(Direction),
            st.sampled_from(["udp", "tcp"]),
        ),
        max_size=6,
    )
)
def test_any_bytes_are_look_ups_or_nothing(messages):
    """Any bytes give look-ups, at most one a message that was asked; never an error."""
    datagrams = [Datagram(1, direction, SOCKET, 9, data, transport) for data, direction, transport in messages]
    found = feed(datagrams, finish=9)
    assert all(isinstance(lookup, Lookup) for lookup in found)
    if all(datagram.transport == "udp" for datagram in datagrams):
        assert sum(lookup.asked_times for lookup in found) <= len(datagrams)

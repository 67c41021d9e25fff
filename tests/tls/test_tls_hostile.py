"""Any bytes, gaps and secrets: nothing raises, nothing grows without bound, every byte is counted once."""

import contextlib
import hashlib

import crafted
import pytest
from crafted import C_AP, DATA, HANDSHAKE, LOG, S_AP, Peers, client_hello, message, server_hello
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st
from tls_peers import RECV, SEND, closed, opened, play

from goproxy_ebpf.records.capture import Secret, TrafficSecret
from goproxy_ebpf.records.flow import Plaintext, PlaintextGap, StreamBytes, StreamGap
from goproxy_ebpf.tls import Tls
from goproxy_ebpf.tls.certificates import UNREADABLE, certificate
from goproxy_ebpf.tls.clear import Midstream
from goproxy_ebpf.tls.messages import (
    MalformedError,
    certificates,
    encrypted_extensions,
    key_exchange_group,
)
from goproxy_ebpf.tls.messages import (
    client_hello as parse_client_hello,
)
from goproxy_ebpf.tls.messages import (
    server_hello as parse_server_hello,
)
from goproxy_ebpf.tls.names import _CIPHERS, _GROUPS


def good_stream():
    peers = Peers()
    return [
        (SEND, client_hello((0, b"\0\x0e\0\0\x0bexample.com"), (16, b"\0\x03\x02h2"))),
        (RECV, server_hello((51, b"\0\x1d\0\0")) + peers.server_flight(50)),
        (SEND, peers.client_finished() + peers.client.seal(DATA, b"ping" * 50)),
        (RECV, peers.server.seal(HANDSHAKE, message(4, bytes(50))) + peers.server.seal(DATA, bytes(3000))),
        (SEND, peers.client.seal(HANDSHAKE, message(24, b"\1")) + peers.client.update().seal(DATA, b"new")),
        (RECV, peers.server.seal(DATA, b"end") + peers.server.seal(21, b"\1\0")),
    ]


GOOD = good_stream()
CONNECT = (SEND, b"CONNECT h:443 HTTP/1.1\r\n\r\n")
GRANTED = (RECV, b"HTTP/1.1 200 OK\r\n\r\n")
LATE = [
    TrafficSecret(10**9, 7, SEND, 0x0304, crafted.secret(C_AP), 1, b""),
    TrafficSecret(10**9, 7, RECV, 0x0304, crafted.secret(S_AP), 1, GOOD[3][1][:9]),
]

direction = st.sampled_from([SEND, RECV])
tlsish = st.builds(
    lambda kind, minor, length, body: bytes([kind, 3, minor]) + length.to_bytes(2, "big") + body,
    st.integers(20, 24),
    st.integers(0, 4),
    st.integers(0, 300),
    st.binary(max_size=300),
)
anything = st.one_of(
    st.tuples(direction, st.binary(max_size=200)),
    st.tuples(direction, tlsish),
    st.tuples(direction, st.integers(1, 20_000)),
    st.sampled_from([*GOOD, *GOOD, CONNECT, GRANTED]),
    st.sampled_from([*LOG, *LATE]),
    st.builds(
        lambda label, random, secret: Secret(0, 7, label, random, secret),
        st.sampled_from([*(line.label for line in LOG), "CLIENT_RANDOM", "EXPORTER_SECRET"]),
        st.sampled_from([crafted.RANDOM, b"", bytes(32)]),
        st.binary(max_size=64),
    ),
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(anything, max_size=12),
    st.sampled_from([1, 3, 100, 1 << 20]),
    st.booleans(),
    st.sampled_from(["fin", "reset"]),
)
def test_any_bytes_gaps_and_secrets_are_taken_and_add_up(items, piece, complete, how):
    play(items, piece=piece, complete=complete, how=how)  # which checks the sums


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4000), st.integers(0, 255), st.integers(0, 3)), max_size=4),
    st.sampled_from(["log first", "log last", "late"]),
    st.sampled_from([1, 1 << 20]),
)
def test_a_good_connection_with_damage_anywhere_adds_up_and_gives_no_wrong_plaintext(damage, when, piece):
    items = [(way, bytearray(data)) for way, data in GOOD]
    for number, at, value, kind in damage:
        data = items[number][1]
        place = min(at, len(data))
        if kind == 0:
            data[place : place + 1] = bytes([value])
        elif kind == 1:
            del data[place : place + value]
        elif kind == 2:
            data[place:place] = bytes([value]) * value
        else:
            data[place:place] = b"\x17\x03\x03\0" + bytes([value])
    items = [(way, bytes(data)) for way, data in items]
    items = LOG + items if when == "log first" else items + (LOG if when == "log last" else LATE)
    heard = play(items, piece=piece)
    good = {SEND: (b"ping" * 50, b"new"), RECV: (bytes(3000), b"end")}
    if heard.tls.is_tls(1):
        for event in heard.events:
            if isinstance(event, Plaintext) and heard.total(event.direction).decrypted:
                assert event.data in good[event.direction]


@settings(max_examples=200, deadline=None)
@given(st.lists(anything, max_size=8), st.sampled_from([1, 5]))
def test_plaintext_does_not_depend_on_how_the_stream_is_cut(items, piece):
    whole, cut = play(items), play(items, piece=piece)
    for way in (SEND, RECV):
        assert whole.plaintext(way) == cut.plaintext(way)
        assert whole.tls.is_tls(1) == cut.tls.is_tls(1)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([data[9:] for _, data in GOOD[:2]]), st.lists(st.tuples(st.integers(0, 300), st.binary(max_size=9)))
)
def test_a_message_parser_gives_a_value_or_malformed_and_nothing_else(body, damage):
    data = bytearray(body)
    for place, change in damage:
        data[place : place + len(change)] = change
    for parse in (
        parse_client_hello,
        parse_server_hello,
        encrypted_extensions,
        key_exchange_group,
        lambda body: certificates(body, tls13=True),
        lambda body: certificates(body, tls13=False),
    ):
        with contextlib.suppress(MalformedError):
            parse(bytes(data))


@settings(max_examples=500, deadline=None)
@given(damage=st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 255)), max_size=6))
def test_any_bytes_give_a_certificate_with_their_own_hash(ec_identity, damage):
    der = bytearray(ec_identity.certificate.public_bytes(Encoding.DER))
    for place, value in damage:
        der[place % len(der)] = value
    found = certificate(bytes(der))
    assert found.sha256 == hashlib.sha256(der).hexdigest()
    assert damage or found.names == ("example.com", "*.example.org")


def test_what_is_no_certificate_is_unreadable():
    assert [certificate(der).subject for der in (b"", b"\x30\x80", bytes(100))] == [UNREADABLE] * 3


def test_what_waits_for_a_secret_is_bounded_and_given_up_in_the_open():
    tls = Tls(waiting_per_connection=100_000)
    peers = Peers()
    items = [(SEND, client_hello()), (RECV, server_hello() + peers.server_flight())]
    items += [(RECV, peers.server.seal(DATA, bytes([k]) * 1000)) for k in range(250)]
    heard = play([*items, *LOG], tls=tls, how="")
    held = [event.data[0] for event in heard.of(RECV) if isinstance(event, Plaintext)]
    assert held == list(range(held[0], 250))
    assert 5 < len(held) < 100
    assert isinstance(heard.of(RECV)[0], PlaintextGap)
    assert heard.total(RECV).reason == "no TLS secret came for this connection"
    assert heard.facts.trouble == heard.total(RECV).reason


def test_what_waits_in_all_connections_together_is_bounded():
    tls = Tls(waiting_in_all=200_000)
    for number in range(1, 101):
        peers = Peers()
        data = server_hello() + peers.server_flight() + peers.server.seal(DATA, bytes(9000))
        list(tls.feed(opened(number=number)))
        list(tls.feed(StreamBytes(number, SEND, 1, 0, client_hello())))
        list(tls.feed(StreamBytes(number, RECV, 2, 0, data)))
    waiting = [tls.bytes(number, RECV).partial for number in range(1, 101)]
    assert 100_000 < sum(waiting) <= 200_000
    for number in range(1, 101):
        list(tls.feed(closed(3, number=number)))
        tls.forget(number)
    assert tls._waiting == 0
    assert tls._connections == {}


def test_a_byte_a_segment_costs_no_more_memory_than_the_bound():
    tls = Tls(waiting_per_connection=50_000)
    peers = Peers()
    data = server_hello() + peers.server_flight() + b"".join(peers.server.seal(DATA, bytes(100)) for _ in range(100))
    list(tls.feed(opened()))
    list(tls.feed(StreamBytes(1, SEND, 1, 0, client_hello())))
    for at, byte in enumerate(data):
        list(tls.feed(StreamBytes(1, RECV, at + 2, at, bytes([byte]))))
        assert tls.bytes(1, RECV).partial <= 1000
    for at in range(2_000):
        list(tls.feed(StreamGap(1, RECV, at, 0, 1, "lost")))
    assert len(tls._connections[1]._received.half.buffer.stretches) < 100


def test_a_forgotten_connection_leaves_nothing_behind():
    heard = play([*LOG, *GOOD])
    heard.tls.forget(1)
    heard.tls.forget(1)
    tls = heard.tls
    assert (tls._connections, tls._secrets, tls._randoms, tls._known, tls._waiting) == ({}, {}, {}, set(), 0)
    assert (tls.bytes(1, SEND), tls.is_tls(1)) == (None, None)


def test_the_end_of_the_run_closes_what_is_open():
    heard = play(GOOD, how="")
    events = [event for _, event in heard.tls.finish(10**6)]
    assert [type(event) for event in events[1:]] == [PlaintextGap, PlaintextGap]
    assert events[0].trouble == "no TLS secret came for this connection"
    assert list(heard.tls.finish(10**6)) == []


def test_names_are_those_of_the_registry():
    suites = pytest.importorskip("scapy.layers.tls.crypto.suites")._tls_cipher_suites
    assert {number: suites.get(number, name) for number, name in _CIPHERS.items()} == _CIPHERS
    groups = pytest.importorskip("scapy.layers.tls.crypto.groups")._tls_named_groups
    assert {number: groups.get(number, name) for number, name in _GROUPS.items()} == _GROUPS


def test_looking_into_midstream_costs_time_in_proportion_to_the_bytes():
    look, data, candidates = Midstream(), bytearray(), b"\x17\x03\x03\x3f\xff"
    while look.look(data, final=False) is None:
        data += candidates
    assert len(data) < 40_000

"""Bytes that are missing inside TLS: the next record is found by its tag, and what lies between is counted."""

import crafted
import pytest
from crafted import DATA, HANDSHAKE, LOG, Peers, client_hello, message, server_hello
from tls_peers import RECV, SEND, Memory, contexts, play

from goproxy_ebpf.records.flow import Plaintext, PlaintextGap
from goproxy_ebpf.tls.half import NOT_FOUND_AGAIN


def start(peers):
    return [
        *LOG,
        (SEND, client_hello()),
        (RECV, server_hello() + peers.server_flight()),
        (SEND, peers.client_finished()),
    ]


def cut(direction, data, begin, end):
    return [(direction, data[:begin]), (direction, end - begin), (direction, data[end:])]


@pytest.mark.parametrize("piece", [1, 1448, 1 << 20])
@pytest.mark.parametrize("secrets", ["first", "last"])
@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (0, 1),
        (3, 4),
        (30, 31),
        (0, 122),
        (122, 244),
        (100, 700),
        (121, 123),
        (1, 12_000),
        (0, 24_390),
        (12_100, 12_399),
    ],
)
def test_a_gap_between_records_costs_only_the_records_it_touches(piece, secrets, begin, end):
    peers = Peers()
    items = start(peers)
    if secrets == "last":
        items = items[4:]
    size = 122  # of a record that holds 100 bytes
    data = b"".join(peers.server.seal(DATA, bytes([k]) * 100) for k in range(200))
    assert len(data) == 200 * size
    items += cut(RECV, data, begin, end)
    heard = play(items + (LOG if secrets == "last" else []), piece=piece)
    touched = range(begin // size, -(-end // size))
    assert [e.data[0] for e in heard.of(RECV) if isinstance(e, Plaintext)] == [
        k for k in range(200) if k not in touched
    ]
    gaps = [event.length for event in heard.of(RECV) if isinstance(event, PlaintextGap)]
    assert gaps == [len(touched) * size]
    assert heard.total(RECV).missing == end - begin
    assert heard.total(RECV).undecryptable == len(touched) * size - (end - begin)


def test_a_gap_over_a_key_update_is_crossed():
    peers = Peers()
    items = start(peers)
    items += [(RECV, peers.server.seal(DATA, b"one"))]
    lost = peers.server.seal(HANDSHAKE, message(24, b"\0"))
    peers.server = peers.server.update()
    lost += peers.server.seal(DATA, b"two")
    items += [(RECV, len(lost)), (RECV, peers.server.seal(DATA, b"three"))]
    heard = play(items)
    assert heard.plaintext(RECV) == b"onethree"


def test_a_gap_over_the_end_of_the_handshake_is_crossed():
    for begin in range(0, 100, 9):
        peers = Peers()
        flight = server_hello() + peers.server_flight(20)
        items = [*LOG, (SEND, client_hello()), (RECV, flight[:begin]), (RECV, len(flight) - begin)]
        items += [(RECV, peers.server.seal(DATA, b"data"))]
        assert play(items).plaintext(RECV) == b"data"


def test_a_record_that_was_changed_on_its_way_costs_only_itself():
    peers = Peers()
    items = start(peers)
    records = [bytearray(peers.server.seal(DATA, b"%d" % k)) for k in range(9)]
    records[4][9] ^= 1
    items += [(RECV, bytes(record)) for record in records]
    heard = play(items)
    assert heard.plaintext(RECV) == b"01235678"
    assert [e.length for e in heard.of(RECV) if isinstance(e, PlaintextGap)] == [len(records[4])]


def test_bytes_that_are_no_record_do_not_hide_the_next_one():
    peers = Peers()
    items = start(peers)
    items += [(RECV, peers.server.seal(DATA, b"a") + b"\x17\x03\x03\0\x20garbage" * 9 + peers.server.seal(DATA, b"b"))]
    peers.server.sequence += 4
    items += [(RECV, peers.server.seal(DATA, b"never found"))]
    heard = play(items)
    assert heard.plaintext(RECV) == b"ab"
    assert heard.facts.trouble == NOT_FOUND_AGAIN


def test_a_gap_in_tls12_is_crossed(tmp_path, rsa_identity):
    client, server = contexts(rsa_identity, crafted_tls12(), "ECDHE-RSA-AES128-GCM-SHA256")
    memory = Memory(client, server, tmp_path / "keys")
    memory.shake_hands()
    items = list(memory.transcript.items)
    for k in range(9):
        memory.answer(b"%d" % k * 50)
    records = [data for way, data in memory.transcript.items[len(items) :] if way is RECV]
    items += cut(RECV, b"".join(records), 200, 300)
    heard = play(items)
    assert heard.plaintext(RECV)[:100] == b"0" * 50 + b"1" * 50
    assert heard.plaintext(RECV)[-250:] == b"".join(b"%d" % k * 50 for k in range(4, 9))


def crafted_tls12():
    import ssl

    return ssl.TLSVersion.TLSv1_2


def test_a_gap_that_hides_the_client_hello_leaves_a_clear_word():
    peers = Peers()
    items = [(SEND, 50), (SEND, client_hello()[50:]), *start(peers)[5:], (RECV, peers.server.seal(DATA, b"x"))]
    heard = play(items)
    assert heard.facts.trouble == "no TLS secret came for this connection"
    assert heard.plaintext(RECV) == b""


def test_the_search_for_a_record_ends_after_a_bounded_number_of_tries():
    peers = Peers()
    items = start(peers)
    hostile = crafted.Sealer(bytes(32))
    items += [(RECV, 10_000_000)]
    items += [(RECV, hostile.seal(DATA, b"")) for _ in range(3_000)]
    heard = play(items)
    assert heard.facts.trouble == "no record could be opened behind a gap in the bytes from the server"
    assert heard.total(RECV).missing == 10_000_000


def test_the_rest_of_a_message_behind_a_gap_is_not_taken_for_messages():
    peers = Peers()
    ticket = message(4, message(24, b"\0") * 100)  # its middle looks like KeyUpdate messages
    items = start(peers)
    records = [peers.server.seal(HANDSHAKE, ticket[at : at + 100]) for at in range(0, len(ticket), 100)]
    items += [(RECV, records[0]), (RECV, len(records[1]))]
    items += [(RECV, record) for record in records[2:]]
    items += [(RECV, peers.server.seal(HANDSHAKE, message(24, b"\0")))]
    items += [(RECV, peers.server.update().seal(DATA, b"after"))]
    heard = play(items)
    assert heard.plaintext(RECV) == b"after"
    assert heard.total(RECV).undecryptable == 0

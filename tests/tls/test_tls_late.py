"""Traffic secrets out of a process's memory: believed only when a record opens, whenever and wherever they come."""

import crafted
import pytest
from crafted import C_AP, C_HS, DATA, HANDSHAKE, S_AP, S_HS, Peers, client_hello, message, secret, server_hello
from tls_peers import RECV, SEND, opened, play

from goproxy_ebpf.records.capture import TrafficSecret
from goproxy_ebpf.records.flow import Plaintext, PlaintextGap, StreamBytes
from goproxy_ebpf.tls import Tls


def late(direction, value, sequence, record=b"", *, at_ns=10**9, pid=7):
    return TrafficSecret(at_ns, pid, direction, 0x0304, value, sequence, record)


class Recorded:
    """A connection of 20 records each way behind the handshake; ``sent[k]`` and ``received[k]`` have sequence k."""

    def __init__(self, count=20):
        peers = Peers()
        self.hello = [(SEND, client_hello()), (RECV, server_hello() + peers.server_flight(30))]
        self.finished = (SEND, peers.client_finished())
        self.sent = [peers.client.seal(DATA, b"up %d;" % k) for k in range(count)]
        self.received = [peers.server.seal(DATA, b"down %d;" % k) for k in range(count)]
        self.start = [*self.hello, self.finished]

    def items(self, *, since=0, until=20):
        for k in range(since, until):
            yield SEND, self.sent[k]
            yield RECV, self.received[k]


def words(what, since=0, until=20):
    return b"".join(b"%s %d;" % (what, k) for k in range(since, until))


@pytest.mark.parametrize("piece", [1, 1 << 20])
@pytest.mark.parametrize("at", [0, 1, 7, 20])
@pytest.mark.parametrize("prefix", [0, 16, 1000])
def test_a_late_secret_opens_the_application_data_from_its_first_record(piece, at, prefix):
    one = Recorded()
    record = one.received[at - 1][:prefix] if at else b""
    secrets = [late(RECV, secret(S_AP), max(at - 1, 0), record), late(SEND, secret(C_AP), at)]
    heard = play([*one.start, *one.items(until=at), *secrets, *one.items(since=at)], piece=piece)
    assert heard.plaintext(SEND) == words(b"up")
    assert heard.plaintext(RECV) == words(b"down")
    assert not [event for event in heard.events if isinstance(event, PlaintextGap)]
    assert (heard.facts.secrets, heard.facts.trouble) == ("late", "")
    assert heard.facts.client_finished_ns == 3000
    assert heard.facts.server_finished_ns == 2000


def test_a_late_secret_that_comes_at_the_end_opens_everything_at_each_records_own_time():
    one = Recorded()
    heard = play([*one.start, *one.items(), late(RECV, secret(S_AP), 19)])
    assert heard.of(RECV) == [Plaintext(RECV, 5000 + 2000 * k, b"down %d;" % k) for k in range(20)]


@pytest.mark.parametrize("piece", [1, 1 << 20])
@pytest.mark.parametrize("prefix", [0, 16])
def test_a_connection_that_was_open_before_is_read_from_the_next_boundary(piece, prefix):
    one = Recorded()
    tail = one.received[4][-7:]
    secrets = [late(RECV, secret(S_AP), 8, one.received[8][:prefix]), late(SEND, secret(C_AP), 9)]
    items = [(RECV, tail), *one.items(since=5, until=9), *secrets, *one.items(since=9)]
    heard = play(items, piece=piece, complete=False)
    assert heard.plaintext(SEND) == words(b"up", 5)
    assert heard.plaintext(RECV) == words(b"down", 5)
    assert [event.length for event in heard.of(RECV) if isinstance(event, PlaintextGap)] == [len(tail)]
    assert (heard.facts.version, heard.facts.cipher) == ("TLS 1.3", "TLS_AES_128_GCM_SHA256")


def test_a_secret_read_before_the_first_packet_of_an_old_connection_is_kept_for_it():
    one = Recorded()
    items = [late(SEND, secret(C_AP), 5, at_ns=0), *one.items(since=5)]
    tls = Tls()
    list(tls.secret(items[0]))
    heard = play(items[1:], tls=tls, complete=False)
    assert heard.plaintext(SEND) == words(b"up", 5)


def test_a_secret_read_before_a_connection_was_opened_is_not_tried_on_it():
    one = Recorded()
    tls = Tls()
    list(tls.secret(late(SEND, secret(C_AP), 0, at_ns=0)))
    assert play([*one.start, *one.items()], tls=tls).plaintext(SEND) == b""


@pytest.mark.parametrize("pid", [8, 0])
def test_a_secret_of_another_process_is_not_tried_and_one_of_an_unknown_process_is(pid):
    one = Recorded()
    heard = play([*one.start, *one.items(), late(RECV, secret(S_AP), 3, pid=pid)])
    assert heard.plaintext(RECV) == (b"" if pid else words(b"down"))


def test_a_wrong_late_secret_opens_nothing():
    one = Recorded()
    wrong = [late(way, bytes([n]) * size, n) for way in (SEND, RECV) for n in (0, 5) for size in (0, 5, 32, 48, 64)]
    heard = play([*one.start, *one.items(until=9), *wrong, *one.items(since=9)])
    assert heard.plaintext(SEND) + heard.plaintext(RECV) == b""
    assert heard.facts.trouble == "no TLS secret came for this connection"


def test_late_secrets_of_the_handshake_give_its_facts_and_the_next_ones_go_on():
    one = Recorded()
    items = [
        one.hello[0],
        one.hello[1],
        late(RECV, secret(S_HS), 0),
        late(SEND, secret(C_HS), 0),
        one.finished,
        late(RECV, secret(S_AP), 0),
        late(SEND, secret(C_AP), 0),
        *one.items(),
    ]
    heard = play(items)
    assert (heard.plaintext(SEND), heard.plaintext(RECV)) == (words(b"up"), words(b"down"))
    assert (heard.facts.alpn, heard.facts.secrets, heard.facts.trouble) == ("h2", "late", "")
    assert heard.total(RECV).undecryptable == 0


def test_a_secret_from_behind_a_key_update_opens_what_follows_it_and_says_what_is_missing():
    one = Recorded(3)
    peers = Peers()
    peers.server_flight()
    before = [peers.server.seal(DATA, b"before") for _ in range(3)] + [peers.server.seal(HANDSHAKE, message(24, b"\0"))]
    peers.server = peers.server.update()
    after = [peers.server.seal(DATA, b"after %d;" % k) for k in range(4)]
    items = [*one.start, *((RECV, record) for record in before + after), late(RECV, peers.server.secret, 3)]
    heard = play(items)
    assert heard.plaintext(RECV) == words(b"after", 0, 4)
    assert isinstance(heard.of(RECV)[0], PlaintextGap)


def test_each_of_many_connections_finds_its_own_secret():
    tls, count = Tls(), 12
    heard = []
    for number in range(1, count + 1):
        heard += tls.feed(opened(number=number))
        peers = Peers()
        peers.server = crafted.Sealer(bytes([number]) * 32)
        heard += tls.feed(StreamBytes(number, SEND, 1, 0, client_hello()))
        data = server_hello() + Peers().server_flight() + peers.server.seal(DATA, b"%d" % number)
        heard += tls.feed(StreamBytes(number, RECV, 2, 0, data))
    for number in range(count, 0, -1):
        heard += tls.secret(late(RECV, bytes([number]) * 32, 0))
    assert {number: event.data for number, event in heard if isinstance(event, Plaintext)} == {
        number: b"%d" % number for number in range(1, count + 1)
    }


def test_a_connection_of_the_key_log_waits_for_the_key_log():
    one = Recorded()
    log = [crafted.log(S_HS), crafted.log(C_HS)]
    items = [one.hello[0], log[1], one.hello[1], *one.items(until=3), late(RECV, secret(S_AP), 2), log[0]]
    heard = play(items)
    assert heard.plaintext(RECV) == words(b"down", 0, 3)
    assert (heard.facts.alpn, heard.facts.secrets) == ("h2", "key log")
    assert heard.total(RECV).undecryptable == 0

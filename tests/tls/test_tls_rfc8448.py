"""Against the vectors of RFC 8448 and hand-made records that follow RFC 8446 to the letter."""

import crafted
import pytest
import rfc8448
from crafted import DATA, HANDSHAKE, LOG, Peers, client_hello, message, server_hello
from tls_peers import RECV, SEND, play

from goproxy_ebpf.records.capture import Secret
from goproxy_ebpf.records.flow import Certificate, Plaintext, PlaintextEnd, PlaintextGap, TlsBytes, TlsFacts


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
@pytest.mark.parametrize("when", ["before", "after"])
def test_the_simple_handshake_of_rfc_8448_is_read(piece, when):
    secrets = [Secret(0, 7, label, rfc8448.RANDOM, bytes.fromhex(secret)) for label, secret in rfc8448.SECRETS.items()]
    flights = [
        (SEND, rfc8448.CLIENT_HELLO),
        (RECV, rfc8448.SERVER_HELLO + rfc8448.SERVER_FLIGHT),
        (SEND, rfc8448.CLIENT_FINISHED),
        (RECV, rfc8448.NEW_SESSION_TICKET),
        (SEND, rfc8448.CLIENT_DATA),
        (RECV, rfc8448.SERVER_DATA),
        (SEND, rfc8448.CLIENT_ALERT),
        (RECV, rfc8448.SERVER_ALERT),
    ]
    heard = play(secrets + flights if when == "before" else flights + secrets, piece=piece)
    at = 4000 if when == "before" else 0
    assert heard.of(SEND) == [Plaintext(SEND, at + 5000, rfc8448.PAYLOAD), PlaintextEnd(SEND, at + 7000)]
    assert heard.of(RECV) == [Plaintext(RECV, at + 6000, rfc8448.PAYLOAD), PlaintextEnd(RECV, at + 8000)]
    certificate = heard.facts.certificates[0]
    assert heard.facts == TlsFacts(
        version="TLS 1.3",
        cipher="TLS_AES_128_GCM_SHA256",
        group="x25519",
        server_name="server",
        certificates=(Certificate("CN=rsa", "CN=rsa", 1469841839, 1785374639, (), certificate.sha256),),
        client_hello_ns=at + 1000,
        server_hello_ns=at + 2000,
        server_finished_ns=at + 2000,
        client_finished_ns=at + 3000,
        secrets="key log",
    )
    assert heard.total(SEND) == TlsBytes(
        clear=len(rfc8448.CLIENT_HELLO),
        decrypted=sum(map(len, (rfc8448.CLIENT_FINISHED, rfc8448.CLIENT_DATA, rfc8448.CLIENT_ALERT))),
        plaintext=50,
        records=4,
    )


def handshake(peers, *pieces):
    return [
        *LOG,
        (SEND, client_hello()),
        (RECV, server_hello() + peers.server_flight(*pieces)),
        (SEND, peers.client_finished()),
    ]


def test_messages_may_be_cut_into_records_anywhere():
    flight = len(crafted.ENCRYPTED_EXTENSIONS + crafted.FINISHED)
    expected = None
    for cut in range(1, flight):
        peers = Peers()
        items = [*handshake(peers, cut), (RECV, peers.server.seal(DATA, b"hello"))]
        heard = play(items)
        expected = expected or heard.facts
        assert heard.facts == expected
        assert heard.plaintext(RECV) == b"hello"
    assert expected.alpn == "h2"


def test_padding_is_taken_off_and_padding_alone_is_nothing():
    peers = Peers()
    items = [
        *handshake(peers),
        (RECV, peers.server.seal(DATA, b"a\0\0", padding=0)),
        (RECV, peers.server.seal(DATA, b"b", padding=16_000)),
        (RECV, peers.server.seal(0, b"", padding=5)),
        (RECV, peers.server.seal(DATA, b"", padding=3)),
        (RECV, peers.server.seal(DATA, b"c", padding=1)),
    ]
    assert play(items).plaintext(RECV) == b"a\0\0bc"


@pytest.mark.parametrize("piece", [1, 1 << 20])
def test_key_updates_are_followed_in_each_direction(piece):
    peers = Peers()
    items = handshake(peers)
    for number in range(5):
        items.append((SEND, peers.client.seal(DATA, b"up %d" % number)))
        items.append((SEND, peers.client.seal(HANDSHAKE, message(24, b"\1"))))
        peers.client = peers.client.update()
        if number % 2:
            items.append((RECV, peers.server.seal(HANDSHAKE, message(4, bytes(90)) + message(24, b"\0"))))
            peers.server = peers.server.update()
        items.append((RECV, peers.server.seal(DATA, b"down %d" % number)))
    heard = play(items, piece=piece)
    assert heard.plaintext(SEND) == b"up 0up 1up 2up 3up 4"
    assert heard.plaintext(RECV) == b"down 0down 1down 2down 3down 4"


def test_what_comes_behind_a_close_notify_is_not_passed_on():
    peers = Peers()
    items = [
        *handshake(peers),
        (RECV, peers.server.seal(DATA, b"a") + peers.server.seal(21, b"\1\0") + peers.server.seal(DATA, b"b")),
    ]
    heard = play(items)
    assert heard.of(RECV) == [Plaintext(RECV, 8000, b"a"), PlaintextEnd(RECV, 8000)]


def test_a_huge_handshake_message_does_not_hide_the_next_one():
    peers = Peers()
    huge = message(4, b"\0" + message(24, b"\0") * 80_000)  # whose middle looks like KeyUpdate messages
    items = handshake(peers)
    items += [(RECV, peers.server.seal(HANDSHAKE, huge[at : at + 16_000])) for at in range(0, len(huge), 16_000)]
    items += [(RECV, peers.server.seal(HANDSHAKE, message(24, b"\0")))]
    peers.server = peers.server.update()
    items += [(RECV, peers.server.seal(DATA, b"after"))]
    assert play(items).plaintext(RECV) == b"after"


def test_hello_messages_in_several_records_are_read():
    hello = client_hello((0, b"\0\x0e\0\0\x0bexample.com"))
    body = hello[5:]
    records = b"".join(crafted.clear(HANDSHAKE, body[at : at + 9]) for at in range(0, len(body), 9))
    heard = play([(SEND, records)])
    assert (heard.facts.server_name, heard.facts.client_hello_ns) == ("example.com", 1000)


EARLY = "CLIENT_EARLY_TRAFFIC_SECRET"


def early_handshake(*, accepted):
    peers, early = Peers(), crafted.Sealer(crafted.secret(EARLY))
    extensions = message(8, crafted.vector(2, b"\0\x2a\0\0" if accepted else b""))
    flight = peers.server.seal(HANDSHAKE, extensions + crafted.FINISHED)
    first, more, end = early.seal(DATA, b"early "), early.seal(DATA, b"more "), early.seal(HANDSHAKE, message(5, b""))
    return [
        (SEND, client_hello((42, b"")) + crafted.clear(20, b"\1") + first),
        (RECV, server_hello((41, b"\0\0")) + flight),
        (SEND, (more + end if accepted else b"") + peers.client_finished()),
        (SEND, peers.client.seal(DATA, b"late")),
    ]


@pytest.mark.parametrize("piece", [1, 1 << 20])
def test_early_data_is_read_with_its_secret(piece):
    heard = play([crafted.log(EARLY), *LOG, *early_handshake(accepted=True)], piece=piece)
    assert heard.plaintext(SEND) == b"early more late"
    assert heard.facts.resumed
    heard = play([*early_handshake(accepted=True), crafted.log(EARLY), *LOG], piece=piece)
    assert heard.plaintext(SEND) == b"early more late"


def test_early_data_without_its_secret_is_refused_with_a_clear_word():
    heard = play([*LOG, *early_handshake(accepted=True)])
    assert heard.plaintext(SEND) == b"late"
    assert isinstance(heard.of(SEND)[0], PlaintextGap)
    assert "CLIENT_EARLY_TRAFFIC_SECRET" in heard.facts.trouble


def test_early_data_that_the_server_refused_is_no_application_data():
    for secrets in ([crafted.log(EARLY), *LOG], LOG):
        heard = play([*secrets, *early_handshake(accepted=False)])
        assert [event.data for event in heard.of(SEND)] == [b"late"]
        assert heard.facts.trouble == ""


def test_a_connection_whose_server_hello_was_lost_is_read_all_the_same():
    peers = Peers()
    whole = server_hello() + peers.server_flight()
    items = [
        *LOG,
        (SEND, client_hello()),
        (RECV, 40),
        (RECV, whole[40:]),
        (SEND, peers.client_finished() + peers.client.seal(DATA, b"up")),
        (RECV, peers.server.seal(DATA, b"down")),
    ]
    heard = play(items)
    assert (heard.plaintext(SEND), heard.plaintext(RECV)) == (b"up", b"down")
    assert (heard.facts.version, heard.facts.cipher) == ("TLS 1.3", "TLS_AES_128_GCM_SHA256")

"""Against Python's ssl: every transcript is read the same, however it is cut and whenever its secrets come."""

import hashlib
import ssl

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tls_peers import RECV, SEND, Memory, contexts, conversation, play

from goproxy_ebpf.records.capture import Secret
from goproxy_ebpf.records.flow import Certificate, Plaintext, PlaintextEnd, PlaintextGap, TlsFacts

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3

GCM_AND_CHACHA = {
    "ECDHE-RSA-AES128-GCM-SHA256": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384": "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305": "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "AES128-GCM-SHA256": "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "AES256-GCM-SHA384": "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "AES128-CCM": "TLS_RSA_WITH_AES_128_CCM",
    "AES256-CCM8": "TLS_RSA_WITH_AES_256_CCM_8",
}


def orders(transcript):
    return {
        "as the kernel saw them": transcript.items,
        "secrets first": transcript.secrets + transcript.flights,
        "secrets first, reversed": transcript.secrets[::-1] + transcript.flights,
        "secrets last": transcript.flights + transcript.secrets,
        "secrets last, reversed": transcript.flights + transcript.secrets[::-1],
    }


def check_every_way(transcript, **how):
    """Plays a transcript in every order and split; all must agree with what the applications said."""
    whole = play(transcript.items, **how)
    sent, received = (RECV, SEND) if how.get("mirror") else (SEND, RECV)
    assert whole.plaintext(sent) == transcript.sent
    assert whole.plaintext(received) == transcript.received
    for direction in (SEND, RECV):
        assert whole.of(direction)[-1:] == [e for e in whole.of(direction) if isinstance(e, PlaintextEnd)]
        assert not [e for e in whole.of(direction) if isinstance(e, PlaintextGap)]
    for name, items in orders(transcript).items():
        for piece in (1, 1448, 1 << 30):
            if piece == 1 and name not in ("as the kernel saw them", "secrets last"):
                continue
            heard = play(items, piece=piece, **how)
            where = f"{name}, in pieces of {piece}"
            for direction in (SEND, RECV):
                contents = [type(event)(event.direction, 0, *_rest(event)) for event in heard.of(direction)]
                assert contents == [type(e)(e.direction, 0, *_rest(e)) for e in whole.of(direction)], where
                assert heard.total(direction) == whole.total(direction), where
            assert timeless(heard.facts) == timeless(whole.facts), where
            if items is transcript.items:
                assert [heard.of(d) for d in (SEND, RECV)] == [whole.of(d) for d in (SEND, RECV)], where
    return whole


def _rest(event):
    return (event.data,) if isinstance(event, Plaintext) else ()


def timeless(facts: TlsFacts):
    return {name: value is not None if name.endswith("_ns") else value for name, value in _fields(facts)}


def _fields(facts):
    return [(name, getattr(facts, name)) for name in facts.__struct_fields__]


def test_tls13_is_read_however_it_is_cut_and_whenever_its_secrets_come(tmp_path, ec_identity):
    client, server = contexts(ec_identity, TLS13)
    transcript = conversation(Memory(client, server, tmp_path / "keys"))
    heard = check_every_way(transcript)
    der = ec_identity.certificate.public_bytes(Encoding.DER)
    assert heard.facts == TlsFacts(
        version="TLS 1.3",
        cipher="TLS_AES_256_GCM_SHA384",
        group="x25519",
        server_name="example.com",
        alpn_offered=("h2", "http/1.1"),
        alpn="h2",
        certificates=(
            Certificate(
                "CN=ec.example.com",
                "CN=ec.example.com",
                1704067200,
                2335219200,
                ("example.com", "*.example.org"),
                hashlib.sha256(der).hexdigest(),
            ),
        ),
        client_hello_ns=1000,
        server_hello_ns=2000,
        server_finished_ns=2000,
        client_finished_ns=heard.facts.client_finished_ns,
        secrets="key log",
    )
    assert isinstance(transcript.items[2], Secret)
    assert heard.facts.client_finished_ns > 2000


@pytest.mark.parametrize("mirror", [False, True], ids=["go is the client", "go is the server"])
@pytest.mark.parametrize(("name", "iana"), GCM_AND_CHACHA.items())
def test_tls12_with_an_aead_is_read(tmp_path, rsa_identity, name, iana, mirror):
    client, server = contexts(rsa_identity, TLS12, f"{name}:@SECLEVEL=0")
    heard = check_every_way(conversation(Memory(client, server, tmp_path / "keys")), mirror=mirror)
    facts = heard.facts
    assert (facts.version, facts.cipher, facts.alpn, facts.resumed) == ("TLS 1.2", iana, "h2", False)
    assert facts.group == ("x25519" if "ECDHE" in name else "")
    assert [certificate.subject for certificate in facts.certificates] == ["CN=rsa.example.com"]
    assert None not in (facts.server_finished_ns, facts.client_finished_ns)
    assert facts.trouble == ""


@pytest.mark.parametrize(
    ("version", "name", "spoken"),
    [
        (TLS12, "ECDHE-RSA-AES128-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256 under TLS 1.2"),
        (ssl.TLSVersion.TLSv1_1, "ECDHE-RSA-AES256-SHA", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA under TLS 1.1"),
        (ssl.TLSVersion.TLSv1, "AES128-SHA", "TLS_RSA_WITH_AES_128_CBC_SHA under TLS 1.0"),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_a_cipher_without_aead_is_refused_with_its_name(tmp_path, rsa_identity, version, name, spoken):
    client, server = contexts(rsa_identity, version, f"{name}:@SECLEVEL=0")
    transcript = conversation(Memory(client, server, tmp_path / "keys"))
    heard = play(transcript.items)
    assert heard.facts.trouble == (
        f"{spoken} cannot be decrypted: only AES-GCM, AES-CCM and ChaCha20-Poly1305 under TLS 1.2 and TLS 1.3 can"
    )
    assert heard.facts.server_finished_ns is not None
    assert heard.facts.certificates
    for direction in (SEND, RECV):
        total = heard.total(direction)
        assert (total.decrypted, total.plaintext, total.reason) == (0, 0, heard.facts.trouble)
        assert [type(event) for event in heard.of(direction)] == [PlaintextGap]
        assert heard.of(direction)[0].length == total.undecryptable


def test_hello_retry_request_is_noticed(tmp_path, ec_identity):
    client, server = contexts(ec_identity, TLS13)
    server.set_ecdh_curve("secp384r1")
    heard = check_every_way(conversation(Memory(client, server, tmp_path / "keys")))
    assert (heard.facts.hello_retry_request, heard.facts.group) == (True, "secp384r1")
    assert heard.facts.client_hello_ns == 1000
    assert heard.facts.server_hello_ns > 2000


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_resumption_is_noticed_and_read(tmp_path, ec_identity, version):
    client, server = contexts(ec_identity, version)
    first = Memory(client, server, tmp_path / "keys")
    assert check_every_way(conversation(first)).facts.resumed is False
    second = Memory(client, server, tmp_path / "keys2", session=first.client.session)
    transcript = conversation(second)
    assert second.client.session_reused
    heard = check_every_way(transcript)
    assert (heard.facts.resumed, heard.facts.certificates) == (True, ())


def test_a_resumed_tls12_connection_is_read_with_the_master_secret_of_the_first(tmp_path, ec_identity):
    client, server = contexts(ec_identity, TLS12)
    first = Memory(client, server, tmp_path / "keys")
    before = conversation(first)
    transcript = conversation(Memory(client, server, tmp_path / "keys2", session=first.client.session))
    tls = play(before.secrets, how="").tls
    tls.forget(1)
    heard = play(transcript.flights, tls=tls)
    assert heard.plaintext(SEND) == transcript.sent
    assert heard.plaintext(RECV) == transcript.received
    assert play(transcript.flights).plaintext(RECV) == b""


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_a_client_certificate_does_not_pass_for_the_servers(tmp_path, ec_identity, rsa_identity, version):
    client, server = contexts(ec_identity, version)
    client.load_cert_chain(rsa_identity.cert_file, rsa_identity.key_file)
    server.load_verify_locations(rsa_identity.cert_file)
    server.verify_mode = ssl.CERT_REQUIRED
    heard = check_every_way(conversation(Memory(client, server, tmp_path / "keys")))
    assert [certificate.subject for certificate in heard.facts.certificates] == ["CN=ec.example.com"]


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_the_alert_of_a_client_that_does_not_trust_the_server_is_named(tmp_path, ec_identity, rsa_identity, version):
    _client, server = contexts(ec_identity, version)
    fresh = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    fresh.minimum_version = fresh.maximum_version = version
    fresh.load_verify_locations(rsa_identity.cert_file)
    memory = Memory(fresh, server, tmp_path / "keys")
    with pytest.raises(ssl.SSLError):
        memory.shake_hands()
    memory.pass_on()
    heard = play(memory.transcript.items)
    assert heard.facts.alert == "unknown_ca (fatal) from the go side"
    assert play(memory.transcript.items, mirror=True).facts.alert == "unknown_ca (fatal) from the client"


def test_the_alert_of_a_server_without_a_common_version_is_named(tmp_path, ec_identity):
    client, _ = contexts(ec_identity, TLS13)
    _, server = contexts(ec_identity, TLS12)
    memory = Memory(client, server, tmp_path / "keys")
    with pytest.raises(ssl.SSLError):
        memory.shake_hands()
    memory.pass_on()
    heard = play(memory.transcript.items)
    assert heard.facts.alert == "protocol_version (fatal) from the server"
    assert heard.facts.trouble == ""


@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_without_its_secret_everything_is_a_gap_with_the_reason(tmp_path, ec_identity, version):
    client, server = contexts(ec_identity, version)
    transcript = conversation(Memory(client, server, tmp_path / "keys"))
    heard = play(transcript.flights)
    reason = "no TLS secret came for this connection"
    assert heard.facts.trouble == reason
    for direction in (SEND, RECV):
        total = heard.total(direction)
        assert (total.decrypted, total.partial, total.reason) == (0, 0, reason)
        assert heard.of(direction) == [
            PlaintextGap(direction, heard.of(direction)[0].at_ns, total.undecryptable, reason)
        ]


def test_a_wrong_secret_is_not_used_and_a_right_one_that_follows_is(tmp_path, ec_identity):
    client, server = contexts(ec_identity, TLS13)
    transcript = conversation(Memory(client, server, tmp_path / "keys"))
    wrong = [Secret(0, 7, s.label, s.client_random, bytes(48)) for s in transcript.secrets]
    heard = play(wrong + transcript.flights)
    assert heard.plaintext(RECV) == b""
    assert heard.total(RECV).reason == "the SERVER_HANDSHAKE_TRAFFIC_SECRET that came does not open the record"
    heard = play(wrong + transcript.items)
    assert (heard.plaintext(SEND), heard.plaintext(RECV)) == (transcript.sent, transcript.received)


def test_the_application_data_is_read_without_the_handshake_secrets(tmp_path, ec_identity):
    client, server = contexts(ec_identity, TLS13)
    transcript = conversation(Memory(client, server, tmp_path / "keys"))
    items = [item for item in transcript.items if "HANDSHAKE" not in getattr(item, "label", "")]
    heard = play(items)
    assert (heard.plaintext(SEND), heard.plaintext(RECV)) == (transcript.sent, transcript.received)
    assert not [event for event in heard.events if isinstance(event, PlaintextGap)]
    assert heard.total(RECV).reason == "no SERVER_HANDSHAKE_TRAFFIC_SECRET came"


def test_records_keep_the_time_of_their_last_byte_however_late_the_secret(tmp_path, ec_identity):
    client, server = contexts(ec_identity, TLS12)
    transcript = conversation(Memory(client, server, tmp_path / "keys"))
    early, late = play(transcript.secrets + transcript.flights), play(transcript.flights + transcript.secrets)
    shift = 1000 * len(transcript.secrets)
    for direction in (SEND, RECV):
        assert [e.at_ns - shift for e in early.of(direction)] == [e.at_ns for e in late.of(direction)]
    merged = [event.at_ns for event in late.events if not isinstance(event, TlsFacts)]
    assert merged == sorted(merged)


def test_facts_are_sent_only_a_few_times(tmp_path, ec_identity):
    client, server = contexts(ec_identity, TLS13)
    transcript = conversation(Memory(client, server, tmp_path / "keys"))
    assert 2 <= len([e for e in play(transcript.items, piece=1).events if isinstance(e, TlsFacts)]) <= 8


def test_a_connection_that_ends_inside_a_record_has_a_partial_one(tmp_path, ec_identity):
    client, server = contexts(ec_identity, TLS13)
    memory = Memory(client, server, tmp_path / "keys")
    memory.shake_hands()
    memory.answer(bytes(1000))
    transcript = memory.transcript
    direction, data = transcript.flights[-1]
    items = [*transcript.items[:-1], (direction, data[:-1])]
    heard = play(items, how="reset")
    assert heard.total(RECV).partial == 1000 + 5 + 17 - 1
    assert heard.of(RECV)[-1].reason == "the connection ended inside a record"

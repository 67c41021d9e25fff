"""Against openssl's s_client and s_server: what Python's ssl cannot be asked for."""

import pytest
from tls_peers import RECV, SEND, openssl, play

from goproxy_ebpf.records.flow import PlaintextGap

TLS13_SUITES = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_AES_128_CCM_SHA256",
    "TLS_AES_128_CCM_8_SHA256",
]


def check(transcript, sent, received):
    for items in (transcript.items, transcript.secrets + transcript.flights):
        for piece in (1, 1 << 20):
            heard = play(items, piece=piece)
            assert (heard.plaintext(SEND), heard.plaintext(RECV)) == (sent, received)
            assert not [event for event in heard.events if isinstance(event, PlaintextGap)]
    return heard


@pytest.mark.parametrize("suite", TLS13_SUITES)
def test_every_tls13_cipher_suite_is_read(tmp_path, rsa_identity, suite):
    options = ["-tls1_3", "-ciphersuites", suite, "-cipher", "DEFAULT:@SECLEVEL=0"]
    [transcript] = openssl(tmp_path, rsa_identity, [*options, "-rev"], (options, [(b"hello\n", b"olleh")]))
    heard = check(transcript, b"hello\n", b"olleh\n")
    assert (heard.facts.version, heard.facts.cipher, heard.facts.trouble) == ("TLS 1.3", suite, "")


def test_key_updates_of_openssl_are_followed(tmp_path, rsa_identity):
    lines = [(b"one\n", b"eno"), (b"K\n", b"KEYUPDATE"), (b"two\n", b"owt"), (b"k\n", b"KEYUPDATE")]
    lines += [(b"three\n", b"eerht"), (b"K\n", b"KEYUPDATE"), (b"four\n", b"ruof")]
    [transcript] = openssl(tmp_path, rsa_identity, ["-tls1_3", "-rev"], (["-tls1_3"], lines))
    check(transcript, b"one\ntwo\nthree\nfour\n", b"eno\nowt\neerht\nruof\n")


def test_openssl_early_data_is_read(tmp_path, rsa_identity):
    session, early = tmp_path / "session", tmp_path / "early"
    early.write_bytes(b"early words\n")
    first, second = openssl(
        tmp_path,
        rsa_identity,
        ["-tls1_3", "-early_data", "-max_early_data", "1000"],
        (["-tls1_3", "-sess_out", str(session)], [(b"", b"welcome")]),
        (["-tls1_3", "-sess_in", str(session), "-early_data", str(early)], [(b"late\n", b"welcome")]),
    )
    assert play(first.items).facts.resumed is False
    assert "CLIENT_EARLY_TRAFFIC_SECRET" in [secret.label for secret in second.secrets]
    for piece in (1, 1 << 20):
        heard = play(second.items, piece=piece)
        assert (heard.plaintext(SEND), heard.plaintext(RECV)) == (b"early words\nlate\n", b"welcome\n")
        assert (heard.facts.resumed, heard.facts.trouble) == (True, "")

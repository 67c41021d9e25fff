import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP, fragment
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    Jumbo,
)
from scapy.layers.ipsec import AH
from scapy.packet import Raw

from goproxy_ebpf.streams.packet import FragmentError, PacketError, Segment, UserDatagram, parse

TEXT = b"GET / HTTP/1.1\r\n\r\n"
SEGMENT = TCP(
    sport=40000,
    dport=443,
    seq=0xFFFFFFFE,
    ack=7,
    flags="PA",
    window=501,
    options=[("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 2)), ("NOP", None), ("WScale", 7)],
) / Raw(TEXT)
FLOW4 = bytes([10, 0, 0, 2, 10, 0, 0, 1]) + (40000).to_bytes(2, "big") + (443).to_bytes(2, "big")
FLOW6 = bytes(15) + b"\2" + bytes(15) + b"\1" + FLOW4[8:]
IP4 = {"src": "10.0.0.2", "dst": "10.0.0.1"}
IP6 = {"src": "::2", "dst": "::1"}


def without_lengths(data: bytes) -> bytes:
    """As a packet of BIG TCP: the IP header's length is 0."""
    at = 2 if data[0] >> 4 == 4 else 4
    return data[:at] + b"\0\0" + data[at + 2 :]


PACKETS = {
    "IPv4": (IP(**IP4) / SEGMENT, FLOW4),
    "IPv4 with options": (IP(**IP4, options=[IPOption_NOP()] * 8) / SEGMENT, FLOW4),
    "IPv6": (IPv6(**IP6) / SEGMENT, FLOW6),
    "IPv6 hop-by-hop": (IPv6(**IP6) / IPv6ExtHdrHopByHop() / SEGMENT, FLOW6),
    "IPv6 three extension headers": (
        IPv6(**IP6) / IPv6ExtHdrHopByHop() / IPv6ExtHdrRouting() / IPv6ExtHdrDestOpt() / SEGMENT,
        FLOW6,
    ),
    "IPv6 atomic fragment": (IPv6(**IP6) / IPv6ExtHdrFragment() / SEGMENT, FLOW6),
}


@pytest.mark.parametrize("name", PACKETS)
@pytest.mark.parametrize("padding", [b"", b"\0" * 6])
def test_a_segment_is_what_scapy_wrote_whatever_stands_around_it(name, padding):
    built, flow = PACKETS[name]
    data = bytes(built)
    found = parse(data + padding, len(data) + len(padding))
    assert found == Segment(flow, 0xFFFFFFFE, 7, 0x18, 501, len(data) - len(TEXT), len(TEXT))


@pytest.mark.parametrize("name", ["IPv4", "IPv4 with options", "IPv6", "IPv6 hop-by-hop"])
def test_a_packet_without_an_ip_length_is_as_long_as_the_capture_says(name):
    built, flow = PACKETS[name]
    data = without_lengths(bytes(built))
    found = parse(data, len(data) + 100_000)
    assert found == Segment(flow, 0xFFFFFFFE, 7, 0x18, 501, len(data) - len(TEXT), len(TEXT) + 100_000)


def test_a_jumbogram_is_as_long_as_the_capture_says():
    payload = bytes(70_000)
    jumbo = IPv6(**IP6, plen=0) / IPv6ExtHdrHopByHop(options=[Jumbo(jumboplen=8 + 20 + len(payload))])
    data = bytes(jumbo / TCP(sport=40000, dport=443) / Raw(payload))
    found = parse(data, len(data))
    assert (found.flow, found.start, found.length) == (FLOW6, 68, 70_000)


@pytest.mark.parametrize("ip", [IP(**IP4), IPv6(**IP6), IPv6(**IP6) / IPv6ExtHdrDestOpt()], ids=repr)
def test_a_datagram_is_what_scapy_wrote(ip):
    data = bytes(ip / UDP(sport=40000, dport=443) / Raw(TEXT))
    flow = FLOW4 if data[0] >> 4 == 4 else FLOW6
    assert parse(data + b"pad", len(data) + 3) == UserDatagram(flow, len(data) - len(TEXT), len(TEXT))


def test_fragments_are_told_apart_from_broken_packets():
    first, *_, last = fragment(IP(**IP4) / UDP(sport=1, dport=53) / Raw(bytes(3000)), fragsize=1000)
    in_six = IPv6(**IP6) / IPv6ExtHdrFragment(offset=4, m=0) / Raw(bytes(64))
    for data in (bytes(first), bytes(last), bytes(in_six)):
        with pytest.raises(FragmentError):
            parse(data, len(data))


def test_other_protocols_are_nobodys_concern():
    for built in (IP(**IP4) / ICMP(), IPv6(**IP6, nh=59), IP(**IP4) / AH() / SEGMENT):
        assert parse(bytes(built), len(bytes(built))) is None


def test_lengths_that_contradict_each_other_are_errors():
    wrong = {
        "version": b"\x55" + bytes(IP(**IP4) / SEGMENT)[1:],
        "header length": b"\x44" + bytes(IP(**IP4) / SEGMENT)[1:],
        "total length": bytes(IP(**IP4, len=2000) / SEGMENT),
        "total length with options": bytes(IP(**IP4, len=2000, options=[IPOption_NOP()] * 4) / SEGMENT),
        "payload length": bytes(IPv6(**IP6, plen=2000) / SEGMENT),
        "payload length before UDP": bytes(IPv6(**IP6, plen=2000) / UDP()),
        "data offset too small": bytes(IP(**IP4) / TCP(dataofs=4) / Raw(TEXT)),
        "data offset too large": bytes(IP(**IP4) / TCP(dataofs=15)),
        "data offset too small in IPv6": bytes(IPv6(**IP6) / TCP(dataofs=4) / Raw(TEXT)),
        "data offset too large in IPv6": bytes(IPv6(**IP6) / TCP(dataofs=15)),
        "UDP too long": bytes(IP(**IP4) / UDP(len=100)),
        "UDP too short": bytes(IP(**IP4) / UDP(len=7)),
        "extension header": bytes(IPv6(**IP6) / IPv6ExtHdrHopByHop(len=200) / SEGMENT),
    }
    for name, data in wrong.items():
        with pytest.raises(PacketError):
            print(name, parse(data, len(data)))


@pytest.mark.parametrize("name", PACKETS)
def test_a_packet_cut_off_in_its_payload_keeps_its_length_and_in_its_headers_is_an_error(name):
    data = bytes(PACKETS[name][0])
    whole = parse(data, len(data))
    for size in range(len(data)):
        try:
            found = parse(data[:size], len(data))
        except PacketError:
            assert size < whole.start
        else:
            assert found == whole


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=120),
        st.builds(
            lambda head, rest: head + rest, st.sampled_from([b"\x45", b"\x46", b"\x60"]), st.binary(max_size=120)
        ),
        st.builds(
            lambda name, at, byte: (d := bytes(PACKETS[name][0]))[: at % len(d)] + bytes([byte]) + d[at % len(d) + 1 :],
            st.sampled_from(sorted(PACKETS)),
            st.integers(0, 200),
            st.integers(0, 255),
        ),
    ),
    st.integers(0, 200_000),
)
def test_any_bytes_are_a_segment_a_datagram_nothing_or_a_packet_error(data, seen):
    """Any bytes give one of the four outcomes, and a payload never begins before the headers' end."""
    try:
        found = parse(data, seen)
    except PacketError:
        return
    if found is not None:
        assert found.length >= 0
        assert len(found.flow) in (12, 36)
        assert found.start >= 28
        assert found.start + found.length <= max(seen, len(data))

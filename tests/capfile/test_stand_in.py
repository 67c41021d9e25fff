"""Packets past Wireshark's limit are cut into TCP segments that hold the same bytes."""

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrHopByHop, Jumbo
from scapy.packet import Raw

from goproxy_ebpf.capfile.blocks import MAX_PACKET_BYTES
from goproxy_ebpf.capfile.stand_in import stand_ins

PAYLOAD = bytes(range(256)) * 1600
TCP_PART = TCP(sport=443, dport=40_000, seq=2**32 - 100_000, ack=7, flags="FPA", options=[("NOP", None)] * 4)
JUMBO = IPv6ExtHdrHopByHop(nh=6, options=[Jumbo(jumboplen=len(PAYLOAD) + 32)])


@pytest.mark.parametrize(
    ("layer", "head"),
    [
        (IP, bytes(IP(src="10.0.0.1", dst="10.0.0.2", len=0) / TCP_PART)),
        (IPv6, bytes(IPv6(src="::1", dst="::2", plen=0) / TCP_PART)),
        (IPv6, bytes(IPv6(src="::1", dst="::2", plen=0, nh=0) / JUMBO / TCP_PART)),
    ],
)
def test_the_segments_of_a_big_packet_hold_its_bytes_in_order(layer, head):
    parts = [layer(part) for part in stand_ins(head + PAYLOAD)]
    assert b"".join(bytes(part[Raw].load) for part in parts) == PAYLOAD
    sequences = [(part[TCP].seq - TCP_PART.seq) % 2**32 for part in parts]
    assert sequences == [60_000 * n for n in range(len(parts))]
    assert [str(part[TCP].flags) for part in parts] == ["A"] * (len(parts) - 1) + ["FPA"]
    assert {(part.src, part.dst, part[TCP].sport, part[TCP].ack) for part in parts} == {
        (layer(head).src, layer(head).dst, 443, 7)
    }


def test_what_is_no_tcp_is_cut_to_what_is_allowed():
    packet = bytes([0x45] + [0] * 8 + [17]) + bytes(300_000)
    assert stand_ins(packet) == [packet[:MAX_PACKET_BYTES]]


def test_a_packet_within_the_limit_is_left_alone():
    assert stand_ins(bytes(MAX_PACKET_BYTES)) == [bytes(MAX_PACKET_BYTES)]

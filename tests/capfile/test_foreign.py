"""Captures that other programs made: every link type, byte order and time resolution, read as tshark reads it."""

import io
import ipaddress
import struct

import pytest
from msgspec.structs import replace
from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, CookedLinux, Dot1Q, Ether, Loopback
from scapy.layers.tuntap import LinuxTunPacketInfo  # noqa: F401  (registers the IPv6 bindings)
from scapy.utils import PcapNgWriter, RawPcapWriter

from goproxy_ebpf.capfile import read_capture
from goproxy_ebpf.records.capture import Loss, Packet, RunHeader, Secret
from goproxy_ebpf.records.common import Direction

from .files import Pipe
from .tools import run, tshark_packets

SEND, RECV = Direction.SEND, Direction.RECV
START = 1_763_999_999
CLIENT, SERVER = "10.0.0.1", "10.0.0.2"


def tcp(source: str, port: int, target: str, target_port: int, flags: str, seq: int, data: bytes = b"") -> bytes:  # noqa: PLR0917
    ip = IPv6(src=source, dst=target) if ":" in source else IP(src=source, dst=target)
    return bytes(ip / TCP(sport=port, dport=target_port, flags=flags, seq=seq) / data)


CONVERSATION = [
    tcp(CLIENT, 40_000, SERVER, 443, "S", 1),
    tcp(SERVER, 443, CLIENT, 40_000, "SA", 9),
    tcp(CLIENT, 40_000, SERVER, 443, "A", 2, b"hello"),
    tcp("fd00::1", 40_001, "fd00::2", 443, "S", 5),
    tcp("fd00::2", 443, "fd00::1", 40_001, "SA", 6),
]
WAYS = [SEND, RECV, SEND, SEND, RECV]


def ether_type(packet: bytes) -> bytes:
    return b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd"


WRAPPINGS = {
    "raw": (101, lambda p: p),
    "raw, BSD's number": (12, lambda p: p),
    "raw, OpenBSD's number": (14, lambda p: p),
    "Ethernet": (1, lambda p: bytes(Ether(type=struct.unpack(">H", ether_type(p))[0])) + p),
    "Ethernet, padded": (1, lambda p: (bytes(12) + ether_type(p) + p).ljust(100, b"\0")),
    "VLAN": (1, lambda p: bytes(Ether() / Dot1Q(vlan=7, type=struct.unpack(">H", ether_type(p))[0])) + p),
    "two VLANs": (1, lambda p: bytes(12) + b"\x88\xa8\0\1\x81\0\0\2" + ether_type(p) + p),
    "cooked": (113, lambda p: bytes(CookedLinux(proto=struct.unpack(">H", ether_type(p))[0])) + p),
    "cooked 2": (276, lambda p: ether_type(p) + bytes(18) + p),
    "BSD loopback": (0, lambda p: struct.pack("<I", 2 if p[0] >> 4 == 4 else 24) + p),
    "OpenBSD loopback": (108, lambda p: struct.pack(">I", 2 if p[0] >> 4 == 4 else 24) + p),
}


def expected(packets: list[bytes], times: list[int]) -> list:
    return [
        RunHeader(times[0], "packets"),
        *(Packet(at, way, len(packet), packet) for at, way, packet in zip(times, WAYS, packets, strict=True)),
    ]


def seen_by_us(records: list) -> list[tuple[int, str, str, str, str]]:
    found = []
    for record in records:
        if isinstance(record, Packet):
            layer = IP(record.data) if record.data[0] >> 4 == 4 else IPv6(record.data)
            ports = f"{layer[TCP].sport}>{layer[TCP].dport}" if TCP in layer else ">"
            sequence = str(layer[TCP].seq) if TCP in layer else ""
            ends = [str(ipaddress.ip_address(end)) for end in (layer.src, layer.dst)]
            found.append((record.at_ns, *ends, ports, sequence))
    return found


@pytest.mark.parametrize("name", WRAPPINGS)
def test_every_link_type_gives_the_ip_packets_in_it(name):
    link, wrap = WRAPPINGS[name]
    file = io.BytesIO()
    writer = RawPcapWriter(file, linktype=link, nano=True)
    writer.linktype = link  # scapy takes 0 for "not given"
    times = [START * 10**9 + n for n in range(len(CONVERSATION))]
    writer.write_header(None)
    for n, packet in enumerate(CONVERSATION):
        writer.write_packet(wrap(packet), sec=START, usec=n)
    assert list(read_capture(io.BytesIO(file.getvalue()))) == expected(CONVERSATION, times)


@pytest.mark.parametrize(("link", "version"), [(228, 4), (229, 6)])
def test_link_types_of_one_ip_version_are_read(link, version):
    packets = [packet for packet in CONVERSATION if packet[0] >> 4 == version]
    records = list(read_capture(io.BytesIO(pcapng("<", link, packets))))
    assert [record.data for record in records[1:]] == packets


@pytest.mark.parametrize("endianness", ["<", ">"])
@pytest.mark.parametrize("nano", [False, True])
def test_classic_pcap_in_both_byte_orders_and_resolutions_is_read_as_tshark_reads_it(tmp_path, endianness, nano):
    path = tmp_path / "a.pcap"
    with path.open("wb") as file:
        writer = RawPcapWriter(file, linktype=101, nano=nano, endianness=endianness)
        writer.write_header(None)
        for n, packet in enumerate(CONVERSATION):
            writer.write_packet(packet, sec=START, usec=n * 1001)
        writer.flush()
        times = [START * 10**9 + n * 1001 * (1 if nano else 1000) for n in range(len(CONVERSATION))]
        with path.open("rb") as again:
            records = list(read_capture(again))
        assert records == expected(CONVERSATION, times)
        assert seen_by_us(records) == tshark_packets(path)


def option(order: str, code: int, value: bytes) -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) & 3)


def pcapng_block(order: str, kind: int, body: bytes) -> bytes:
    total = struct.pack(order + "I", len(body) + (-len(body) & 3) + 12)
    return struct.pack(order + "I", kind) + total + body + bytes(-len(body) & 3) + total


def section(order: str) -> bytes:
    return pcapng_block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def interface(order: str, link: int, options: bytes = b"") -> bytes:
    return pcapng_block(order, 1, struct.pack(order + "HHI", link, 0, 0) + options)


def enhanced(order: str, number: int, ticks: int, packet: bytes, options: bytes = b"") -> bytes:
    head = struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(packet), len(packet))
    return pcapng_block(order, 6, head + packet + bytes(-len(packet) & 3) + options)


def pcapng(order: str, link: int, packets: list[bytes]) -> bytes:
    parts = [section(order), interface(order, link)]
    return b"".join(parts + [enhanced(order, 0, START * 10**6 + n, packet) for n, packet in enumerate(packets)])


@pytest.mark.parametrize("order", ["<", ">"])
def test_sections_interfaces_resolutions_and_offsets_are_read_as_tshark_reads_them(tmp_path, order):
    other = {"<": ">", ">": "<"}[order]
    simple = CONVERSATION[3] + bytes(-len(CONVERSATION[3]) & 3)
    data = (
        section(order)
        + interface(order, 101)
        + interface(order, 1, option(order, 9, b"\x09") + option(order, 14, struct.pack(order + "q", START)))
        + interface(order, 101, option(order, 9, bytes([0x80 | 20])))
        + enhanced(order, 0, START * 10**6 + 7, CONVERSATION[0], option(order, 2, struct.pack(order + "I", 2)))
        + enhanced(order, 1, 123_456_789, bytes(12) + b"\x08\0" + CONVERSATION[1], option(order, 1, b"a comment"))
        + enhanced(order, 2, (START << 20) + 7, CONVERSATION[2])
        + pcapng_block(order, 0x80000001, b"nobody knows")
        + section(other)
        + interface(other, 101)
        + enhanced(other, 0, START * 10**6 + 9, CONVERSATION[3])
        + pcapng_block(
            other,
            2,
            struct.pack(other + "HHIIII", 0, 5, *divmod(START * 10**6 + 11, 2**32), *[len(CONVERSATION[4])] * 2)
            + CONVERSATION[4],
        )
    )
    path = tmp_path / "a.pcapng"
    path.write_bytes(data)
    records = list(read_capture(io.BytesIO(data)))
    second = START * 10**9
    times = [second + 7000, second + 123_456_789, second + 7 * 10**9 // 2**20, second + 9000, second + 11_000]
    assert records == expected(CONVERSATION, times)
    assert seen_by_us(records) == tshark_packets(path)
    lone = (
        section(order) + interface(order, 101) + pcapng_block(order, 3, struct.pack(order + "I", len(simple)) + simple)
    )
    assert [r.data for r in read_capture(io.BytesIO(lone)) if isinstance(r, Packet)] == [CONVERSATION[3]]


def test_mergecap_of_two_captures_is_read_as_tshark_reads_it(tmp_path):
    for name, packets in (("a", CONVERSATION[:3]), ("b", CONVERSATION[3:])):
        (tmp_path / name).write_bytes(pcapng("<", 101 if name == "a" else 229, packets))
    run("mergecap", "-w", tmp_path / "out", tmp_path / "a", tmp_path / "b")
    records = list(read_capture(io.BytesIO((tmp_path / "out").read_bytes())))
    assert seen_by_us(records) == tshark_packets(tmp_path / "out")
    assert len(records) == 6


def test_scapy_and_we_agree_on_what_scapy_wrote(tmp_path):
    writer = PcapNgWriter(str(tmp_path / "a"))
    for packet in CONVERSATION[:3]:
        writer.write(Ether() / IP(packet))
    writer.close()
    records = list(read_capture(io.BytesIO((tmp_path / "a").read_bytes())))
    assert [record.data for record in records[1:]] == CONVERSATION[:3]


KEY_LINES = [
    f"{label} {'0a' * 32} {n:02x}{'0b' * 31}\n" for n, label in enumerate(("CLIENT_RANDOM", "EXPORTER_SECRET"))
]


def test_secrets_of_blocks_and_key_log_come_before_every_packet_wherever_they_stood():
    text = "".join(KEY_LINES[:1]).encode()
    late = pcapng_block("<", 10, struct.pack("<II", 0x544C534B, len(text)) + text)
    other = pcapng_block("<", 10, struct.pack("<II", 0x57474B4C, 4) + b"wire")
    data = pcapng("<", 101, CONVERSATION[:2]) + other + late
    secrets = [
        Secret(START * 10**9, 0, "CLIENT_RANDOM", b"\x0a" * 32, b"\0" + b"\x0b" * 31),
        Secret(START * 10**9, 0, "EXPORTER_SECRET", b"\x0a" * 32, b"\1" + b"\x0b" * 31),
    ]
    packets = expected(CONVERSATION, [START * 10**9 + n * 1000 for n in range(5)])[1:3]
    keys = "# made by hand\r\n".join(["", *KEY_LINES]).encode()
    records = list(read_capture(io.BytesIO(data), io.BytesIO(keys)))
    assert records == [RunHeader(START * 10**9, "packets"), *secrets, *packets]
    by_pipe = list(read_capture(Pipe(data)))
    assert by_pipe == [RunHeader(START * 10**9, "packets"), *packets, replace(secrets[0], at_ns=START * 10**9 + 1000)]


def test_dropped_packets_that_the_capturing_program_counted_are_a_loss():
    def statistics(dropped: int) -> bytes:
        return pcapng_block("<", 5, struct.pack("<III", 0, 0, 0) + option("<", 5, struct.pack("<Q", dropped)))

    data = pcapng("<", 101, CONVERSATION[:1]) + statistics(0) + statistics(3) + statistics(5)
    losses = [record for record in read_capture(io.BytesIO(data)) if isinstance(record, Loss)]
    assert losses == [Loss(START * 10**9, "dropped by the capturing interface", n) for n in (3, 2)]


def udp(source: int, target: int) -> bytes:
    return bytes(IP(src=CLIENT, dst=SERVER) / UDP(sport=source, dport=target) / DNS(qd=DNSQR(qname="a.example")))


@pytest.mark.parametrize(
    ("packets", "ways"),
    [
        ([tcp(CLIENT, 80, SERVER, 9000, "S", 1), tcp(SERVER, 9000, CLIENT, 80, "SA", 1)], [SEND, RECV]),
        ([tcp(SERVER, 9000, CLIENT, 80, "SA", 1), tcp(CLIENT, 80, SERVER, 9000, "A", 1)], [RECV, SEND]),
        ([tcp(SERVER, 443, CLIENT, 40_000, "PA", 1), tcp(CLIENT, 40_000, SERVER, 443, "A", 1)], [RECV, SEND]),
        ([tcp(SERVER, 40_000, CLIENT, 443, "A", 1), tcp(CLIENT, 443, SERVER, 40_000, "S", 1)], [SEND, SEND]),
        ([tcp(SERVER, 7, CLIENT, 7, "A", 1), tcp(CLIENT, 7, SERVER, 7, "A", 1)], [SEND, RECV]),
        ([udp(53, 53), udp(33, 53), udp(53, 33), udp(5000, 600)], [SEND, SEND, RECV, SEND]),
    ],
)
def test_the_go_side_is_the_end_that_asked(packets, ways):
    records = list(read_capture(io.BytesIO(pcapng("<", 101, packets))))
    assert [record.direction for record in records[1:]] == ways


def test_frames_that_hold_no_ip_packet_are_passed_over():
    frames = [bytes(Ether() / ARP()), b"", bytes(14), bytes(Ether(type=0x0800)) + CONVERSATION[0]]
    records = list(read_capture(io.BytesIO(pcapng("<", 1, frames))))
    assert [record.data for record in records[1:]] == [CONVERSATION[0]]


def test_a_classic_capture_cut_at_any_byte_gives_its_packets_and_then_a_loss():
    file = io.BytesIO()
    writer = RawPcapWriter(file, linktype=101, nano=True)
    writer.write_header(None)
    for n, packet in enumerate(CONVERSATION):
        writer.write_packet(packet, sec=START, usec=n)
    data = file.getvalue()
    whole = expected(CONVERSATION, [START * 10**9 + n for n in range(5)])
    ends = [24 + sum(16 + len(packet) for packet in CONVERSATION[:n]) for n in range(6)]
    for length in range(4, len(data)):
        found = list(read_capture(io.BytesIO(data[:length])))
        count = sum(end <= length for end in ends[1:])
        header = whole[:1] if count else [RunHeader(0, "packets")]
        loss = (
            []
            if length in ends
            else [Loss(found[-1].at_ns, "file cut", 1, length - max([0, *ends][: count + 1 + (length >= 24)]))]
        )
        assert found == [*header, *whole[1 : 1 + count], *loss], length


def test_loopback_of_scapy_is_bsd_loopback():
    """The wrapping above is written by hand; scapy's own layer gives the same bytes."""
    assert bytes(Loopback(type=2)) == struct.pack("<I", 2)

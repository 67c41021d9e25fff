"""Our captures behind Wireshark's tools, which leave out our blocks: captures of somebody else, with what remains."""

import io

import pytest
from msgspec.structs import replace
from scapy.layers.inet import IP, TCP

from goproxy_ebpf.capfile import read_capture
from goproxy_ebpf.capfile.stand_in import stand_ins
from goproxy_ebpf.records.capture import Loss, Packet, RunHeader, Secret
from goproxy_ebpf.records.common import Direction

from .files import written
from .records import SOCKET, START, packet, secret
from .tools import run

OURS = [RunHeader(1, "ebpf"), packet(1), packet(2, 80, Direction.RECV), secret(3), Loss(4, "ring full", 1), packet(4)]


def foreign(records: list) -> list:
    """What is left of ours without our blocks: a header, the secrets, the packets with their sockets."""
    packets = [record for record in records if isinstance(record, Packet)]
    start = packets[0].at_ns
    secrets = [replace(record, at_ns=start, pid=0) for record in records if isinstance(record, Secret)]
    return [RunHeader(start, "packets"), *secrets, *packets]


@pytest.mark.parametrize("kind", ["pcap", "nsecpcap", "pcapng"])
def test_what_editcap_makes_of_our_file_is_read(tmp_path, kind):
    (tmp_path / "ours.pcapng").write_bytes(written(OURS))
    run("editcap", "-F", kind, tmp_path / "ours.pcapng", tmp_path / "out")
    records = list(read_capture(io.BytesIO((tmp_path / "out").read_bytes())))
    packets = [record for record in OURS if isinstance(record, Packet)]
    if kind == "pcapng":  # the notes in packets' blocks are kept, and so are the secrets in front
        assert records == foreign(OURS)
    else:
        assert [record.data for record in records[1:]] == [record.data for record in packets]


def test_mergecap_of_two_runs_is_read_as_a_capture_of_both(tmp_path):
    (tmp_path / "a").write_bytes(written(OURS))
    later = [RunHeader(9, "ebpf"), packet(10), secret(11), packet(12)]
    (tmp_path / "b").write_bytes(written(later))
    run("mergecap", "-w", tmp_path / "out", tmp_path / "a", tmp_path / "b")
    assert list(read_capture(io.BytesIO((tmp_path / "out").read_bytes()))) == foreign([*OURS, *later])


def test_of_a_packet_past_wiresharks_limit_an_edited_file_has_the_stand_ins(tmp_path):
    head = bytes(IP(src="10.0.0.2", dst="10.0.0.1") / TCP(sport=443, dport=40_000, flags="A", seq=1))
    data = head[:2] + bytes(2) + head[4:] + bytes(300_000)
    big = Packet(START + 2, Direction.RECV, len(data), data, SOCKET, 3, 4)
    (tmp_path / "ours.pcapng").write_bytes(written([packet(1), big, packet(3)]))
    run("editcap", tmp_path / "ours.pcapng", tmp_path / "out")
    records = list(read_capture(io.BytesIO((tmp_path / "out").read_bytes())))
    parts = [Packet(big.at_ns, Direction.RECV, len(part), part) for part in stand_ins(big.data)]
    assert len(parts) == 5
    assert records == [RunHeader(packet(1).at_ns, "packets"), packet(1), *parts, packet(3)]

"""Wireshark's and tcpdump's programs as oracles."""

import shutil
import subprocess
from pathlib import Path

import pytest

FIELDS = ("frame.time_epoch", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "tcp.srcport", "tcp.dstport", "tcp.seq_raw")


def need(program: str) -> str:
    path = shutil.which(program)
    if not path:
        pytest.skip(f"{program} is not installed (apt-get install tshark tcpdump)")
    return path


def run(program: str, *arguments: object) -> str:
    done = subprocess.run(
        [need(program), *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def tshark_packets(path: Path) -> list[tuple[int, str, str, str, str]]:
    """(time in ns, source, destination, ports, sequence number) of each IP packet, as tshark reads the file."""
    options = [part for field in FIELDS for part in ("-e", field)]
    text = run("tshark", "-n", "-r", path, "-o", "tcp.relative_sequence_numbers:FALSE", "-T", "fields", *options)
    found = []
    for line in text.splitlines():
        at, src4, dst4, src6, dst6, sport, dport, sequence = line.split("\t")
        if src4 or src6:
            seconds, _, fraction = at.partition(".")
            at_ns = int(seconds) * 10**9 + int(fraction.ljust(9, "0"))
            found.append((at_ns, src4 or src6, dst4 or dst6, f"{sport}>{dport}", sequence))
    return found

"""Offsets out of the kernel's BTF, held against bpftool's own reading of it."""

import contextlib
import re
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goproxy_ebpf.capture.btf import VMLINUX, Btf, BtfError
from goproxy_ebpf.capture.kernel import Kernel

BPFTOOL = "/usr/sbin/bpftool"


@pytest.fixture(scope="module")
def btf() -> Btf:
    return Btf.of_this_kernel()


@pytest.fixture(scope="module")
def dump() -> str:
    command = [BPFTOOL, "btf", "dump", "file", str(VMLINUX), "format", "raw"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("struct_name", "member"),
    [("tcp_sock", "write_seq"), ("tcp_sock", "srtt_us"), ("sock_common", "skc_dport"), ("task_struct", "real_parent")],
)
def test_offsets_are_those_that_bpftool_prints(btf: Btf, dump: str, struct_name: str, member: str):
    body = re.search(rf"STRUCT '{struct_name}' size=\d+ vlen=\d+\n((?:\t.*\n)+)", dump)[1]
    place = re.search(rf"'{member}' type_id=\d+ bits_offset=(\d+)", body)
    expected = int(place[1]) // 8 if place else None
    if expected is None:  # in an anonymous struct or union: bpftool's raw form does not add it up
        assert btf.offset(struct_name, member) % 2 == 0
    else:
        assert btf.offset(struct_name, member) == expected


def test_enumeration_constants_are_those_that_bpftool_prints(btf: Btf, dump: str):
    assert btf.enum("ITER_IOVEC") == int(re.search(r"'ITER_IOVEC' val=(\d+)", dump)[1])


def test_members_are_found_through_structs_held_by_value(btf: Btf):
    inside = btf.offset("tcp_sock", "inet_conn.icsk_inet.sk.__sk_common.skc_dport")
    assert inside == btf.offset("sock_common", "skc_dport")


def test_what_a_kernel_does_not_have_is_said(btf: Btf):
    with pytest.raises(BtfError, match="no member nonsense in struct tcp_sock"):
        btf.offset("tcp_sock", "nonsense")
    with pytest.raises(BtfError, match="no no_such_struct_anywhere"):
        btf.offset("no_such_struct_anywhere", "x")
    assert not btf.has("iov_iter", "nonsense")


def test_a_prototype_has_its_parameters(btf: Btf):
    assert btf.parameters("tcp_sendmsg_locked") == ("sk", "msg", "size")


def test_the_tracepoints_of_this_kernel_are_known():
    kernel = Kernel()
    assert kernel.has_tracepoint("sched_process_exec")
    assert not kernel.has_tracepoint("sched_process_exec_of_no_kernel")


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_btf_or_an_error(data: bytes):
    """Any bytes give a Btf or BtfError, nothing else."""
    with contextlib.suppress(BtfError):
        Btf(struct.pack("<HBBI", 0xEB9F, 1, 0, 24) + data)


def test_a_missing_file_is_one_refusal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("goproxy_ebpf.capture.btf.VMLINUX", tmp_path / "none")
    with pytest.raises(BtfError, match="No such file"):
        Btf.of_this_kernel()

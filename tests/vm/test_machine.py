"""A stock kernel with kprobes, emulated: what a command in it says, and how it ends, comes back as if it ran here."""

import json
import os
import subprocess

import pytest

from tests.vm import initramfs
from tests.vm.kernels import SUITES, Unavailable, fetch
from tests.vm.machine import CHECKOUT, run_in_vm

pytestmark = [pytest.mark.vm, pytest.mark.timeout(300)]

STUBS = {"BCC_KERNEL_SOURCE": str(CHECKOUT / "bpf/include")}
PYTHON = "/usr/bin/python3"


def test_a_kprobe_on_tcp_sendmsg_counts_what_was_sent():
    done = run_in_vm([PYTHON, "tests/vm/count_sends.py", "5", "100"], environment=STUBS)
    assert (done.returncode, done.stderr) == (0, "")
    ready, result = done.stdout.splitlines()
    assert ready == "ready"
    assert json.loads(result) == {"kernel": done.release, "sends": 5, "bytes": 500}
    assert done.release.startswith("6.1.")
    assert done.release != os.uname().release


def test_status_output_errors_directory_and_mounts_are_those_of_the_command(tmp_path):
    script = tmp_path / "script"
    script.write_text(
        'pwd; cat /proc/self/cgroup; echo "$WORD"; echo trouble >&2\n'
        "stat -f -c %T /sys/fs/cgroup /sys/kernel/tracing /sys/fs/bpf\n"
        "cat /sys/class/net/lo/operstate; seq 30000 | tail -n 1; echo new >made; cat made; exit 7\n"
    )
    done = run_in_vm(["sh", script], directory=tmp_path, environment={"WORD": "two  words"})
    assert done.stdout.splitlines() == [
        str(tmp_path), "0::/", "two  words", "cgroup2fs", "tracefs", "bpf_fs", "unknown", "30000", "new",
    ]  # fmt: skip
    assert (done.returncode, done.stderr) == (7, "trouble\n")
    assert not (tmp_path / "made").exists()


def test_a_command_that_does_not_end_is_ended_and_its_output_kept():
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        run_in_vm(["sh", "-c", "echo before; sleep 1000"], timeout=6)
    assert caught.value.output == "before\n"


def test_a_machine_without_a_known_kernel_is_refused_by_name():
    with pytest.raises(Unavailable, match=r"no kernel 3\.16: known are 5\.10, 6\.1, 6\.12, newest"):
        run_in_vm(["true"], kernel="3.16")
    assert set(SUITES) == {"5.10", "6.1", "6.12", "newest"}


def test_modules_come_after_those_they_depend_on():
    order = [path.rsplit("/", 1)[1].split(".")[0] for path in initramfs.load_order(fetch("6.1"))]
    assert order.index("virtio") < order.index("virtio_pci") < order.index("virtio_console")
    assert order.index("fuse") < order.index("virtiofs")


def test_cpio_reads_the_archive():
    files = {"folder": (0o040755, b""), "folder/file": (0o100644, b"text\n"), "link": (0o120777, b"folder/file")}
    archive = initramfs.archive(files) + initramfs.command("#!/bin/sh\n")
    shown = subprocess.run(["busybox", "cpio", "-tv"], input=archive, capture_output=True, check=True)
    names = [(line.split()[0], line.split()[-1]) for line in shown.stdout.decode().splitlines()]
    # busybox stops at the first archive's end; the kernel goes on with the second.
    assert names == [("drwxr-xr-x", "folder"), ("-rw-r--r--", "folder/file"), ("lrwxrwxrwx", "folder/file")]

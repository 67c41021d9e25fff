"""``trace`` on a stock kernel with kprobes, by the same live tests that run on this one."""

import sys

import pytest

from tests.vm.machine import CHECKOUT, run_in_vm

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]

PATHS = "/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def test_on_6_1_every_frame_is_the_one_that_go_logged_by_kprobe_and_by_sk_msg():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rs", "tests/live/test_against_go.py"]
    done = run_in_vm(command, kernel="6.1", timeout=500, environment={"PATH": PATHS, "CI": "true"}, directory=CHECKOUT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("2 passed")
    assert done.release.startswith("6.1.")


def test_on_6_1_doctor_names_the_hooks_that_it_has():
    command = [sys.executable, "scripts/run.py", "doctor"]
    done = run_in_vm(command, kernel="6.1", timeout=200, environment={"PATH": PATHS}, directory=CHECKOUT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ["tcp_sendmsg", "ok", "tcp_sendmsg_locked:", "kprobe"] in [line.split() for line in done.stdout.splitlines()]
    assert "\ntrace can run here.\n" in done.stdout

"""The run's own cgroup: found, made below the caller's, and taken away with nobody in it harmed."""

import os
import subprocess
from pathlib import Path

import pytest

from goproxy_ebpf.capture.cgroup import RunCgroup, mount_point, own_directory, own_path, sweep

HYBRID = """\
24 1 0:22 / /sys rw - sysfs sysfs rw
30 24 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/unified\\040here rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate
32 30 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
"""


def test_the_mount_is_found_among_others_with_its_escapes():
    assert mount_point(HYBRID) == Path("/sys/fs/cgroup/unified here")
    assert mount_point(HYBRID.replace("cgroup2", "cgroup")) is None


def test_the_own_path_is_that_of_hierarchy_zero():
    assert own_path("9:name=systemd:/\n0::/user.slice/a\n") == "/user.slice/a"
    assert own_path("9:name=systemd:/\n") == "/"


@pytest.mark.live
def test_a_run_cgroup_lies_below_the_callers_and_survivors_go_back():
    group = RunCgroup.create()
    parent = group.path.parent
    survivor = subprocess.Popen(["sleep", "60"])
    try:
        group.enter(survivor.pid)
        inside = own_path(Path(f"/proc/{survivor.pid}/cgroup").read_text())
        assert inside.endswith(f"/{group.path.name}")
        assert len(inside.strip("/").split("/")) == group.level
        assert (group.path / "cgroup.subtree_control").read_text().strip() == ""
        assert group.remove() == 1
        assert not group.path.exists()
        assert str(survivor.pid) in (parent / "cgroup.procs").read_text().split()
    finally:
        survivor.kill()
        survivor.wait()


def test_the_own_directory_is_found_where_a_mount_shows_only_a_part():
    part = HYBRID.replace("0:27 / ", "0:27 /user.slice ")
    unified = Path("/sys/fs/cgroup/unified here")
    assert own_directory(HYBRID, "0::/user.slice/a\n") == unified / "user.slice/a"
    assert own_directory(part, "0::/user.slice/a\n") == unified / "a"
    assert own_directory(part, "0::/user.slice\n") == unified
    # Not shown, and outside of the cgroup namespace: what has that name is another group, or none.
    assert own_directory(part, "0::/system.slice/a\n") is None
    assert own_directory(HYBRID, "0::/../a\n") is None


@pytest.mark.live
def test_the_group_of_a_run_in_another_pid_namespace_is_neither_taken_nor_swept():
    group = RunCgroup.create()
    parent = group.path.parent
    elsewhere = parent / "goproxy-ebpf.4194305"  # above the largest number that there can be
    group.path.rmdir()
    elsewhere.mkdir()
    os.close(group.descriptor)
    other = RunCgroup(elsewhere, parent, group.level)
    mine = RunCgroup.create()
    try:
        same = RunCgroup.create()
        assert (same.path.name, mine.path.name) == (f"goproxy-ebpf.1.{os.getpid()}", f"goproxy-ebpf.{os.getpid()}")
        assert same.remove() == 0
        assert elsewhere.exists()
        os.close(other.descriptor)
        assert sweep(parent) == [elsewhere.name]
    finally:
        mine.remove()


@pytest.mark.live
def test_what_a_killed_run_left_is_swept_and_a_live_runs_group_is_not():
    mount = mount_point(Path("/proc/self/mountinfo").read_text())
    parent = mount / own_path(Path("/proc/self/cgroup").read_text()).strip("/")
    dead = subprocess.Popen(["true"])
    dead.wait()
    stale, live = parent / f"goproxy-ebpf.{dead.pid}", parent / f"goproxy-ebpf.{os.getppid()}"
    stale.mkdir()
    live.mkdir()
    try:
        assert sweep(parent) == [stale.name]
        assert (stale.exists(), live.exists()) == (False, True)
    finally:
        live.rmdir()


@pytest.mark.live
def test_a_live_run_of_another_pid_namespace_is_not_swept():
    """There, nobody has our process id: what counts is that somebody holds the group."""
    group = RunCgroup.create()
    nobody = subprocess.Popen(["true"])
    nobody.wait()
    renamed = group.path.with_name(f"goproxy-ebpf.{nobody.pid}")
    renamed.mkdir()
    held = RunCgroup(renamed, group.path.parent, group.level)
    try:
        assert sweep(group.path.parent) == []
        assert renamed.exists()
    finally:
        os.close(held.descriptor)
        assert sweep(group.path.parent) == [renamed.name]
        group.path.rmdir()
        assert group.remove() == 0  # gone already: nothing to say


@pytest.mark.live
def test_a_group_with_our_own_process_id_is_a_dead_runs():
    mount = mount_point(Path("/proc/self/mountinfo").read_text())
    stale = mount / own_path(Path("/proc/self/cgroup").read_text()).strip("/") / f"goproxy-ebpf.{os.getpid()}"
    stale.mkdir()
    group = RunCgroup.create()
    assert group.path == stale
    assert group.remove() == 0

"""Where kept logs are looked for."""

import os
import pwd
from pathlib import Path

import pytest

from goproxy_ebpf.cli import kept
from goproxy_ebpf.cli.failure import Failure


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SUDO_UID", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    return tmp_path


def test_the_state_directory_is_the_one_that_is_named(monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", "/var/state")
    assert kept.kept_directory() == Path("/var/state/goproxy-ebpf")


@pytest.mark.parametrize("relative", ["", "state", "./state"])
def test_a_relative_state_directory_is_ignored(monkeypatch, home, relative):
    monkeypatch.setenv("XDG_STATE_HOME", relative)
    assert kept.kept_directory() == home / ".local/state/goproxy-ebpf"


def test_under_sudo_it_is_the_callers(monkeypatch, home):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    caller = pwd.struct_passwd(("dev", "x", 1000, 1000, "", "/home/dev", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", {1000: caller}.__getitem__)
    monkeypatch.setenv("SUDO_UID", "1000")
    assert kept.kept_directory() == Path("/home/dev/.local/state/goproxy-ebpf")
    for nobody in ("4242", "", "x", "-1"):
        monkeypatch.setenv("SUDO_UID", nobody)
        assert kept.kept_directory() == home / ".local/state/goproxy-ebpf"


def test_sudo_uid_means_nothing_to_anyone_but_root(monkeypatch, home):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("SUDO_UID", "0")
    assert kept.kept_directory() == home / ".local/state/goproxy-ebpf"


def test_no_kept_run_is_a_failure():
    with pytest.raises(Failure, match="no run was kept in"):
        kept.newest_kept()

"""The real go command, through the lab's proxy, without any network."""

import collections
import re
import subprocess
import time

import pytest

from tests.gobins import DEBIAN, NEWEST, OLD, environment, go_bin, installed
from tests.labs import go_through, journal, running_lab

KINDS = {
    "h2": ("HEADERS", ()),
    "h2 on TLS 1.3": ("HEADERS", ("--tls", "1.3")),
    "h2 on TLS 1.2": ("HEADERS", ("--tls", "1.2")),
    "HTTP/1.1 on TLS": ("request", ("--http1",)),
    "HTTP/1.1 in the clear": ("request", ("--cleartext",)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_project_is_downloaded_verified_built_and_run(kind, tmp_path):
    request, arguments = KINDS[kind]
    log = tmp_path / "log"
    with running_lab("--megabytes", "1", "--modules", "9", "--log", str(log), *arguments) as lab:
        modules = tmp_path / "modules"
        assert go_through(lab, modules, "mod", "download", "all") == ""
        assert go_through(lab, modules, "mod", "verify") == "all modules verified\n"
        assert go_through(lab, modules, "build", "./...") == ""
        assert go_through(lab, modules, "mod", "tidy", "-diff") == ""
    zips = sorted(path.name for path in modules.glob("cache/download/**/*.zip"))
    assert len(zips) == 9
    asked = [line for line in journal(log) if (line["from"], line["type"]) == ("client", request)]
    kinds = collections.Counter(
        (line.get("path") or dict(line["headers"])[":path"]).rpartition(".")[2] for line in asked
    )
    assert (kinds["zip"], kinds["info"], kinds["mod"] > 9) == (9, 9, True), "older versions' go.mod files are read too"


@pytest.mark.parametrize("make", [lambda: DEBIAN, lambda: go_bin(OLD), lambda: go_bin(NEWEST)])
def test_other_versions_of_go_are_served_as_well(make, tmp_path):
    with running_lab("--megabytes", "1", "--modules", "9") as lab:
        go_through(lab, tmp_path / "modules", "mod", "download", go=make())
    assert len(list(tmp_path.glob("modules/cache/download/**/*.zip"))) == 9


def test_fifty_megabytes_in_28_modules_take_a_second_or_two(tmp_path):
    with running_lab("--megabytes", "50") as lab:
        started = time.monotonic()
        go_through(lab, tmp_path / "modules", "mod", "download", "all")
        took = time.monotonic() - started
    sizes = [path.stat().st_size for path in tmp_path.glob("modules/cache/download/**/*.zip")]
    assert (len(sizes), round(sum(sizes) / 1e6)) == (28, 50)
    assert took < 6, "it is half a second on an idle machine"


FRAMER = re.compile(r"http2: Framer (0x\w+): (wrote|read) (\w+)(?: flags=\S+)?(?: stream=(\d+))? len=(\d+)")


def test_the_log_has_the_frames_that_go_s_own_debug_output_has(tmp_path):
    log = tmp_path / "log"
    with running_lab("--megabytes", "3", "--log", str(log)) as lab:
        text = go_through(lab, tmp_path / "modules", "mod", "download", "all", GODEBUG="http2debug=2")
    go_s, ours = collections.defaultdict(list), collections.defaultdict(list)
    for framer, verb, kind, stream, length in FRAMER.findall(text):
        go_s[framer, "client" if verb == "wrote" else "server"].append((kind, int(stream or 0), int(length)))
    for line in journal(log):
        ours[line["connection"], line["from"]].append((line["type"], line["stream"], line["length"]))
    connections = {number for number, _ in [*ours] if len(ours[number, "client"]) > 5}
    framers = {framer for framer, _ in [*go_s] if len(go_s[framer, "client"]) > 5}
    assert (len(connections), len(framers)) == (1, 1), "go asks all over one connection"
    for sender in ("client", "server"):
        (known,) = (go_s[framer, sender] for framer in framers)
        (logged,) = (ours[number, sender] for number in connections)
        both = min(len(known), len(logged))
        assert logged[:both] == known[:both]
        assert both > 100 and max(len(known), len(logged)) - both <= 3, "what was under way when go ended"


def test_a_module_cache_on_disk_can_be_served(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    with running_lab("--megabytes", "1", "--modules", "9", "--directory", str(tmp_path / "kept")) as lab:
        go_through(lab, first, "mod", "download", "all")
        listed = go_through(lab, first, "list", "-m", "-versions", "example.com/lab/module01")
        latest = go_through(lab, first, "list", "-m", "example.com/lab/module05@latest")
    project = tmp_path / "kept/project"
    with running_lab("--serve", str(first / "cache/download")) as lab:
        assert (lab["project"], lab["environment"]["GOSUMDB"]) == ("", "off")
        lab["project"] = str(project)
        go_through(lab, second, "mod", "download", "all")
        assert go_through(lab, second, "mod", "verify") == "all modules verified\n"
        assert go_through(lab, second, "list", "-m", "example.com/lab/module05@latest") == latest
    names = [
        sorted(str(path.relative_to(cache)) for path in cache.glob("cache/download/**/*.zip"))
        for cache in (first, second)
    ]
    assert len(names[0]) == 9 and names[0] == names[1]
    assert listed == "example.com/lab/module01 v1.0.0 v1.1.0\n"
    assert latest == "example.com/lab/module05 v0.0.0-20240102030405-000000000005\n"


def test_what_a_proxy_does_not_have_is_a_404_for_go(tmp_path):
    with running_lab("--modules", "1", "--megabytes", "0") as lab:
        done = subprocess.run(
            [installed(), "mod", "download", "example.com/lab/nothing@v1.0.0"],
            cwd=lab["project"],
            env=environment(GOMODCACHE=str(tmp_path), **lab["environment"]),
            check=False,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 1
    assert "404 Not Found" in done.stderr and "not found: /example.com/lab/nothing/@v/v1.0.0.info" in done.stderr

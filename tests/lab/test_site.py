"""GOPROXY's protocol over a folder and over modules in memory."""

import json

import pytest

from goproxy_ebpf.lab.modules import dirhash, escaped, generate_modules, make_module
from goproxy_ebpf.lab.site import DirectorySite, ModuleSite, Request, latest_of, list_of


def get(site, path, method="GET"):
    answer = site.answer(Request(method=method, path=path, authority="localhost"))
    return answer.status, answer.body


def test_modules_are_found_under_their_escaped_names():
    module = make_module("example.com/Lab/Some", "v1.2.3-RC.1", [], 10)
    site = ModuleSite([module])
    base = "/example.com/!lab/!some/@v/v1.2.3-!r!c.1"
    assert [get(site, base + ending) for ending in (".mod", ".zip")] == [(200, module.mod), (200, module.zip)]
    assert get(site, base.replace("!", "%21") + ".mod") == (200, module.mod)
    assert json.loads(get(site, base + ".info")[1])["Version"] == "v1.2.3-RC.1"
    assert get(site, "/example.com/!lab/!some/@v/list") == (200, b"v1.2.3-RC.1\n")
    assert get(site, "/example.com/Lab/Some/@v/list")[0] == 404


def test_latest_is_the_highest_release_then_pre_release_then_pseudo_version():
    pseudo = ["v0.0.0-20240102030405-0123456789ab", "v0.0.0-20250102030405-0123456789ab"]
    assert latest_of(["v1.9.0", "v1.10.0", "v2.0.0-rc.1", *pseudo]) == "v1.10.0"
    assert latest_of(["v1.0.0-rc.1", *pseudo]) == "v1.0.0-rc.1"
    assert latest_of(pseudo) == pseudo[1]
    assert latest_of(["master"]) == ""
    assert list_of(["v1.0.0", *pseudo, "v1.0.1-0.20240102030405-0123456789ab"]) == b"v1.0.0\n"


def test_a_folder_is_served_and_nothing_beside_it(tmp_path):
    versions = tmp_path / "cache/example.com/m/@v"
    versions.mkdir(parents=True)
    (versions / "v1.0.0.info").write_text("info")
    (versions / "v1.0.0.lock").write_text("lock")
    (tmp_path / "secret.mod").write_text("secret")
    (tmp_path / "@v").mkdir()
    (tmp_path / "@v/secret.mod").write_text("secret")
    (versions / "link.mod").symlink_to(tmp_path / "secret.mod")
    site = DirectorySite(tmp_path / "cache")
    assert get(site, "/example.com/m/@v/v1.0.0.info") == (200, b"info")
    assert get(site, "/example.com/m/@latest") == (200, b"info")
    assert get(site, "/example.com/m/@v/list") == (200, b"v1.0.0\n")
    for path in (
        "/../@v/secret.mod",
        "/%2e%2e/@v/secret.mod",
        "/example.com/m/@v/../../../../@v/secret.mod",
        "//etc/passwd",
        "/example.com/m/@v/link.mod",
        "/example.com/m/@v/v1.0.0.lock",
        "/example.com/m/@v",
        "/\0",
        "/" + "a" * 5000,
        "",
    ):
        assert get(site, path)[0] == 404, path


@pytest.mark.parametrize("method", ["POST", "PUT", "CONNECT", ""])
def test_only_get_and_head_are_answered(method, tmp_path):
    assert [get(site, "/", method)[0] for site in (ModuleSite([]), DirectorySite(tmp_path))] == [405, 405]


def test_hashes_and_escapes_are_go_s():
    # A line of a public go.sum: the go.mod file of github.com/pkg/errors v0.9.1 is this one line.
    assert dirhash([("go.mod", b"module github.com/pkg/errors\n")]) == "h1:bwawxfHBFNV+L2hUp1rHADufV3IMtnDRdf1r5NINEl0="
    assert escaped("github.com/Azure/GO") == "github.com/!azure/!g!o"


def test_one_module_alone_and_none_larger_than_asked():
    chosen, older = generate_modules(1, 0)
    assert (len(chosen), older) == (1, [])


def test_a_hash_does_not_depend_on_the_order_of_the_files():
    files = [("m@v1.0.0/b.go", b"b"), ("m@v1.0.0/a.go", b"a")]
    assert dirhash(files) == dirhash(reversed(files))

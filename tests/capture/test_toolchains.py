"""Which go commands are found, with whose settings."""

from pathlib import Path

import pytest

from goproxy_ebpf.capture import toolchains
from goproxy_ebpf.capture.toolchains import go_commands_on_disk


@pytest.fixture(autouse=True)
def no_system_toolchains(monkeypatch):
    monkeypatch.setattr(toolchains, "SYSTEM", ())


def program(path: Path, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("go")
    path.chmod(mode)
    return path


def test_all_places_are_searched_and_path_s_come_first(tmp_path):
    home = tmp_path / "home"
    expected = [
        program(tmp_path / "first/go"),
        program(tmp_path / "second/go"),
        program(tmp_path / "first/go1.22.5"),
        program(tmp_path / "second/go1.21.13"),
        program(tmp_path / "root/bin/go"),
        program(tmp_path / "cache/golang.org/toolchain@v0.0.1-go1.22.1.linux-amd64/bin/go"),
        program(tmp_path / "cache/golang.org/toolchain@v0.0.1-go1.23.4.linux-amd64/bin/go"),
        program(home / "sdk/go1.20/bin/go"),
    ]
    environment = {
        "PATH": f"{tmp_path}/first:relative:{tmp_path}/empty:{tmp_path}/second",
        "GOROOT": str(tmp_path / "root"),
        "GOMODCACHE": str(tmp_path / "cache"),
    }
    assert go_commands_on_disk(environment, home) == expected


def test_the_same_file_is_listed_once_by_its_real_name(tmp_path):
    real = program(tmp_path / "lib/go-1.19/bin/go")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/go").symlink_to(real)
    (tmp_path / "hard").mkdir()
    (tmp_path / "hard/go").hardlink_to(real)
    (tmp_path / "loop").mkdir()
    (tmp_path / "loop/go").symlink_to(tmp_path / "loop/go")
    path = ":".join(str(tmp_path / name) for name in ("loop", "bin", "hard", "lib/go-1.19/bin"))
    assert go_commands_on_disk({"PATH": path}, tmp_path) == [real]


def test_what_cannot_be_executed_is_not_listed(tmp_path):
    program(tmp_path / "text/go", 0o644)
    (tmp_path / "folder/go").mkdir(parents=True)
    assert go_commands_on_disk({"PATH": f"{tmp_path}/text:{tmp_path}/folder"}, tmp_path) == []


@pytest.mark.parametrize(
    ("environment", "settings", "cache"),
    [
        ({}, "", "go/pkg/mod"),
        ({"GOPATH": "{home}/a:{home}/b"}, "", "a/pkg/mod"),
        ({"GOMODCACHE": "{home}/c", "GOPATH": "{home}/a"}, "", "c"),
        ({}, "# by hand\nGOPATH={home}/d\nnonsense\n", "d/pkg/mod"),
        ({}, "GOMODCACHE={home}/e\nGOPATH={home}/d\n", "e"),
        ({"GOMODCACHE": ""}, "GOMODCACHE={home}/e\n", "e"),
        ({"GOENV": "off"}, "GOMODCACHE={home}/e\n", "go/pkg/mod"),
        ({"GOENV": "{home}/.config/go/env", "XDG_CONFIG_HOME": "/nowhere"}, "GOMODCACHE={home}/e\n", "e"),
    ],
)
def test_the_module_cache_is_where_go_env_says(tmp_path, environment, settings, cache):
    found = program(tmp_path / cache / "golang.org/toolchain@v0.0.1-go1.22.1.linux-amd64/bin/go")
    if settings:
        (tmp_path / ".config/go").mkdir(parents=True)
        (tmp_path / ".config/go/env").write_text(settings.format(home=tmp_path))
    environment = {name: value.format(home=tmp_path) for name, value in environment.items()}
    assert go_commands_on_disk(environment, tmp_path) == [found]

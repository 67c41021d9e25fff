"""Which ``go`` commands lie on this machine: those that will run, or that a running one may hand over to.

Known before the child starts, they can be probed before it starts (``GOTOOLCHAIN`` makes ``go`` execute another).
"""

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

MOST_SETTINGS_BYTES = 64 << 10

# Where distributions, version managers and golang.org/dl put toolchains; a `go` in PATH is often only their shim.
SYSTEM = (
    ("/usr/local/go/bin", "go"),
    ("/usr/lib", "go-*/bin/go"),
    ("/usr/lib", "go/bin/go"),
    ("/usr/lib", "golang/bin/go"),
    ("/snap/go", "*/bin/go"),
)
BELOW_HOME = (
    ("sdk", "*/bin/go"),
    (".goenv/versions", "*/bin/go"),
    (".gvm/gos", "*/bin/go"),
    (".asdf/installs/golang", "*/go/bin/go"),
    (".local/share/mise/installs/go", "*/bin/go"),
)


def go_commands_on_disk(environment: Mapping[str, str], home: Path) -> list[Path]:
    """Executable files that may be a ``go`` command, symbolic links resolved, each file once, PATH's first.

    ``environment`` and ``home`` are those of the user who runs go. Nothing is opened but the user's ``go env -w``
    settings: a script by that name is listed too, and reading it says that it is not a Go program.
    """
    settings = {**_settings(environment, home), **{name: value for name, value in environment.items() if value}}
    found: dict[tuple[int, int], Path] = {}
    for candidate in _candidates(settings, home):
        try:
            path = candidate.resolve(strict=True)
            status = path.stat()
        except (OSError, RuntimeError):  # RuntimeError: a loop of links, before Python 3.13
            continue
        if stat.S_ISREG(status.st_mode) and status.st_mode & 0o111:
            found.setdefault((status.st_dev, status.st_ino), path)
    return list(found.values())


def _candidates(settings: Mapping[str, str], home: Path) -> Iterator[Path]:
    searched = [Path(directory) for directory in settings.get("PATH", "").split(":") if directory.startswith("/")]
    for directory in searched:
        yield directory / "go"
    for directory in searched:  # what GOTOOLCHAIN=path looks for, and how golang.org/dl calls them
        yield from _matches(directory, "go1.*")
    if root := settings.get("GOROOT"):
        yield Path(root, "bin", "go")
    for base, pattern in SYSTEM:
        yield from _matches(Path(base), pattern)
    yield from _matches(_module_cache(settings, home) / "golang.org", "toolchain@*/bin/go")
    for base, pattern in BELOW_HOME:
        yield from _matches(home / base, pattern)


def _matches(base: Path, pattern: str) -> list[Path]:
    try:
        return sorted(base.glob(pattern))
    except OSError:
        return []


def _module_cache(settings: Mapping[str, str], home: Path) -> Path:
    """``go env GOMODCACHE``: its own setting, else in GOPATH's first element, else in the home directory."""
    if cache := settings.get("GOMODCACHE"):
        return Path(cache)
    first = settings.get("GOPATH", "").split(":")[0]
    return (Path(first) if first else home / "go") / "pkg" / "mod"


def _settings(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """What ``go env -w`` has written for this user."""
    if environment.get("GOENV") == "off":
        return {}
    configured = environment.get("XDG_CONFIG_HOME") or home / ".config"
    path = Path(environment.get("GOENV") or Path(configured, "go", "env"))
    try:
        if not path.is_file():
            return {}
        with path.open("rb") as file:
            text = file.read(MOST_SETTINGS_BYTES).decode("utf-8", "replace")
    except (OSError, ValueError):
        return {}
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {name: value for name, _, value in pairs if name in ("GOMODCACHE", "GOPATH", "GOROOT")}

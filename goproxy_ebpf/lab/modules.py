"""Generated Go modules: the same bytes each time for the same numbers, in the shapes that real ones have.

Paths with capitals, major version suffixes, pseudo-versions, and requirements that name older versions than are chosen
in the end. Formats: go.dev/ref/mod ("Module zip files", "Module proxies"), golang.org/x/mod/sumdb/dirhash.
"""

import base64
import hashlib
import io
import zipfile
from collections.abc import Iterable

import msgspec

# Below 1.17 the go command reads the go.mod files of all that a module requires, of older versions too (no "pruning").
MODULE_GO, PROJECT_GO = "1.16", "1.18"
TIME = "2024-01-02T03:04:05Z"
ZIP_TIME = (1980, 1, 1, 0, 0, 0)
HOST = "example.com"


class Module(msgspec.Struct, frozen=True):
    """One module at one version. ``zip`` is its zip file, ``zip_hash`` and ``mod_hash`` its two lines in go.sum."""

    path: str
    version: str
    package: str
    mod: bytes
    zip: bytes
    zip_hash: str
    mod_hash: str

    @property
    def info(self) -> bytes:
        return msgspec.json.encode({"Version": self.version, "Time": TIME})


def generate_modules(count: int, total_bytes: int) -> tuple[list[Module], list[Module]]:
    """``count`` modules whose zip files have about ``total_bytes`` together, the first the largest.

    Also those older versions of them that are only required, never chosen.
    """
    shares = [1 / (number + 1) for number in range(count)]
    chosen: list[Module] = []
    older: list[Module] = []
    for number in range(count):
        path, version, old = _identity(number)
        needs = []
        for child in (2 * number + 1, 2 * number + 2):
            if child < count:
                child_path, child_version, child_old = _identity(child)
                needs.append((child_path, child_old or child_version))
        size = int(total_bytes * shares[number] / sum(shares))
        chosen.append(make_module(path, version, needs, size))
        if old:
            older.append(make_module(path, old, [], 1024))
    return chosen, older


def make_module(path: str, version: str, needs: Iterable[tuple[str, str]], size: int) -> Module:
    """A module with one package, and ``size`` bytes that do not compress."""
    name = "m" + hashlib.sha256(path.encode()).hexdigest()[:8]
    mod = go_mod(path, needs, MODULE_GO)
    source = (
        f"// Package {name} was generated.\npackage {name}\n\n// Size is that of data/blob.bin.\nconst Size = {size}\n"
    )
    files = {
        "LICENSE": b"Generated for tests; no rights are reserved.\n",
        "data/blob.bin": hashlib.shake_128(f"{path}@{version}".encode()).digest(size),
        "go.mod": mod,
        f"{name}.go": source.encode(),
    }
    prefix = f"{path}@{version}/"
    return Module(
        path=path,
        version=version,
        package=name,
        mod=mod,
        zip=_zip(prefix, files),
        zip_hash=dirhash((prefix + file, data) for file, data in files.items()),
        mod_hash=dirhash([("go.mod", mod)]),
    )


def go_mod(path: str, needs: Iterable[tuple[str, str]], go: str) -> bytes:
    required = "".join(f"\t{needed} {version}\n" for needed, version in sorted(needs))
    requirements = f"\nrequire (\n{required})\n" if required else ""
    return f"module {path}\n\ngo {go}\n{requirements}".encode()


def dirhash(files: Iterable[tuple[str, bytes]]) -> str:
    """Go's ``h1:`` hash: of the sorted names and the SHA-256 of each file."""
    lines = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files))
    return "h1:" + base64.b64encode(hashlib.sha256(lines.encode()).digest()).decode()


def escaped(text: str) -> str:
    """A module path or version as it stands in a proxy's URL: ``!c`` for each capital C."""
    return "".join(f"!{character.lower()}" if character.isupper() else character for character in text)


def _identity(number: int) -> tuple[str, str, str]:
    """Path, version, and the older version that others require (empty: there is none)."""
    kind = number % 7
    if kind == 2:
        return f"{HOST}/Lab/Module{number:02}", "v1.4.0", "v1.3.0"
    if kind == 4:
        return f"{HOST}/lab/module{number:02}/v2", "v2.0.1", ""
    if kind == 5:
        return f"{HOST}/lab/module{number:02}", f"v0.0.0-20240102030405-{number:012x}", ""
    return f"{HOST}/lab/module{number:02}", f"v1.{number}.0", f"v1.{number - 1}.0" if number % 3 == 1 else ""


def _zip(prefix: str, files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(prefix + name, ZIP_TIME)
            entry.compress_type = zipfile.ZIP_STORED if name.endswith(".bin") else zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return out.getvalue()

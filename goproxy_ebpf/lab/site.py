"""What a module proxy answers: GOPROXY's protocol, over generated modules or over a module cache on disk.

A site is asked with a Request and gives a Response; it knows no connection. See go.dev/ref/mod#goproxy-protocol.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

import msgspec

from .modules import Module, escaped

PSEUDO = re.compile(r"[.-](0\.)?\d{14}-[0-9a-f]{12}(\+incompatible)?$")
SEMANTIC = re.compile(r"v(\d+)\.(\d+)\.(\d+)(-[0-9A-Za-z.-]+)?(\+incompatible)?$")
TYPES = {
    ".zip": "application/zip",
    ".info": "application/json",
    "@latest": "application/json",
}


class Request(msgspec.Struct, frozen=True):
    """``path`` as it stands in the request; header names in lower case."""

    method: str
    path: str
    authority: str
    headers: tuple[tuple[str, str], ...] = ()


class Response(msgspec.Struct, frozen=True):
    """A response to GET; to HEAD, the same without its body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Site(Protocol):
    def answer(self, request: Request) -> Response: ...


class ModuleSite:
    """Serves modules out of memory."""

    def __init__(self, modules: Iterable[Module]) -> None:
        self._files: dict[str, bytes] = {}
        versions: dict[str, list[str]] = {}
        for module in modules:
            base = f"/{escaped(module.path)}/@v/{escaped(module.version)}"
            self._files |= {f"{base}.info": module.info, f"{base}.mod": module.mod, f"{base}.zip": module.zip}
            versions.setdefault(escaped(module.path), []).append(module.version)
        for path, known in versions.items():
            self._files[f"/{path}/@v/list"] = list_of(known)
            if latest := latest_of(known):
                self._files[f"/{path}/@latest"] = self._files[f"/{path}/@v/{escaped(latest)}.info"]

    def answer(self, request: Request) -> Response:
        if refusal := _refusal(request):
            return refusal
        path = unquote(request.path.partition("?")[0])
        body = self._files.get(path)
        return _not_found(path) if body is None else _found(path, body)


class DirectorySite:
    """Serves a folder like ``GOMODCACHE/cache/download``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.resolve(strict=True)

    def answer(self, request: Request) -> Response:
        if refusal := _refusal(request):
            return refusal
        path = unquote(request.path.partition("?")[0])
        try:
            body = self._body(path)
        except (OSError, ValueError):
            body = None
        return _not_found(path) if body is None else _found(path, body)

    def _body(self, path: str) -> bytes | None:
        target = (self._directory / path.lstrip("/")).resolve()
        if not target.is_relative_to(self._directory):
            return None
        known = [file.name.removesuffix(".info") for file in sorted((target.parent / "@v").glob("*.info"))]
        if target.name == "@latest":
            latest = latest_of(known)
            return (target.parent / "@v" / f"{latest}.info").read_bytes() if latest else None
        if target.parent.name != "@v":
            return None
        if target.name == "list":
            return list_of(file.name.removesuffix(".info") for file in sorted(target.parent.glob("*.info")))
        return target.read_bytes() if target.suffix in (".info", ".mod", ".zip") else None


def list_of(versions: Iterable[str]) -> bytes:
    """The body of ``@v/list``: no pseudo-versions."""
    return "".join(f"{version}\n" for version in versions if not PSEUDO.search(version)).encode()


def latest_of(versions: Iterable[str]) -> str:
    """What ``@latest`` means: the highest release, else the highest pre-release, else the newest pseudo-version."""
    matched = [(SEMANTIC.match(version), version) for version in versions]
    keys = [
        (not found[4], not PSEUDO.search(version), *(int(found[part]) for part in (1, 2, 3)), found[4] or "", version)
        for found, version in matched
        if found
    ]
    return str(max(keys)[-1]) if keys else ""


def _refusal(request: Request) -> Response | None:
    if request.method in ("GET", "HEAD"):
        return None
    return _text(405, f"method {request.method} is not allowed\n", (("allow", "GET, HEAD"),))


def _not_found(path: str) -> Response:
    return _text(404, f"not found: {path}\n")


def _found(path: str, body: bytes) -> Response:
    kind = next((kind for ending, kind in TYPES.items() if path.endswith(ending)), "text/plain; charset=utf-8")
    return Response(200, (("content-type", kind), ("content-length", str(len(body)))), body)


def _text(status: int, text: str, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    body = text.encode()
    fixed = (("content-type", "text/plain; charset=utf-8"), ("content-length", str(len(body))))
    return Response(status, (*fixed, *headers), body)

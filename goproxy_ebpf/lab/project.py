"""A main module that needs every generated module: what the go command is run in."""

import re
from collections.abc import Sequence
from pathlib import Path

from .modules import PROJECT_GO, Module, go_mod

PATH = "example.com/project"


def write_project(directory: Path, chosen: Sequence[Module], older: Sequence[Module]) -> None:
    """``go.mod``, a complete ``go.sum`` (no checksum database is asked), a command and a package.

    Two packages, so that ``go build ./...`` leaves no executable behind. Nothing of the standard library is used: the
    build is done in a second even where nothing is compiled yet.
    """
    (directory / "sizes").mkdir(parents=True, exist_ok=True)
    (directory / "go.mod").write_bytes(go_mod(PATH, [(module.path, module.version) for module in chosen], PROJECT_GO))
    (directory / "go.sum").write_text(go_sum(chosen, older))
    imports = "".join(f'\t"{module.path}"\n' for module in sorted(chosen, key=lambda module: module.path))
    total = " + ".join(f"{module.package}.Size" for module in chosen) or "0"
    sizes = (
        f"// Package sizes adds up what was fetched.\npackage sizes\n\nimport (\n{imports})\n\nconst Total = {total}\n"
    )
    main = f'package main\n\nimport "{PATH}/sizes"\n\nfunc main() {{ println(sizes.Total) }}\n'
    (directory / "sizes/sizes.go").write_text(sizes)
    (directory / "main.go").write_text(main)


def go_sum(chosen: Sequence[Module], older: Sequence[Module]) -> str:
    """Go's order: by path, then by version as numbers, a version's zip before its go.mod."""
    lines = [(module.path, module.version, "", module.zip_hash) for module in chosen]
    lines += [(module.path, module.version, "/go.mod", module.mod_hash) for module in (*chosen, *older)]
    lines.sort(key=lambda line: (line[0], [int(number) for number in re.findall(r"\d+", line[1])[:3]], line[1:3]))
    return "".join(f"{path} {version}{part} {digest}\n" for path, version, part, digest in lines)

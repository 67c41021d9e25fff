"""Starts the command line, with nothing changed for it: not the directory, not the environment.

The interpreter runs isolated (-I), so that neither PYTHONPATH nor the current directory decides what root imports.
From a checkout the package is the checkout's; a copy of this file is what scripts/install puts on the path.
"""

import os
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
FROM_CHECKOUT = Path(CHECKOUT, "goproxy_ebpf").is_dir()


def restore_environment() -> None:
    """Where no locale is set, Python sets LC_CTYPE for its children (PEP 538). Ours must see what was given to us."""
    given = Path("/proc/self/environ").read_bytes().split(b"\0")
    if not any(variable.startswith(b"LC_CTYPE=") for variable in given):
        os.environ.pop("LC_CTYPE", None)


def damaged(module: str) -> str:
    """What to say of an environment that lacks a module. Without its stamp, the next start makes it anew."""
    if not FROM_CHECKOUT:
        remedy = "sudo scripts/install, from a checkout, mends it"
    elif os.access(sys.prefix, os.W_OK):
        Path(sys.prefix, "complete").unlink(missing_ok=True)
        remedy = "run the command again: it will be made anew"
    else:
        remedy = "run the command again with sudo: it will be made anew"
    return f"goproxy-ebpf: {sys.prefix} is damaged (no module {module}): {remedy}"


def run() -> int:
    restore_environment()
    if FROM_CHECKOUT:
        sys.path.insert(0, str(CHECKOUT))
    try:
        from goproxy_ebpf.cli.main import main
    except ModuleNotFoundError as error:
        if FROM_CHECKOUT and (error.name or "").startswith("goproxy_ebpf"):
            raise
        print(damaged(error.name or "?"), file=sys.stderr)
        return 125
    sys.argv[0] = "goproxy-ebpf"
    return main()


if __name__ == "__main__":
    sys.exit(run())

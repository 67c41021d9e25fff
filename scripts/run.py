"""Starts the command line from the checkout, with nothing changed for it: not the directory, not the environment.

The interpreter runs isolated (-I), so that neither PYTHONPATH nor the current directory decides what root imports.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

try:
    from goproxy_ebpf.cli.main import main
except ModuleNotFoundError as error:
    if (error.name or "").startswith("goproxy_ebpf"):
        raise
    complete = Path(sys.prefix, "complete")
    print(f"goproxy-ebpf: {sys.prefix} is damaged (no module {error.name})", file=sys.stderr)
    try:
        complete.unlink()
        print("goproxy-ebpf: run the command again: it will be made anew", file=sys.stderr)
    except OSError:
        print(f"goproxy-ebpf: remove it, and run the command again: sudo rm -r {sys.prefix}", file=sys.stderr)
    sys.exit(125)

sys.argv[0] = "goproxy-ebpf"
sys.exit(main())

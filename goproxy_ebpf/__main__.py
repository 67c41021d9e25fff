"""``python -m goproxy_ebpf`` is ``goproxy-ebpf``."""

import sys

from .cli.main import main

sys.exit(main())

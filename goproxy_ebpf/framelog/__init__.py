"""Log records <-> JSON lines: the frame log that people keep and share.

* ``lines``:   one record <-> one line
* ``writer``, ``reader``: a file of them, plain or zstd
* ``masking``: what must not be in any of them, taken out
* ``keep``:    the last runs' logs in a directory
* ``schema``:  the lines as JSON Schema
"""

from .errors import FrameLogError
from .header import header_line
from .kind import kind_of
from .lines import decode, encode
from .reader import read_log
from .writer import LogWriter

__all__ = ["FrameLogError", "LogWriter", "decode", "encode", "header_line", "kind_of", "read_log"]

"""Capture records <-> pcapng, the file that Wireshark opens as it is.

* ``writer.CaptureWriter``: records -> pcapng, TLS secrets in front
* ``reader.read_capture``:  pcapng or pcap, ours or anybody's -> records
"""

from .errors import CaptureFileError, KeyLogError
from .reader import read_capture
from .writer import CaptureWriter

__all__ = ["CaptureFileError", "CaptureWriter", "KeyLogError", "read_capture"]

"""Packets and egress messages -> ordered bytes per connection and direction, gaps, and the proof of what was seen."""

from .onecopy import OneCopy
from .streams import Streams

__all__ = ["OneCopy", "Streams"]

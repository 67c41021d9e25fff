"""Datagrams to and from port 53 -> DNS look-ups with their times."""

from .lookups import Lookups

__all__ = ["Lookups"]

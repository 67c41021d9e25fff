"""Plaintext of one connection to frames, header lists, windows and exchanges: HTTP/2 (RFC 9113) and HTTP/1.1.

``http`` finds out what is spoken. HTTP/2: ``framing`` cuts, ``reader`` and ``resync`` get over missing bytes, ``order``
puts both directions in order, ``payload`` and ``headers`` read, ``windows`` and ``exchanges`` keep account,
``connection`` joins them. HTTP/1.1: ``http1``.
"""

from .http import Http

__all__ = ["Http"]

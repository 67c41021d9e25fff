"""Ordered bytes and secrets in; plaintext and the facts of the handshake out."""

from .run import Tls

__all__ = ["Tls"]

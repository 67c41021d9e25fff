"""Watch what the real ``go`` command asks its module proxy for, and what it is answered."""

__version__ = "0.1.0"

"""The trace and its verdict, as text for a terminal or as JSON for a program. Formats return; the CLI writes."""

from .document import document, render_json
from .frames import FrameLines
from .text import render

__all__ = ["FrameLines", "document", "render", "render_json"]

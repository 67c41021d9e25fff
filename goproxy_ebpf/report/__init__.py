"""The trace and its verdict, as text for a terminal or as JSON for a program. Formats return; the CLI writes.

* ``text.render``: the report; ``frames.FrameLines``: frames one a line; ``reporter.Reporter``: both, as records come
* ``document.render_json``: the same for programs
"""

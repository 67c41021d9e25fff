"""One rule a file. Each has ``NAME``, ``WORD`` (the verdict that its errors give) and ``find(trace)``; its docstring,
in the sections *Seen*, *Means* and *Do*, is its page in ``explain``.
"""

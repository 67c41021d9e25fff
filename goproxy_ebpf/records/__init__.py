"""The vocabulary: one frozen struct for each thing that crosses a border between folders.

* ``common``:  directions and addresses
* ``capture``: what the kernel and the capture side say (written into capture files)
* ``flow``:    what passes between ``streams``, ``tls``, ``dns`` and ``http2``
* ``log``:     the lines of the frame log

All times are ``…_ns``: integer nanoseconds since the Unix epoch. Nothing here imports anything of ours.
"""

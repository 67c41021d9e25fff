"""A small module proxy on loopback, with generated modules: ``python -m goproxy_ebpf.lab``.

``scripts/demo`` and the tests send a real ``go`` through it, without any network. It imports nothing of ours:
it can be the other side's witness.

* ``modules``: what is served · ``site``: as GOPROXY's protocol · ``project``: a main module that needs all of it
* ``authority``: certificates · ``server``: listening, TLS · ``http2``, ``http1``: the two protocols
* ``frames``: a log of every frame that went over a connection
"""

"""What a request asked a module proxy for, by its path (go.dev/ref/mod#goproxy-protocol)."""

KINDS = ("zip", "mod", "info", "list", "latest", "sumdb", "go-get", "other")
SUFFIXES = {".zip": "zip", ".mod": "mod", ".info": "info"}
DATABASE = ("/lookup/", "/tile/", "/supported", "/latest")
"""What a checksum database answers, asked straight (go.dev/design/25530-sumdb)."""


def kind(path: str) -> str:
    """One of ``KINDS``."""
    path, _, query = path.partition("?")
    if "/sumdb/" in path:
        return "sumdb"
    if "/@v/" in path:
        name = path.rpartition("/@v/")[2]
        if name == "list":
            return "list"
        return SUFFIXES.get("." + name.rpartition(".")[2], "other")
    if path.endswith("/@latest"):
        return "latest"
    if path.startswith(DATABASE[:2]) or path in DATABASE[2:]:
        return "sumdb"
    return "go-get" if "go-get=1" in query.split("&") else "other"

"""Text that Python takes for text and UTF-8 does not."""


def without_surrogates(value: object) -> object:
    r"""``value``, a JSON-like tree, with bytes that were no UTF-8 (PEP 383) as ``\xNN`` in its strings."""
    if isinstance(value, str):
        try:
            return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        except UnicodeEncodeError:
            return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {without_surrogates(name): without_surrogates(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_surrogates(inner) for inner in value]
    return value

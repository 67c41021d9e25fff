"""Credentials in URLs, and in text that may hold URLs, taken out.

What goes: userinfo (``https://***@host``), the value of every query parameter that is not known to be harmless (the
parameter's name stays), fragments, tokens of well-known shapes, and what follows ``Basic`` or ``Bearer``. Where a text
can be read in two ways, the reading that hides more is taken. Time is linear in the text's length.

A secret that is an ordinary segment of a path cannot be told from a name, and stays.
"""

import re

MASK = "***"

_HARMLESS_PARAMETERS = frozenset(("go-get",))
_HARMLESS_VALUE = re.compile(r"[A-Za-z0-9]{0,2}")
_PARAMETER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.\-\[\]$]{0,63}")

_USERINFO = re.compile(r"((?:\\?/){2})[^/?#\s]+@")
_BARE_USERINFO = re.compile(r"^[^/?#\s@]+(?:@[^/?#\s@]+)*@(?=[^/?#\s])")
# "//user:" with no port behind it: a password with an unescaped "/", "?" or "#" in it.
_USER_AND_NO_PORT = re.compile(r"((?:\\?/){2})[^/?#\s@:\[\\]*:(?!\d*(?:[/?#\\,|;\"'<>)]|$))")
_ESCAPED_SCHEME = re.compile(r"%3a(?:%2f|/){2}", re.IGNORECASE)
_QUERY = re.compile(r"\?([^#\s\"'<>]+)")
_SCHEME_AND_CREDENTIALS = re.compile(
    r"\b(basic|bearer)(\s+)(?!(?:realm|scope|service|error|charset)\b\s*=)[^\s,;\"']+", re.IGNORECASE
)
_KNOWN_TOKENS = re.compile(
    r"(?<![\w\-])(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w\-]{16,}|xox[abeoprs]-[\w\-]{10,}"
    r"|A[KS]IA[A-Z0-9]{16}|AIza[\w\-]{30,}|eyJ[\w\-]{8,}\.[\w\-]+(?:\.[\w\-]*)*)"
)
_SUSPICIOUS = re.compile(r"[@?#%/]|basic|bearer|gh[pousr]_|github_pat|glpat|xox|A[KS]IA|AIza|eyJ", re.IGNORECASE)
_WORDS = re.compile(r"(\s+)")


def mask_url(url: str) -> str:
    """A URL, absolute or relative, or ``host:port`` with userinfo before it; the whole of ``url`` is taken for one."""
    masked = _mask_userinfo(url)
    if not masked.startswith("/"):
        masked = _BARE_USERINFO.sub(MASK + "@", masked)
    masked, hash_sign, fragment = masked.partition("#")
    if fragment:
        fragment = MASK
    masked, question_mark, query = masked.partition("?")
    return _KNOWN_TOKENS.sub(MASK, masked) + question_mark + _mask_query(query) + hash_sign + fragment


def mask_path(path: str) -> str:
    """A request target in any of its forms (RFC 9112 §3.2), or HTTP/2's ``:path``."""
    return mask_url(path)


def mask_text(text: str) -> str:
    """Any text: a header's value, an argument, a message."""
    if not _SUSPICIOUS.search(text):
        return text
    masked = "".join(_mask_word(word) for word in _WORDS.split(text))
    return _KNOWN_TOKENS.sub(MASK, _SCHEME_AND_CREDENTIALS.sub(rf"\1\2{MASK}", masked))


def _mask_word(word: str) -> str:
    masked = _mask_userinfo(word)
    if "?" in masked:
        masked = _QUERY.sub(lambda query: "?" + _mask_query(query[1]), masked)
    head, hash_sign, fragment = masked.partition("#")
    # An entity tag may look like W/"abc#1".
    if fragment and ("//" in head or head.startswith("/") or "=" in fragment):
        return head + hash_sign + MASK
    return masked


def _mask_userinfo(word: str) -> str:
    last = word.rfind("@")
    if last > 0 and (user := _USER_AND_NO_PORT.search(word, 0, last)):
        word = word[: user.end(1)] + MASK + word[last:]
    last = word.lower().rfind("%40")
    if last > 0 and (scheme := _ESCAPED_SCHEME.search(word, 0, last)):
        word = word[: scheme.end()] + MASK + word[last:]
    return _USERINFO.sub(rf"\g<1>{MASK}@", word) if "@" in word else word


def _mask_query(query: str) -> str:
    return "".join(part if part in ("&", ";") else _mask_parameter(part) for part in re.split("([&;])", query))


def _mask_parameter(parameter: str) -> str:
    name, _, value = parameter.partition("=")
    if name in _HARMLESS_PARAMETERS and _HARMLESS_VALUE.fullmatch(value):
        return parameter
    if not parameter:
        return ""
    # Without a value, or with "=" alone (base64's padding), the name may be the secret.
    if value.strip("=") and _PARAMETER_NAME.fullmatch(name):
        return f"{name}={MASK}"
    return MASK

"""What a frame log must not hold, taken out of header lists, command lines and environments.

Nothing here can be undone, and nothing depends on the secret: the same input gives the same output. Where it is not
clear whether something is a credential, it is masked. URLs are ``url_masking``'s.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from goproxy_ebpf.records.log import HeaderList

from .url_masking import MASK, mask_path, mask_text, mask_url

__all__ = ["MASK", "mask_argv", "mask_environment", "mask_headers", "mask_labels", "mask_path", "mask_text", "mask_url"]

_SENSITIVE = re.compile(
    r"token|secret|passw|passphrase|passwd|pwd|api[-_.]?key|access[-_.]?key|private[-_.]?key|auth|signature|credential"
    r"|cookie|session|jwt|csrf|xsrf|assertion|(?:^|[-_.])(?:key|pat|sig|pin|otp)$",
    re.IGNORECASE,
)
_LONGEST_NAME = 256
"""Longer ones are nobody's harmless header or flag."""
_SCHEMES = frozenset(
    ("basic", "bearer", "digest", "negotiate", "ntlm", "token", "apikey", "hawk", "aws4-hmac-sha256", "dpop", "mutual")
)
_URL_HEADERS = frozenset((":path", ":authority", "location", "content-location", "referer", "origin", "host"))
_CHALLENGES = frozenset(("www-authenticate", "proxy-authenticate"))
_TOKEN_CHALLENGES = ("negotiate", "ntlm", "kerberos")


def _is_sensitive(name: str) -> bool:
    return len(name) > _LONGEST_NAME or _is_telling(name)


@lru_cache(maxsize=1024)
def _is_telling(name: str) -> bool:
    return _SENSITIVE.search(name) is not None


def mask_headers(headers: HeaderList) -> HeaderList:
    """A header list of HTTP/2 or HTTP/1.1, request or response, trailers too."""
    return tuple((name, _mask_header(name.lower(), value)) for name, value in headers)


def _mask_header(name: str, value: str) -> str:
    if name in _URL_HEADERS:
        return mask_url(value)
    if name in _CHALLENGES:
        scheme, _, rest = value.partition(" ")
        return f"{scheme} {MASK}" if rest and scheme.lower() in _TOKEN_CHALLENGES else mask_text(value)
    if _is_sensitive(name):
        return _keep_scheme(value)
    return mask_text(value)


def _keep_scheme(value: str) -> str:
    """``Basic ***``: the scheme of RFC 9110 §11.4 if it is one that we know, and nothing else."""
    scheme, space, _ = value.strip().partition(" ")
    if not value:
        return value
    return f"{scheme} {MASK}" if space and scheme.lower() in _SCHEMES else MASK


# Command lines -----------------------------------------------------------------------------------------------------

_FLAG = re.compile(r"(--?)([A-Za-z][\w.\-]*)(?:=(.*))?", re.DOTALL)
_NAME_AND_SEPARATOR = re.compile(r"(?<![\w.\-])([\w.\-]+)(\\?[\"'\]]?\s{0,8}[:=]\s{0,8})")
_FLAG_AND_VALUE = re.compile(r"(?<!\S)(--?[A-Za-z][\w.\-]*)(\s+)(?=\S)")
_USER_AND_PASSWORD = re.compile(r"(-u|-U|--user=|--proxy-user=)[^\s:]*:.", re.DOTALL)
_USER_FLAGS = frozenset(("u", "U", "user", "proxy-user"))
# In these, -p is a number of jobs or a package's path.
_P_IS_HARMLESS = frozenset(
    ("go", "compile", "asm", "link", "vet", "cgo", "cover", "gofmt", "gcc", "g++", "cc", "clang", "mkdir", "cp", "make")
)
_P_HOLDS_THE_PASSWORD = frozenset(("sshpass", "mysql", "mysqldump", "mariadb", "htpasswd"))


def mask_argv(argv: Iterable[str]) -> tuple[str, ...]:
    """A command line, program first. As many arguments come out as went in."""
    masked: list[str] = []
    mask_next = ""
    program = ""
    for position, argument in enumerate(argv):
        if position == 0:
            program = argument.rpartition("/")[2]
        if mask_next == "all" or (mask_next == "password" and ":" in argument):
            masked.append(MASK)
            mask_next = ""
            continue
        mask_next = _what_next(argument, program) if position else ""
        masked.append(_mask_argument(argument, program))
    return tuple(masked)


def _what_next(argument: str, program: str) -> str:
    """What a flag that stands alone says of the argument behind it: ``all`` or ``password`` is to be masked."""
    flag = _FLAG.fullmatch(argument)
    if not flag or flag[3] is not None:
        return ""
    name = flag[2]
    if name == "p":
        return "" if program in _P_IS_HARMLESS else "all"
    if _is_sensitive(name):
        return "all"
    return "password" if name in _USER_FLAGS else ""


def _mask_argument(argument: str, program: str) -> str:
    flag = _FLAG.fullmatch(argument)
    if flag and flag[3] and _is_sensitive(flag[2]):
        return f"{flag[1]}{flag[2]}={MASK}"
    if program in _P_HOLDS_THE_PASSWORD and argument.startswith("-p") and len(argument) > 2:
        return "-p" + MASK
    user = _USER_AND_PASSWORD.match(argument)
    if user:
        return user[1] + MASK
    return _mask_named(argument)


def _mask_named(text: str) -> str:
    """Text in which ``name=value``, ``Name: value`` and ``--name value`` may stand: all behind a telling name goes."""
    for found in _NAME_AND_SEPARATOR.finditer(text):
        # In "https://auth.example:443" and "git@token.example:x" it is a host, and what follows no value.
        is_host = ":" in found[2] and text[found.start() - 1 : found.start()] in ("/", "@")
        if _is_sensitive(found[1]) and not is_host and found.end() < len(text):
            return _mask_flags(text[: found.end()]) + _keep_scheme(text[found.end() :])
    return _mask_flags(text)


def _mask_flags(text: str) -> str:
    """The same for flags inside one argument, as in ``sh -c 'curl --token x'``."""
    last_colon = text.rfind(":")
    for found in _FLAG_AND_VALUE.finditer(text):
        what = _what_next(found[1], "")
        if what == "all" or (what == "password" and last_colon >= found.end()):
            return mask_text(text[: found.end()]) + MASK
    return mask_text(text)


# Environments ------------------------------------------------------------------------------------------------------

_PROXIES = frozenset(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"))
_STEERING = frozenset(
    re.findall(
        r"\w+",
        """
    GOPROXY GONOPROXY GOPRIVATE GOSUMDB GONOSUMDB GONOSUMCHECK GOFLAGS GOTOOLCHAIN GOINSECURE GOVCS GOAUTH GODEBUG GOENV
    GOMODCACHE GOCACHE GOCACHEPROG GOPATH GOROOT GOBIN GOOS GOARCH GOWORK GO111MODULE GOTMPDIR GOMAXPROCS GOEXPERIMENT
    GOFIPS140 GOTELEMETRY CGO_ENABLED SSL_CERT_FILE SSL_CERT_DIR
    """,
    )
)
_GOAUTH_METHODS = frozenset(("off", "netrc", "git"))


def steering(environment: Mapping[str, str]) -> dict[str, str]:
    """Only the variables that steer the go command, as they are."""
    return {name: value for name, value in environment.items() if name in _STEERING or name.upper() in _PROXIES}


def mask_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Only the variables that steer the go command, and those without credentials."""
    return {name: _mask_variable(name, value) for name, value in steering(environment).items()}


def _mask_variable(name: str, value: str) -> str:
    if name == "GOAUTH":
        return ";".join(_mask_method(method) for method in value.split(";"))
    if name in ("GOFLAGS", "GOCACHEPROG"):
        return " ".join(mask_argv(("go", *value.split(" ")))[1:])
    if name == "GOPROXY" or name.upper() in _PROXIES:
        return "".join(part if part in (",", "|") else mask_url(part) for part in re.split("([,|])", value))
    return mask_text(value)


def _mask_method(method: str) -> str:
    """One entry of GOAUTH: ``git /dir`` is ``git ***``; a command of the user's is masked whole."""
    words = method.split()
    if not words:
        return ""
    kept = words[0] if words[0] in _GOAUTH_METHODS else MASK
    return f"{kept} {MASK}" if len(words) > 1 and kept != MASK else kept


def mask_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels that the user gave a run; both halves may be anything."""
    return {mask_text(name): MASK if _is_sensitive(name) else _mask_named(value) for name, value in labels.items()}

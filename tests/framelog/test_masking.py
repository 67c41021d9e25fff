"""No credential survives, and what is none does."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goproxy_ebpf.framelog import encode, header_line
from goproxy_ebpf.framelog.masking import (
    mask_argv,
    mask_environment,
    mask_headers,
    mask_labels,
    mask_path,
    mask_text,
    mask_url,
)
from goproxy_ebpf.records.capture import RunHeader

HARMLESS_HEADERS = (
    (":method", "GET"),
    (":scheme", "https"),
    (":authority", "proxy.example:8443"),
    (":path", "/github.com/!azure/go-autorest/@v/v14.2.0+incompatible.zip"),
    (":status", "200"),
    ("user-agent", "GoCommand/1 (+https://go.dev/cmd/go)"),
    ("accept-encoding", "gzip"),
    ("content-type", "application/zip"),
    ("content-length", "8614021"),
    ("etag", 'W/"abc#1"'),
    ("date", "Tue, 24 Nov 2026 18:03:00 GMT"),
    ("x-goog-hash", "crc32c=AAAAAA=="),
    ("x-amz-request-id", "4442587FB7D0A2F9"),
    ("alt-svc", 'h3=":443"; ma=2592000,h3-29=":443"; ma=2592000'),
    ("cache-control", "public, max-age=3600"),
    ("location", "https://storage.example/golang.org/x/text/@v/v0.14.0.zip"),
    ("www-authenticate", 'Basic realm="modules"'),
    ("via", "1.1 varnish, 1.1 squid (squid/5.7)"),
    ("link", "<https://go.dev/x>; rel=next"),
)


def test_what_is_no_credential_stays_as_it_was():
    assert mask_headers(HARMLESS_HEADERS) == HARMLESS_HEADERS


@pytest.mark.parametrize(
    ("name", "value", "masked"),
    [
        ("authorization", "Basic dXNlcjpwYXNz", "Basic ***"),
        ("Authorization", "bearer abc.def", "bearer ***"),
        ("authorization", "abcdef", "***"),
        ("authorization", "mine and yours", "***"),
        ("proxy-authorization", "Negotiate YII", "Negotiate ***"),
        ("cookie", "a=b; c=d", "***"),
        ("set-cookie", "sid=31d4; Path=/", "***"),
        ("x-api-key", "k", "***"),
        ("private-token", "t", "***"),
        ("x-goog-iam-authorization-token", "t", "***"),
        ("x-amz-security-token", "t", "***"),
        ("x-goog-signature", "s", "***"),
        ("x-auth", "Token t", "Token ***"),
        ("x-my-password", "p", "***"),
        ("proxy-authenticate", "Negotiate oRQwEg", "Negotiate ***"),
        (
            "www-authenticate",
            'Bearer realm="https://a:b@h/t?k=v",scope="s"',
            'Bearer realm="https://***@h/t?k=***",scope="s"',
        ),
        (
            "location",
            "https://u:p@h/x?X-Amz-Signature=s&go-get=1&y#f",
            "https://***@h/x?X-Amz-Signature=***&go-get=1&***#***",
        ),
        ("location", "//u:p@h/x", "//***@h/x"),
        ("referer", "http://tok@h", "http://***@h"),
        (":path", "/x?go-get=1", "/x?go-get=1"),
        (":path", "/x?go-get=s3cret", "/x?go-get=***"),
        (":path", "/x?abc", "/x?***"),
        (":path", "/x?c2VjcmV0==", "/x?***"),
        (":path", "http://u:p@h:80/x?sig=1,2;z=3", "http://***@h:80/x?sig=***;z=***"),
        (":authority", "u:p@h:443", "***@h:443"),
        ("x-note", "see https://u:p@h/a?b=c, or ask", "see https://***@h/a?b=*** or ask"),
        ("x-note", "Bearer abcdef", "Bearer ***"),
        ("x-note", "ghp_0123456789abcdefghij", "***"),
        ("report-to", r'{"url":"https:\/\/u:p@h\/r?s=abc"}', r'{"url":"https:\/\/***@h\/r?s=***"}'),
    ],
)
def test_a_header_is_masked(name, value, masked):
    assert mask_headers(((name, value),)) == ((name, masked),)


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("https://proxy.example", "https://proxy.example"),
        ("https://host:8080/mod/@v/list", "https://host:8080/mod/@v/list"),
        ("https://[::1]:8080/mod/@v/list", "https://[::1]:8080/mod/@v/list"),
        ("/sumdb/sum.golang.org/lookup/a.b/c@v1.0.0", "/sumdb/sum.golang.org/lookup/a.b/c@v1.0.0"),
        ("golang.org/x/text@v0.14.0", "golang.org/x/text@v0.14.0"),
        ("https://user:p@ss@h/", "https://***@h/"),
        ("https://user:p/w?x#y@h/", "https://***@h/"),
        ("user:pw@h:3128", "***@h:3128"),
        ("/fetch/https%3A%2F%2Fu%3Apw%40h/x", "/fetch/https%3A%2F%2F***%40h/x"),
        ("*", "*"),
        ("", ""),
    ],
)
def test_a_url_is_masked(url, masked):
    assert (mask_url(url), mask_path(url)) == (masked, masked)


@pytest.mark.parametrize(
    ("argv", "masked"),
    [
        (("go", "test", "-p", "4", "-run", "^TestA$", "./..."), None),
        (("go", "build", "-mod=mod", "-ldflags=-s -w", "example.com/a@v1.2.3"), None),
        (("/usr/lib/go/pkg/tool/linux_amd64/compile", "-o", "a.o", "-p", "main", "-goversion", "go1.26"), None),
        (("git", "ls-remote", "-q", "origin"), None),
        (("go", "run", "x", "--token=abc"), ("go", "run", "x", "--token=***")),
        (("x", "--password", "abc", "y"), ("x", "--password", "***", "y")),
        (("x", "-p", "abc", "y"), ("x", "-p", "***", "y")),
        (("mysql", "-pabc"), ("mysql", "-p***")),
        (
            ("curl", "-u", "u:p", "-H", "Authorization: Bearer t", "https://u:p@h/?a=b"),
            ("curl", "-u", "***", "-H", "Authorization: Bearer ***", "https://***@h/?a=***"),
        ),
        (("curl", "-uu:p", "--user=u:p", "-HX-Api-Key: k"), ("curl", "-u***", "--user=***", "-HX-Api-Key: ***")),
        (
            ("git", "-c", "http.extraHeader=AUTHORIZATION: basic eA=="),
            ("git", "-c", "http.extraHeader=AUTHORIZATION: basic ***"),
        ),
        (("go", "build", "-ldflags=-X main.apiKey=k -X main.v=1"), ("go", "build", "-ldflags=-X main.apiKey=***")),
        (("sh", "-c", "curl --secret s https://h"), ("sh", "-c", "curl --secret ***")),
        (("sh", "-c", "GOPROXY=https://u:p@h,direct go build"), ("sh", "-c", "GOPROXY=https://***@h,direct go build")),
        (("x", '{"token": "abc"}'), ("x", '{"token": ***')),
        (("x", "https://auth.example:443/a"), None),
    ],
)
def test_a_command_line_is_masked(argv, masked):
    assert mask_argv(argv) == (masked or argv)


def test_an_environment_keeps_what_steers_go_and_nothing_else():
    given_variables = {
        "GOPROXY": "https://u:p@a.example/x,https://b.example|direct",
        "GOAUTH": "git /home/u; netrc;/bin/helper --key k;off",
        "GOFLAGS": "-mod=mod -ldflags=-X=main.token=t",
        "GOSUMDB": "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8 https://u:p@h",
        "GOPRIVATE": "*.corp.example,github.com/me",
        "HTTPS_PROXY": "http://u:p@proxy.example:3128",
        "http_proxy": "u:p@proxy.example:3128",
        "no_proxy": "localhost,10.0.0.0/8",
        "SSL_CERT_FILE": "/etc/ssl/ca.pem",
        "GODEBUG": "http2debug=2",
        "GITHUB_TOKEN": "t",
        "GOLD": "x",
        "PATH": "/bin",
    }
    assert mask_environment(given_variables) == {
        "GOPROXY": "https://***@a.example/x,https://b.example|direct",
        "GOAUTH": "git ***;netrc;***;off",
        "GOFLAGS": "-mod=mod -ldflags=-X=main.token=***",
        "GOSUMDB": "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8 https://***@h",
        "GOPRIVATE": "*.corp.example,github.com/me",
        "HTTPS_PROXY": "http://***@proxy.example:3128",
        "http_proxy": "***@proxy.example:3128",
        "no_proxy": "localhost,10.0.0.0/8",
        "SSL_CERT_FILE": "/etc/ssl/ca.pem",
        "GODEBUG": "http2debug=2",
    }


def test_labels_are_masked_by_name_and_by_value():
    assert mask_labels({"job": "7", "ci-token": "t", "url": "https://u:p@h", "note": "password=p"}) == {
        "job": "7",
        "ci-token": "***",
        "url": "https://***@h",
        "note": "password=***",
    }


# A secret: long enough not to be in anything by chance, with what base64, URLs and passwords may hold.
SECRETS = st.from_regex(r"QZ[A-Za-z0-9+_~.\-]{14,40}", fullmatch=True)
PASSWORDS = st.from_regex(r"QZ[A-Za-z0-9!$&'()*+,;=_~.%:@\-]{14,40}", fullmatch=True)

TELLING_NAMES = (
    "cookie",
    "set-cookie",
    "x-token",
    "X-Secret",
    "my-password",
    "x-api-key",
    "x-goog-signature",
    "x-amz-security-token",
    "private-token",
    "job-token",
    "x-csrf",
    "x-session-id",
)
CREDENTIALS = ("Basic {}", "Bearer {}", "{}", "Custom {}")
PLACES_IN_HEADERS = [
    *(("authorization", value) for value in CREDENTIALS),
    *(("Proxy-Authorization", value) for value in CREDENTIALS),
    *(("x-auth-thing", value) for value in CREDENTIALS),
    *((name, "{}") for name in TELLING_NAMES),
    ("cookie", "a=b; sid={}; c=d"),
    ("proxy-authenticate", "NTLM {}"),
    ("x-other", "Bearer {}"),
    ("x-other", "https://h/a?sig={}&b=c"),
    (":path", "/a?X-Amz-Signature={}"),
    (":path", "/a?token={};b"),
    (":path", "/a?{}"),
    (":path", "/a?{}=="),
    (":path", "/a?x=1&{}"),
    ("location", "/a#access_token={}"),
    ("location", "https://h/a?Policy={}&Key-Pair-Id=x"),
    ("link", "<https://h/a?t={}>; rel=next"),
]
PLACES_IN_URLS = [
    "https://{}@h/x",
    "https://u:{}@h/x",
    "https://{}:p@h",
    "http://u:{}@[::1]:80/",
    "//u:{}@h/x",
    "u:{}@h:3128",
    "https://h/x?token={}",
    "https://h/x?a=b&sig={}",
    "https://h/?{}",
    "https://h/x#{}",
    "ssh://u:{}@h/x",
]
PLACES_IN_ARGV = [
    ("x", "--token={}"),
    ("x", "--token", "{}"),
    ("x", "-password", "{}"),
    ("x", "-p", "{}"),
    ("mysql", "-p{}"),
    ("curl", "-u", "u:{}"),
    ("curl", "-uu:{}"),
    ("curl", "--user", "u:{}"),
    ("curl", "--user=u:{}"),
    ("curl", "-H", "Authorization: Bearer {}"),
    ("curl", "-HX-Api-Key: {}"),
    ("curl", "--header=Cookie: a={}"),
    ("git", "-c", "http.extraheader=AUTHORIZATION: basic {}"),
    ("git", "clone", "https://u:{}@h/x"),
    ("env", "GITHUB_TOKEN={}"),
    ("env", "GOPROXY=https://u:{}@h|direct"),
    ("sh", "-c", "x --secret {} y"),
    ("sh", "-c", "curl -u u:{} https://h"),
    ("go", "build", "-ldflags=-X main.token={}"),
    ("x", '{{"token":"{}"}}'),
    ("x", "https://h/a?sig={}"),
    ("x", "h/a?X-Goog-Signature={}"),
]
PLACES_IN_ENVIRONMENT = [
    ("GOPROXY", "https://u:{}@a,https://{}@b|direct"),
    ("GOPROXY", "https://u:{}@a/x?y={}|off"),
    ("GOSUMDB", "n https://u:{}@h"),
    ("HTTPS_PROXY", "http://u:{}@h:1"),
    ("https_proxy", "u:{}@h:1"),
    ("ALL_PROXY", "socks5://u:{}@h"),
    ("GOAUTH", "cmd --k {}"),
    ("GOAUTH", "git {};x {}"),
    ("GOFLAGS", "-x --token={}"),
    ("GOFLAGS", "-ldflags=-X=main.secret={}"),
    ("NETRC", "{}"),
    ("AWS_SECRET_ACCESS_KEY", "{}"),
    ("GONOPROXY", "https://u:{}@h"),
    ("GOCACHEPROG", "x --token {}"),
]


@given(st.sampled_from(PLACES_IN_HEADERS), SECRETS)
def test_no_secret_survives_in_a_header(place, secret):
    """Whatever the secret and wherever in a header list it stands, the masked list does not hold it."""
    name, template = place
    assert secret not in repr(mask_headers(((name, template.format(secret)),)))


@given(st.sampled_from(PLACES_IN_URLS), PASSWORDS)
def test_no_secret_survives_in_a_url_wherever_the_url_stands(place, secret):
    """Whatever the secret, no URL with it as userinfo, parameter or fragment keeps it, alone or in a text."""
    url = place.format(secret)
    core = secret.strip("@")
    assert core not in mask_url(url)
    assert core not in repr(mask_headers((("location", url), ("referer", url), (":path", url))))
    assert core not in mask_url(mask_url(url))
    if "//" in url:
        assert core not in mask_text(f"see {url} there")
        assert core not in repr(mask_argv(("go", "get", url)))


@given(st.sampled_from(PLACES_IN_ARGV), SECRETS)
def test_no_secret_survives_in_a_command_line(place, secret):
    """Whatever the secret and wherever in a command line it stands, the masked one does not hold it."""
    masked = mask_argv([part.format(secret) for part in place])
    assert secret not in repr(masked)
    assert len(masked) == len(place)


@given(st.sampled_from(PLACES_IN_ENVIRONMENT), SECRETS)
def test_no_secret_survives_in_an_environment(place, secret):
    """Whatever the secret and whichever variable holds it, the masked environment does not."""
    name, template = place
    assert secret not in repr(mask_environment({name: template.format(secret, secret)}))


@given(
    st.sampled_from(PLACES_IN_ARGV), st.sampled_from(PLACES_IN_ENVIRONMENT), st.sampled_from(PLACES_IN_URLS), SECRETS
)
def test_no_secret_survives_in_a_header_line(argv, variable, url, secret):
    """Whatever the secret and wherever in a run's header it stands, the log's first line does not hold it."""
    header = RunHeader(
        1,
        "ebpf",
        argv=tuple(part.format(secret) for part in argv),
        directory="/src",
        environment={variable[0]: variable[1].format(secret, secret)},
        labels={"token": secret, "url": "//" + url.format(secret)},
    )
    assert secret.encode() not in encode(header_line(header))


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_can_be_masked(name, value):
    """Any text is masked without an error, by every function."""
    mask_headers(((name, value),))
    mask_argv((name, value, name + "=" + value))
    mask_environment({"GOPROXY": value, "GOAUTH": name, "GOFLAGS": value})
    mask_labels({name: value})
    assert mask_text(mask_text(value)) == mask_text(value)


@pytest.mark.parametrize(
    "piece", ["//a:b", "@", "auth", "%3a//", "eyJ-", "?a=", "basic ", "-u ", "x=", "//", "token:", "-t ", "a.", "\\/"]
)
def test_a_text_made_to_be_slow_is_masked_in_linear_time(piece):
    def seconds(size: int) -> float:
        text = piece * (size // len(piece))
        started = time.process_time()
        mask_text(text)
        mask_url(text)
        mask_argv(("x", text))
        mask_headers(((text, text),))
        return time.process_time() - started

    small = min(seconds(50_000) for _ in range(2))
    assert seconds(400_000) < 24 * max(small, 0.01)

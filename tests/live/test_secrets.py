"""A frame log, and what is made of one, holds no payload and no credential, wherever in a real run they stood."""

import base64
import json
import os
import stat
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest
import zstandard

from goproxy_ebpf.lab.modules import Module, escaped, make_module
from goproxy_ebpf.lab.project import write_project
from goproxy_ebpf.lab.server import Options
from goproxy_ebpf.lab.site import ModuleSite, Request, Response

from .harness import GO, Run, go_environment, program, trace
from .ownlab import Lab, serving

USER, NETRC_USER = "deploy", "netrcuser"


class Planted:
    """Secrets by where they were planted. Each begins and ends with characters that URLs escape."""

    def __init__(self) -> None:
        self.all: dict[str, str] = {}

    def __call__(self, place: str) -> str:
        """The secret of this place: letters and digits alone, so that it stands anywhere."""
        return self.all.setdefault(place, f"Q{len(self.all):02}z{os.urandom(12).hex()}Zq")

    def pointed(self, place: str) -> str:
        """The same, with what has to be escaped in a URL."""
        return self.all.setdefault(place, f"Q{len(self.all):02}z/{os.urandom(12).hex()}+=Zq")


def spellings(secret: str, *with_user: str) -> set[bytes]:
    """As it stands, escaped, in hex, and in base64 whatever stands before and behind it (RFC 4648, at 3 alignments)."""
    raw = secret.encode()
    found = {raw, quote(secret, safe="").encode(), quote(secret).encode(), raw.hex().encode()}
    core = secret[4:-2].strip("/+=").encode()
    found |= {core, core.hex().encode()}
    for shift in range(3):
        for data in (raw, core):
            encoded = base64.b64encode(b"\0" * shift + data)
            whole = encoded[4 if shift else 0 : len(encoded) - 4]
            found |= {whole, whole.translate(bytes.maketrans(b"+/", b"-_"))}
    for user in with_user:
        found.add(base64.b64encode(f"{user}:{secret}".encode()))
    return found


class Vault(ModuleSite):
    """``/a`` has nothing, ``/b`` some modules, ``/c`` the rest; each asks for a credential of its own.

    Zips are elsewhere: a redirect with a signature, as object stores give them.
    """

    def __init__(self, modules: list[Module], planted: Planted) -> None:
        super().__init__(modules)
        self.planted = planted
        self.only_in_c = modules[-1].path
        self.asked_with: set[tuple[str, str]] = set()

    def answer(self, request: Request) -> Response:
        headers = dict(request.headers)
        top, _, rest = request.path.lstrip("/").partition("/")
        self.asked_with.add((top, headers.get("authorization", headers.get("x-private-token", ""))))
        if top == "blobs":
            return self._blob(rest)
        if "authorization" not in headers and "x-private-token" not in headers:
            challenge = f'Basic realm="https://realm:{self.planted("challenge")}@localhost/"'
            return Response(401, (("www-authenticate", challenge), ("content-length", "0")), b"")
        if top == "a" or (top == "b" and escaped(self.only_in_c) in request.path.replace("%21", "!")):
            return self._with_secrets(Response(404, (), f"no: {self.planted('error body')}".encode()))
        plain = super().answer(msgspec.structs.replace(request, path="/" + rest))
        if not rest.endswith(".zip"):
            return self._with_secrets(plain)
        query = f"X-Amz-Signature={quote(self.planted.pointed('signed query'), safe='')}&X-Amz-Credential="
        query += f"{self.planted('credential query')}&sig={self.planted('sig query')}"
        userinfo = f"{self.planted('location user')}:{quote(self.planted.pointed('location password'), safe='')}"
        target = f"https://{userinfo}@{request.authority}/blobs/{rest}?{query}#{self.planted('fragment')}"
        return Response(302, (*self._headers(), ("location", target), ("content-length", "0")), b"")

    def _blob(self, rest: str) -> Response:
        path, _, query = rest.partition("?")
        assert self.planted("sig query") in query
        return self._with_secrets(super().answer(Request("GET", "/" + path, "")))

    def _headers(self) -> tuple[tuple[str, str], ...]:
        return (
            ("set-cookie", f"session={self.planted('cookie')}; Path=/; Secure"),
            ("set-cookie", f"id={self.planted('second cookie')}"),
            ("x-auth-token", self.planted("token header")),
            ("x-amz-security-token", self.planted("security token header")),
            (
                "link",
                f"<https://{USER}:{self.planted('link')}@localhost/next?key={self.planted('link key')}>; rel=next",
            ),
        )

    def _with_secrets(self, response: Response) -> Response:
        return Response(response.status, (*response.headers, *self._headers()), response.body)


@pytest.fixture
def planted() -> Planted:
    return Planted()


def modules(planted: Planted) -> list[Module]:
    """Their go.mod files are DATA in the clear; their zips hold source text that is not compressed."""
    made = []
    for number in range(4):
        module = make_module(f"example.com/private/part{number}", f"v1.{number}.0", [], 40_000)
        mod = module.mod + f"\n// {planted('go.mod text')}\n".encode()
        made.append(msgspec.structs.replace(module, mod=mod))
    return made


def run_with_secrets(folder: Path, lab: Lab, planted: Planted) -> Run:
    helper = folder / "credentials.sh"
    headers = f"X-Private-Token: {planted('goauth header')}\\nAuthorization: Bearer {planted('goauth bearer')}\\n"
    # Silent until go comes back with the URL that it was refused.
    answer = f"printf 'https://127.0.0.1:{lab.port}\\n\\n{headers}\\n'"
    helper.write_text(f'#!/bin/sh\nfor last; do :; done\ncase "$last" in https://127.0.0.1*) {answer} ;; esac\n')
    helper.chmod(0o755)
    netrc = folder / "netrc"
    netrc.write_text(f"machine localhost:{lab.port} login {NETRC_USER} password {planted('netrc')}\n")
    netrc.chmod(0o600)
    password = quote(planted.pointed("userinfo"), safe="")
    environment = go_environment(folder) | {
        "GOPROXY": f"https://{USER}:{password}@localhost:{lab.port}/a,"
        f"https://localhost:{lab.port}/b,https://127.0.0.1:{lab.port}/c",
        "SSL_CERT_FILE": lab.environment["SSL_CERT_FILE"],
        "GOSUMDB": "off",
        "NETRC": str(netrc),
        "GOAUTH": f"netrc;{helper} --token {planted('goauth command')}",
        "GOFLAGS": f"-modcacherw -ldflags=-X=main.apiToken={planted('goflags')} -mod=mod",
        "HTTPS_PROXY": f"http://corp:{planted('proxy')}@proxy.invalid:3128",
        "http_proxy": f"http://corp:{planted('lower-case proxy')}@proxy.invalid:3128",
        "GOINSECURE": f"https://x:{planted('goinsecure')}@example.com",
        "GITHUB_TOKEN": planted("other variable"),
        "AWS_SECRET_ACCESS_KEY": planted("cloud variable"),
    }
    script = (
        f"{GO} mod download all && /bin/true --client-secret {planted('child flag')} -H "
        f"'Authorization: Bearer {planted('child header')}'"
        f" && /bin/true https://{USER}:{planted('child url')}@example.com/x?token={planted('child query')}"
    )
    arguments = [f"--password={planted('flag value')}", "--token", planted("flag argument"), "-u"]
    arguments += [f"{USER}:{planted('user flag')}", f"API_KEY={planted('assignment')}"]
    options = ["-E", f"API_TOKEN={planted('-E')}", "-E", f"ALL_PROXY=socks5://u:{planted('-E proxy')}@proxy.invalid:1"]
    options += ["--label", f"token={planted('label')}", "--label", f"ci=https://u:{planted('label url')}@ci.invalid/1"]
    return trace(
        folder,
        ["sh", "-c", script, "sh", *arguments],
        "--frames",
        *options,
        environment=environment,
        directory=folder / "project",
        write=("run.pcapng", "run.jsonl", "run.jsonl.zst"),
    )


def everything_to_share(run: Run) -> dict[str, bytes]:
    """All that is made of a run but the capture file, as it is read: unpacked."""
    unpack = zstandard.ZstdDecompressor()
    (kept,) = (run.folder / "state").rglob("*.jsonl.zst")
    found = {"frame log": run.log.read_bytes(), "report": run.report.read_bytes()}
    for name, path in (("compressed log", run.folder / "run.jsonl.zst"), ("kept log", kept)):
        with path.open("rb") as file:
            found[name] = unpack.stream_reader(file).read()
    for source in (run.capture, run.log):
        for command in (["report", "--format", "json"], ["report", "--frames"], ["export", "--format", "jsonl"]):
            done = program(command[0], str(source), *command[1:], text=False)
            assert (done.returncode, done.stderr) == (0, b"")
            found[f"{' '.join(command)} of {source.name}"] = done.stdout
    return found


@pytest.mark.parametrize("protocol", ["h2", "http/1.1"])
def test_no_secret_that_was_planted_is_in_anything_to_share(tmp_path: Path, planted: Planted, protocol: str):
    site = Vault(modules(planted), planted)
    write_project(tmp_path / "project", modules(planted), [])
    (tmp_path / "project/go.sum").unlink()
    with serving(tmp_path, site, options=Options(http1=protocol == "http/1.1")) as lab:
        run = run_with_secrets(tmp_path, lab, planted)
    assert run.status == 0, run.stderr[-3000:]

    # All was really said: by go in its requests, by the site in its answers, and we saw the answers.
    basic = {
        name: "Basic " + base64.b64encode(f"{user}:{planted.all[place]}".encode()).decode()
        for name, user, place in (("a", USER, "userinfo"), ("b", NETRC_USER, "netrc"))
    }
    bearer = f"Bearer {planted.all['goauth bearer']}"
    assert site.asked_with >= {("a", basic["a"]), ("b", basic["b"]), ("c", bearer)}
    assert {exchange.protocol for exchange in run.exchanges} == {protocol}
    assert {exchange.status for exchange in run.exchanges} == {200, 302, 401, 404}
    assert sum(exchange.path.startswith("/blobs/") for exchange in run.exchanges) == 4

    shown = everything_to_share(run)
    names = (USER, NETRC_USER)
    found = [
        (place, where)
        for place, secret in planted.all.items()
        for where, text in shown.items()
        if any(spelling in text for spelling in spellings(secret, *names))
    ]
    assert found == []
    # The names of what was masked are still there.
    log = shown["frame log"].decode()
    for masked in ("Basic ***", "Bearer ***", "X-Amz-Signature=***", "https://***@localhost", "set-cookie"):
        assert masked in log, masked


def test_the_capture_file_holds_them_and_is_for_its_owner_alone(tmp_path: Path, planted: Planted):
    site = Vault(modules(planted), planted)
    write_project(tmp_path / "project", modules(planted), [])
    (tmp_path / "project/go.sum").unlink()
    with serving(tmp_path, site) as lab:
        run = run_with_secrets(tmp_path, lab, planted)
    assert stat.S_IMODE(run.capture.stat().st_mode) == 0o600
    held = run.capture.read_bytes()
    assert planted.all["proxy"].encode() in held
    assert b"CLIENT_TRAFFIC_SECRET_0 " in held
    assert planted.all["other variable"].encode() not in held, "a variable that does not steer go is nobody's business"


def test_no_payload_is_in_a_frame_log(tmp_path: Path, planted: Planted):
    """Not one run of 12 bytes of any file that was sent, as it is, in hex, in base64 or as JSON would write it."""
    made = modules(planted)
    write_project(tmp_path / "project", made, [])
    (tmp_path / "project/go.sum").unlink()
    with serving(tmp_path, Vault(made, planted)) as lab:
        run = run_with_secrets(tmp_path, lab, planted)
    assert run.status == 0, run.stderr[-3000:]
    shown = b"\n".join(everything_to_share(run).values())
    for module in made:
        for body in (module.mod, module.zip, module.info):
            for start in range(0, min(len(body), 24_000), 1200):
                piece = body[start : start + 24]
                spelled = [
                    piece,
                    piece.hex().encode(),
                    base64.b64encode(piece)[:-4],
                    json.dumps(piece.decode("latin-1"))[1:-1].encode(),
                ]
                assert not any(len(each) >= 12 and each in shown for each in spelled), (module.path, start)

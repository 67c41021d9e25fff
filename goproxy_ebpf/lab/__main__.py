"""``python -m goproxy_ebpf.lab``: serves until SIGTERM or SIGINT.

When it is ready it prints one line of JSON: ``url``, ``ca`` (empty without TLS), ``project`` (empty with --serve), and
``environment``, what a ``go`` that is to use it needs.
"""

import asyncio
import contextlib
import signal
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO

import click
import msgspec

from .authority import make_authority
from .frames import Journal
from .modules import generate_modules
from .project import write_project
from .server import Options, start_server
from .site import DirectorySite, ModuleSite, Site

MEGABYTE = 1_000_000


@click.command()
@click.option("--port", default=0, show_default="a free one")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where ca.pem and the project go; a temporary folder that goes away by default.",
)
@click.option("--modules", default=28, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--megabytes", default=5.0, show_default=True, type=click.FloatRange(0, 4000))
@click.option(
    "--serve", type=click.Path(path_type=Path, file_okay=False, exists=True), help="A GOMODCACHE/cache/download folder."
)
@click.option("--tls", type=click.Choice(["1.2", "1.3"]), help="Only this version.")
@click.option("--http1", is_flag=True, help="Offer no HTTP/2.")
@click.option("--cleartext", is_flag=True, help="http:// with HTTP/1.1.")
@click.option("--log", type=click.File("wb"), help="Write every frame, one JSON line each.")
def main(
    *,
    port: int,
    directory: Path | None,
    modules: int,
    megabytes: float,
    serve: Path | None,
    tls: str | None,
    http1: bool,
    cleartext: bool,
    log: BinaryIO | None,
) -> None:
    """A module proxy on loopback, with generated modules."""
    options = Options(port=port, tls=tls or "", http1=http1, cleartext=cleartext)
    with contextlib.ExitStack() as stack:
        if directory is None:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="goproxy-lab-")))
            directory.chmod(0o755)  # the go command may run as another user
        directory.mkdir(parents=True, exist_ok=True)
        site: Site
        project = ""
        if serve is not None:
            site = DirectorySite(serve)
        else:
            chosen, older = generate_modules(modules, int(megabytes * MEGABYTE))
            site = ModuleSite([*older, *chosen])
            write_project(directory / "project", chosen, older)
            project = str((directory / "project").resolve())
        try:
            asyncio.run(_serve(site, options, directory.resolve(), project, Journal(log)))
        except OSError as error:
            raise click.ClickException(f"cannot listen: {error}") from None


async def _serve(site: Site, options: Options, directory: Path, project: str, journal: Journal) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    authority = make_authority()
    server = await start_server(site, options, authority, journal)
    environment = {"GOPROXY": server.url}
    ca = ""
    if not options.cleartext:
        ca = str(directory / "ca.pem")
        Path(ca).write_bytes(authority.ca)
        environment["SSL_CERT_FILE"] = ca
    if not project:
        environment["GOSUMDB"] = "off"
    ready = {"url": server.url, "ca": ca, "project": project, "environment": environment}
    sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
    sys.stdout.flush()
    await stopped.wait()
    server.close()
    journal.flush()


if __name__ == "__main__":
    main()

"""``goproxy-ebpf decode``."""

from pathlib import Path

import click

from ..framelog import LogWriter
from .failure import Failure, UsageProblem, because
from .output import complete_files, refuse_same_file
from .source import keylog_option, open_records

SUFFIXES = (".jsonl", ".jsonl.zst")


@click.command()
@click.argument("file", shell_complete=complete_files)
@click.option(
    "-w",
    "--write",
    "target",
    required=True,
    metavar="FILE.jsonl[.zst]",
    shell_complete=complete_files,
    help="The frame log to make.",
)
@keylog_option
def decode(file: str, target: str, keylog: str | None) -> None:
    """Make a frame log, which holds no payload, key or credential, from the capture FILE."""
    if not target.endswith(SUFFIXES):
        raise UsageProblem(f"-w {target}: a frame log's name ends in .jsonl or .jsonl.zst")
    refuse_same_file(target, file, keylog)
    records = open_records(file, keylog)
    try:
        with Path(target).open("wb") as out:
            log = LogWriter(out, compressed=target.endswith(".zst"))
            for record in records:
                log.write(record)
            log.close()
    except OSError as error:
        raise Failure(f"{target}: {because(error)}") from error
    records.check_end()

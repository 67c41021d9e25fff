"""``goproxy-ebpf export``."""

import click

from ..export.formats import FORMATS, ExportError, load
from .failure import Failure
from .output import output_option, refuse_same_file, sink
from .source import file_argument, keylog_option, named, open_records


@click.command()
@file_argument
@keylog_option
@click.option("--format", "form", type=click.Choice(list(FORMATS)), required=True, help="Format to write.")
@output_option
def export(file: str | None, keylog: str | None, form: str, output: str | None) -> None:
    """Write FILE, a capture or a frame log, in another program's format; without FILE the newest kept run."""
    name = named(file)
    refuse_same_file(output, name, keylog)
    records = open_records(name, keylog)
    try:
        with sink(output) as out:
            for data in load(form).render(iter(records)):
                out.data(data)
    except ExportError as error:
        raise Failure(f"{name}: {error}") from error
    records.check_end()

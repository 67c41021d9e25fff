"""``goproxy-ebpf report``."""

import sys

import click

from ..report.document import render_json
from ..report.reporter import Reporter
from .failure import UsageProblem
from .output import color_option, output_option, refuse_same_file, shape, sink
from .source import file_argument, keylog_option, named, open_records


@click.command()
@file_argument
@keylog_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Form of the report.",
)
@output_option
@click.option("--frames", is_flag=True, help="Print every frame above the report, one a line.")
@click.option("--requests", "all_requests", is_flag=True, help="List every request instead of the slowest.")
@color_option
def report(
    file: str | None, keylog: str | None, form: str, output: str | None, color: str, *, frames: bool, all_requests: bool
) -> None:
    """Print the report of FILE, a capture or a frame log; without FILE of the newest kept run."""
    if form == "json" and (frames or all_requests):
        raise UsageProblem("--frames and --requests go with --format text: JSON has every request, export every frame")
    name = named(file)
    refuse_same_file(output, name, keylog)
    to_file = output is not None and output != "-"
    look = shape(None if to_file else sys.stdout, color)
    reporter = Reporter(look.width, colour=look.colour, frames=frames, all_requests=all_requests)
    records = open_records(name, keylog)
    with sink(output) as out:
        for record in records:
            text = reporter.feed(record)
            if text:
                out.text(text)
        if form == "json":
            out.data(render_json(reporter.trace))
        else:
            out.text(reporter.finish())
    records.check_end()

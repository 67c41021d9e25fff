"""A run's header, as the frame log may show it."""

from goproxy_ebpf.records.capture import RunHeader
from goproxy_ebpf.records.log import Header

from .masking import mask_argv, mask_environment, mask_labels, mask_text


def header_line(header: RunHeader) -> Header:
    """Command line, environment, directory and labels are masked."""
    return Header(
        time_ns=header.at_ns,
        source=header.source,
        tool_version=header.tool_version,
        run_id=header.run_id,
        argv=mask_argv(header.argv),
        directory=mask_text(header.directory),
        user=header.user,
        environment=mask_environment(header.environment),
        go_version=header.go_version,
        kernel=header.kernel,
        machine=header.machine,
        egress_hook=header.egress_hook,
        hooks=header.hooks,
        labels=mask_labels(header.labels),
    )

"""CI skips nothing in silence."""

import os
import re
from collections.abc import Generator

import pytest

EXPECTED_SKIPS: dict[str, str] = {
    r"tests/live/test_real_proxy\.py::": r"^the module proxy cannot be reached: ",
}
"""Skips that CI accepts: a regular expression for the test's id -> one for the reason that it gives."""

in_ci = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[in_ci] = os.environ.get("CI", "").lower() in ("1", "true")


def unexpected_skip(nodeid: str, longrepr: object) -> str | None:
    """The reason of a skip that EXPECTED_SKIPS does not list. ``longrepr`` is pytest's (file, line, reason)."""
    reason = str(longrepr[2] if isinstance(longrepr, tuple) else longrepr).removeprefix("Skipped: ")
    for test, why in EXPECTED_SKIPS.items():
        if re.search(test, nodeid) and re.search(why, reason):
            return None
    return reason


def fail_if_skipped(config: pytest.Config, report: pytest.TestReport | pytest.CollectReport) -> None:
    if not config.stash[in_ci] or report.outcome != "skipped" or hasattr(report, "wasxfail"):
        return
    reason = unexpected_skip(report.nodeid, report.longrepr)
    if reason is not None:
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: a skip that CI does not expect (tests/conftest.py): {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    fail_if_skipped(item.config, report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    fail_if_skipped(collector.config, report)
    return report

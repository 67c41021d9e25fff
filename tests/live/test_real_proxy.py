"""A project of some size through the module proxy that is set up here, with the checksum database: go's own log agrees.

Asked for only where a proxy answers; its name is nobody's business, so no assertion shows one.
"""

import functools
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from .harness import GO, Run, go_environment, trace
from .test_against_go import assert_same_as_go, assert_whole

REACHED_WITHIN_S = 20
ASK = "rsc.io/quote@v1.5.2"
"""A few hundred bytes."""

# Requirements that never change: what is fetched for them does not either.
PROJECT = "module example.com/project\n\ngo 1.18\n\nrequire github.com/gin-gonic/gin v1.10.0\n"
REQUESTS, ZIPS, BYTES = 175, 30, 56_000_000
ATTEMPTS = 2
"""A proxy's bad minute is not ours: go itself may fail once."""


def environment(folder: Path, **more: str) -> dict[str, str]:
    """What go is set up with here, wherever that is written, and a module cache of its own."""
    asked = ("GOPROXY", "GOSUMDB")
    done = subprocess.run([GO, "env", *asked], capture_output=True, text=True, check=True)
    return go_environment(folder, **dict(zip(asked, done.stdout.splitlines(), strict=True)), **more)


@functools.cache
def why_not() -> str:
    """Why the module proxy cannot be asked from here; empty if it can. One tiny module is asked for, once a session."""
    command = [GO, "mod", "download", ASK]
    with tempfile.TemporaryDirectory() as scratch:
        settings = dict(os.environ) | environment(Path(scratch))
        try:
            done = subprocess.run(
                command, cwd=scratch, env=settings, capture_output=True, timeout=REACHED_WITHIN_S, check=False
            )
        except subprocess.TimeoutExpired:
            return f"the module proxy cannot be reached: no answer within {REACHED_WITHIN_S} s"
    return "" if done.returncode == 0 else "the module proxy cannot be reached: go cannot fetch a small module"


def download(folder: Path) -> Run:
    (folder / "project").mkdir(parents=True)
    (folder / "project/go.mod").write_text(PROJECT)
    settings = environment(folder, GODEBUG="http2debug=2")
    done = trace(folder, [GO, "mod", "download", "all"], environment=settings, directory=folder / "project")
    subprocess.run([GO, "clean", "-modcache"], env=dict(os.environ) | settings, cwd=folder, check=True)
    return done


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One download for all tests: the proxy is not ours."""
    if reason := why_not():
        pytest.skip(reason)
    for attempt in range(ATTEMPTS):
        done = download(tmp_path_factory.mktemp("real") / str(attempt))
        if done.status == 0:
            break
    return done


@pytest.mark.network
def test_every_frame_of_a_real_download_is_the_one_that_go_logged(run: Run):
    assert run.status == 0
    assert_same_as_go(run)
    assert_whole(run)


@pytest.mark.network
def test_the_real_download_has_its_requests_and_its_bytes(run: Run):
    assert {exchange.state for exchange in run.exchanges} == {"complete"}
    assert {exchange.status for exchange in run.exchanges} == {200}
    zips = [exchange for exchange in run.exchanges if exchange.path.endswith(".zip")]
    from_the_database = [exchange for exchange in run.exchanges if exchange.path.startswith("/sumdb/")]
    assert (len(run.exchanges), len(zips), len(from_the_database) > ZIPS) == (REQUESTS, ZIPS, True)
    assert sum(exchange.response_bytes for exchange in zips) > BYTES


@pytest.mark.network
def test_most_of_a_real_download_is_decoded_while_it_goes_on(run: Run):
    assert run.statistics["frames"] == len(run.frames)
    assert run.statistics["frames_before_exit"] >= 0.9 * len(run.frames), run.statistics

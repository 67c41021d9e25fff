"""The same run, by us and by go's own log of its frames: nothing more, nothing less, nothing else."""

import shutil
from pathlib import Path

import pytest

from . import http2debug
from .conftest import Proxy
from .harness import GO, Run, go_environment, trace


def copied(project: Path, folder: Path) -> Path:
    """The project, in a place of its own: go may rewrite go.sum."""
    target = folder / "project"
    shutil.copytree(project, target)
    return target


def assert_same_as_go(run: Run, *logs: str) -> None:
    """Every framer of go's log is one of our connections, frame by frame. ``logs``: one of each go, if not stderr."""
    framers = [frames for log in logs or (run.stderr,) for frames in http2debug.parse(log).values() if frames]
    assert framers, (logs or (run.stderr,))[0][-2000:]
    ours = [[http2debug.ours(frame) for frame in run.frames_of(each.conn)] for each in run.connections if each.frames]
    if len(framers) > 1:  # go's lines of several connections interleave: header lists are then nobody's for certain
        framers = [[frame._replace(headers=None) for frame in frames] for frames in framers]
        ours = [[frame._replace(headers=None) for frame in frames] for frames in ours]
    for frames in framers:
        differences = [http2debug.difference(frames, mine) for mine in ours]
        assert "" in differences, differences
        # Of those that agree, the longest: a connection that was thrown away begins like any other.
        same = [number for number, each in enumerate(differences) if not each]
        mine = ours.pop(max(same, key=lambda number: len(ours[number])))
        print(*(http2debug.left_over(frames, mine) or ["no frame that only one side knows"]), sep="\n")
    # go opens connections in parallel and throws away the losers: what such a server had sent already, go never reads.
    assert [frame for mine in ours for frame in mine if frame.dir == "send"] == []


def assert_whole(run: Run, *, reset_in_flight: bool = False) -> None:
    """Nothing was lost, and both views of what was sent agree; all of it left, but for what a reset threw away."""
    assert run.gaps == []
    assert {name: value for name, value in run.summary.counters.items() if value} == {}
    assert (run.summary.lost_records, run.summary.lost_bytes, run.summary.missing_bytes) == (0, 0, 0)
    assert run.summary.undecryptable_bytes == 0
    for connection in run.connections:
        if not connection.frames:
            continue
        sent, received = connection.sent, connection.received
        assert (sent.missing, received.missing) == (0, 0)
        assert sent.matches is True
        assert sent.offered == sent.accepted == sent.span
        assert sent.on_wire == sent.span - (sent.unsent if reset_in_flight else 0)
        assert received.on_wire == received.span


def download(folder: Path, proxy: Proxy, *options: str, go: str = GO, **environment: str) -> Run:
    project = copied(proxy.project, folder)
    settings = go_environment(folder) | proxy.environment | {"GOSUMDB": "off", "GODEBUG": "http2debug=2"} | environment
    return trace(folder, [go, "mod", "download", "all"], *options, environment=settings, directory=project)


@pytest.mark.parametrize("tx", ["tcp_sendmsg", "sk_msg"])
def test_every_frame_is_the_one_that_go_logged(tmp_path: Path, proxy: Proxy, tx: str):
    run = download(tmp_path, proxy, "--tx", tx)
    assert run.status == 0, run.stderr[-2000:]
    assert run.header.egress_hook == tx
    assert_same_as_go(run)
    assert_whole(run)
    assert {exchange.state for exchange in run.exchanges} == {"complete"}

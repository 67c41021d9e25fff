"""nghttpd is the module proxy of a real download: what its own log says of the frames is what we say."""

from pathlib import Path

import pytest

from . import nghttpd
from .harness import GO, Run, go_environment, trace
from .test_against_go import assert_whole, copied

ON_THE_WAY = 8
"""Frames of a connection's end: what one side sent last the other need not have taken, when go ends."""


def download(folder: Path, server: nghttpd.Server, *options: str) -> Run:
    settings = go_environment(folder) | server.environment
    project = copied(server.project, folder)
    return trace(folder, [GO, "mod", "download", "all"], *options, environment=settings, directory=project)


def difference(theirs: list[nghttpd.Seen], own: list[nghttpd.Seen]) -> str:
    """Each direction in its order, whole but for what was on the way at the end; empty if nothing differs.

    nghttpd is silent of credit for a stream whose END_STREAM it has sent: that alone may be missing from its log.
    """
    ended = {frame.stream for frame in theirs if frame.type == "DATA" and frame.flags & nghttpd.FLAGS["END_STREAM"]}
    for way in ("send", "recv"):
        said = [frame for frame in theirs if frame.dir == way]
        at, unknown = 0, []
        for got in (frame for frame in own if frame.dir == way):
            if at < len(said) and got == said[at]:
                at += 1
            elif not (got.type == "WINDOW_UPDATE" and got.stream in ended):
                if at < len(said):
                    return f"{way} {at}: nghttpd says {said[at]}, we say {got}"
                unknown.append(got)
        if max(len(said) - at, len(unknown)) > ON_THE_WAY:
            return f"{way}: nghttpd logged {len(said)} frames, we have {at} of them and {len(unknown)} more"
    return ""


@pytest.mark.parametrize("tx", ["tcp_sendmsg", "sk_msg"])
def test_nghttpd_logged_the_frames_that_we_saw_from_the_other_side(tmp_path: Path, tx: str):
    with nghttpd.running_nghttpd(tmp_path / "server", modules=12, size=16_000_000) as server:
        run = download(tmp_path / "run", server, "--tx", tx)
    assert run.status == 0, run.stderr[-2000:]
    assert_whole(run)
    theirs = [frames for frames in server.connections() if any(frame.dir == "send" for frame in frames)]
    own = [[nghttpd.ours(frame) for frame in run.frames_of(each.conn)] for each in run.connections if each.frames]
    own = [frames for frames in own if any(frame.dir == "send" for frame in frames)]
    assert len(theirs) == len(own)
    logged = [frame for frames in theirs for frame in frames if frame.type == "WINDOW_UPDATE"]
    assert {bool(frame.stream) for frame in logged} == {False, True}
    for frames in own:
        differences = [difference(said, frames) for said in theirs]
        assert "" in differences, differences
        del theirs[differences.index("")]
    assert {frame.type for frames in own for frame in frames} >= {"SETTINGS", "WINDOW_UPDATE", "HEADERS", "DATA"}
    assert {exchange.status for exchange in run.exchanges} == {200}
    assert {exchange.state for exchange in run.exchanges} == {"complete"}
    zips = [exchange for exchange in run.exchanges if exchange.path.endswith(".zip")]
    assert (len(zips), sum(each.response_bytes for each in zips) > 16_000_000) == (12, True)

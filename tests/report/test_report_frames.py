"""``--frames``: one line a frame, with all that a frame can carry, and harmless."""

from goproxy_ebpf.records.log import Frame, WindowChange
from goproxy_ebpf.report.frames import FrameLines
from goproxy_ebpf.report.reporter import Reporter
from goproxy_ebpf.report.text import render
from tests.gin_like import MS, START, fold, records


def lines(*frames: Frame, colour: bool = False) -> list[str]:
    printer = FrameLines(START, colour=colour)
    return [line for frame in frames for line in printer.lines(frame)]


def test_every_kind_of_frame_has_its_line():
    window = WindowChange((65535, 1073807359), (10, 20))
    headers = ((":method", "GET"), (":path", "/x"))
    assert lines(
        Frame(1, START + 1234567, 2, "send", 0, "SETTINGS", 12, settings={"ENABLE_PUSH": 0, "0xff": 7}),
        Frame(2, START + 2 * MS, 2, "send", 0, "WINDOW_UPDATE", 4, increment=1073741824, window=window),
        Frame(3, START + 3 * MS, 2, "send", 1, "HEADERS", 41, ("END_STREAM", "END_HEADERS"), headers=headers),
        Frame(4, START + 61_000 * MS, 2, "recv", 1, "DATA", 16384, ("PADDED",), padding=9),
        Frame(5, START, 2, "recv", 1, "RST_STREAM", 4, error="INTERNAL_ERROR"),
        Frame(6, START, 2, "recv", 0, "GOAWAY", 8, error="NO_ERROR", last_stream=1999),
        Frame(7, START, 2, "recv", 0, "PING", 8, ("ACK",), data="0102030405060708"),
        Frame(8, START, 2, "recv", 3, "PUSH_PROMISE", 8, promised_stream=4, priority=(1, 16, True), note="odd"),
        Frame(9, START - MS, 2, "recv", 3, "0xfa", 8, confidence="gap"),
    ) == [
        "      1    +0.001235  2 send →     0  SETTINGS          12",
        "                                ENABLE_PUSH = 0",
        "                                0xff = 7",
        "      2    +0.002000  2 send →     0  WINDOW_UPDATE      4 increment=1073741824 "
        "connection=65535→1073807359 stream=10→20",
        "      3    +0.003000  2 send →     1  HEADERS           41 END_STREAM END_HEADERS",
        "                                :method: GET",
        "                                :path: /x",
        "      4   +61.000000  2 recv ←     1  DATA           16384 PADDED padding=9",
        "      5    +0.000000  2 recv ←     1  RST_STREAM         4 error=INTERNAL_ERROR",
        "      6    +0.000000  2 recv ←     0  GOAWAY             8 last_stream=1999 error=NO_ERROR",
        "      7    +0.000000  2 recv ←     0  PING               8 ACK data=0102030405060708",
        "      8    +0.000000  2 recv ←     3  PUSH_PROMISE       8 promised=4 depends=1 weight=16 exclusive (odd)",
        "      9    -0.001000  2 recv ←     3  0xfa               8 [gap]",
    ]


def test_hostile_headers_and_names_reach_no_terminal():
    evil = "\x1b[2J\r\n\x9b"
    frame = Frame(
        1,
        START,
        1,
        evil,
        1,
        evil,
        1,
        (evil,),
        ((evil, evil),),
        {evil: 1},
        error=evil,
        data=evil,
        confidence=evil,
        note=evil,
    )
    assert all(line.isprintable() for line in lines(frame))


def test_the_reporter_gives_frames_as_they_come_and_the_report_below():
    reporter = Reporter(80, frames=True)
    text = [reporter.feed(record) for record in records()]
    frames = [record for record in records() if isinstance(record, Frame)]
    assert "".join(text).splitlines() == lines(*frames)
    assert text[0] == ""
    assert reporter.finish() == "\n" + render(fold(records()), 80)


def test_the_reporter_without_frames_gives_the_report_alone():
    reporter = Reporter(80)
    assert {reporter.feed(record) for record in records()} == {""}
    assert reporter.finish() == render(fold(records()), 80)

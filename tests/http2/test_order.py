"""One direction's bytes may be decoded long after the other's: windows and exchanges come out as if they had not."""

import pytest

from goproxy_ebpf.http2 import order
from goproxy_ebpf.http2.names import PREFACE
from goproxy_ebpf.records.flow import Plaintext
from goproxy_ebpf.records.log import Exchange, Frame

from .talk import RECV, SEND, Talk, frame, run
from .test_frames import long_talk


def by_time(records: list) -> list:
    return sorted(records, key=lambda each: (each.time_ns, isinstance(each, Exchange)))


@pytest.mark.parametrize("client", [SEND, RECV])
@pytest.mark.parametrize("first", [SEND, RECV])
@pytest.mark.parametrize("after", [0, 1, 5, 1000])
def test_a_direction_decoded_late_changes_nothing(client, first, after):
    events = long_talk(client).events
    assert len(events) > 15
    ahead = [event for event in events if event.direction is first]
    late = [event for event in events if event.direction is not first]
    if after == 1000:  # nothing comes after the backlog
        order_of_arrival = ahead + late
    else:  # the last ones come live again, in turn
        live = events[-after:] if after else []
        order_of_arrival = [each for each in ahead + late if each not in live] + live
    assert by_time(run(order_of_arrival)) == by_time(run(events))


def test_a_server_whose_client_is_never_decoded_is_given_out_at_the_end_without_windows():
    talk = Talk().start()
    talk.get()
    events = [event for event in talk.events if event.direction is RECV]
    expected = [each for each in run(talk.events) if isinstance(each, Frame) and each.dir == "recv"]
    found = [each for each in run(events) if isinstance(each, Frame)]
    assert [(each.time_ns, each.type, each.headers) for each in found] == [
        (each.time_ns, each.type, each.headers) for each in expected
    ]
    assert {each.window for each in found} == {None}


def test_a_client_whose_server_is_never_decoded_is_given_out_at_the_end():
    talk = Talk().start()
    talk.get()
    events = [event for event in talk.events if event.direction is SEND]
    expected = [each for each in run(talk.events) if isinstance(each, Frame) and each.dir == "send"]
    assert [each for each in run(events) if isinstance(each, Frame)] == expected


def test_what_waits_is_bounded(monkeypatch):
    monkeypatch.setattr(order, "MAX_WAITING", 10)
    events = [Plaintext(RECV, 10, frame(4, 0, 0) + frame(0, 0, 1, b"x") * 8)]
    assert [record for record in run(events) if isinstance(record, Frame)]
    from goproxy_ebpf.http2 import Http

    http = Http(1)
    assert list(http.feed(events[0])) == []
    assert len(list(http.feed(Plaintext(RECV, 11, frame(0, 0, 1, b"x") * 3)))) == 12
    late = list(http.feed(Plaintext(SEND, 1, PREFACE + frame(4, 0, 0) + frame(8, 0, 0, b"\0\0\0\1"))))
    assert [(each.type, each.window) for each in late] == [("SETTINGS", None), ("WINDOW_UPDATE", None)]

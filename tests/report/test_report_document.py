"""The report for programs: its keys are a promise, its numbers are those of the text."""

import json

import pytest

from goproxy_ebpf.report.document import render_json
from goproxy_ebpf.report.kinds import kind
from goproxy_ebpf.report.text import render
from tests.gin_like import HOST, MS, START, fold, header, records
from tests.report.test_report_text import HOSTILE, hostile


def test_the_top_of_the_document_is_as_documented():
    document = json.loads(render_json(fold(records())))
    assert list(document) == [
        "schema",
        "verdict",
        "sentence",
        "findings",
        "run",
        "totals",
        "proof",
        "gaps",
        "processes",
        "connections",
        "dns",
        "requests",
    ]
    assert (document["schema"], document["verdict"]) == ("goproxy-ebpf-report/1", "HEALTHY")


def test_totals_are_those_of_the_run():
    totals = json.loads(render_json(fold(records())))["totals"]
    assert totals == {
        "requests": 175,
        "response_bytes": sum(getattr(record, "response_bytes", 0) for record in records()),
        "endings": {"answered": 172, "not found": 3},
        "kinds": {"zip": 28, "mod": 54, "info": 28, "list": 3, "sumdb": 62},
        "frames": 7386,
        "frames_by_type": [
            {"dir": "recv", "type": "DATA", "count": 3580},
            {"dir": "recv", "type": "HEADERS", "count": 175},
            {"dir": "recv", "type": "SETTINGS", "count": 2},
            {"dir": "recv", "type": "WINDOW_UPDATE", "count": 1},
            {"dir": "send", "type": "HEADERS", "count": 175},
            {"dir": "send", "type": "SETTINGS", "count": 2},
            {"dir": "send", "type": "WINDOW_UPDATE", "count": 3451},
        ],
        "packets": 6223,
        "lost_records": 0,
        "lost_bytes": 0,
        "missing_bytes": 0,
        "undecryptable_bytes": 0,
        "counters": {"ring_full": 0},
    }


def test_a_request_is_told_whole():
    request = json.loads(render_json(fold(records())))["requests"][1]
    started = request.pop("started_at_ns")
    assert START < started < START + 1000 * MS
    assert request == {
        "n": 2,
        "conn": 2,
        "stream": 3,
        "protocol": "h2",
        "method": "GET",
        "authority": HOST,
        "path": "/github.com/bytedance/sonic/@v/v1.0.0.mod",
        "kind": "mod",
        "status": 200,
        "state": "complete",
        "ending": "answered",
        "error": "",
        "reset_by": "",
        "request_bytes": 0,
        "response_bytes": 600,
        "content_length": 600,
        "first_byte_ns": 18 * MS,
        "total_ns": 18 * MS + 90_000,
        "frames": [9, 11],
    }


def test_a_connection_has_settings_and_windows_of_both_sides():
    connections = json.loads(render_json(fold(records())))["connections"]
    assert {one["conn"]: one["thrown_away"] for one in connections} == {1: True, 3: True, 4: True, 2: False}
    used = next(one for one in connections if one["conn"] == 2)
    assert used["settings_sent"]["first"]["INITIAL_WINDOW_SIZE"] == 4194304
    assert used["go_grants"]["connection"]["initial"] == 1073807359
    assert used["go_grants"]["streams"]["225"]["lowest"] == 0
    assert used["tls_handshake_ns"] == 41 * MS


def test_hostile_text_is_escaped_by_json():
    text = render_json(fold(hostile(HOSTILE)))
    assert {byte for byte in text if byte < 0x20} == {0x0A}
    assert json.loads(text)["dns"][0]["name"] == HOSTILE.replace("\ud800", r"\ud800")


def test_bytes_that_are_no_utf_8_are_written_as_in_a_frame_log():
    argv = ("go", "caf\udce9")
    trace = fold([header(argv=argv)])
    assert json.loads(render_json(trace))["run"]["argv"] == ["go", r"caf\xe9"]
    read_back = fold([header(argv=("go", r"caf\xe9"))])
    assert render(trace, 80) == render(read_back, 80)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/github.com/!data!dog/x/@v/v1.0.0.zip", "zip"),
        ("/m/@v/v1.0.0.mod", "mod"),
        ("/m/@v/v1.0.0.info", "info"),
        ("/m/@v/list", "list"),
        ("/m/@v/v1.0.0.ziphash", "other"),
        ("/m/@latest", "latest"),
        ("/sumdb/sum.golang.org/lookup/m@v1.0.0", "sumdb"),
        ("/sumdb/sum.golang.org/tile/8/0/x001/002.p/3", "sumdb"),
        ("/lookup/m@v1.0.0", "sumdb"),
        ("/tile/8/0/001", "sumdb"),
        ("/supported", "sumdb"),
        ("/latest", "sumdb"),
        ("/x/y?go-get=1", "go-get"),
        ("/", "other"),
        ("", "other"),
    ],
)
def test_a_path_says_what_was_asked_for(path, name):
    assert kind(path) == name

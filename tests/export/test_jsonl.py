"""JSON lines: what goes in comes out, findings before the summary."""

import io
import json

from goproxy_ebpf.export.formats import FORMATS, load
from goproxy_ebpf.framelog import encode, read_log
from goproxy_ebpf.records.log import Header, Summary
from tests.gin_like import START, changed, records


def lines(found) -> list[bytes]:
    return list(load("jsonl").render(found))


def test_every_record_is_a_line_as_in_the_log():
    assert lines(records()) == [encode(record) for record in records()]


def test_findings_stand_before_the_summary():
    found = [Header(START), Summary(START + 1, START, 0)]
    first, finding, last = lines(found)
    assert (first, last) == (encode(found[0]), encode(found[1]))
    assert json.loads(finding) == {
        "kind": "finding",
        "rule": "no-proxy-asked",
        "severity": "error",
        "sentence": "no go command ran, and nothing that ran has Go's TLS in it",
        "evidence": [],
        "advice": "Trace the go command itself: … trace -- go build ./...",
    }


def test_a_log_without_a_summary_ends_in_its_findings():
    found = changed(records(), summary=lambda _: None)
    assert [json.loads(line)["kind"] for line in lines(found)[-2:]] == ["process", "finding"]


def test_an_export_is_read_back_as_the_log_that_it_was_made_of():
    found = [Header(START), Summary(START + 1, START, 0)]
    exported = b"".join(lines(found))
    assert b'"kind":"finding"' in exported
    assert list(read_log(io.BytesIO(exported))) == found


def test_lines_come_as_the_records_do():
    taken = []

    def slowly():
        for record in records():
            taken.append(record)
            yield record

    next(load("jsonl").render(slowly()))
    assert len(taken) == 1


def test_every_format_of_the_table_can_be_loaded():
    assert all(callable(load(name).render) for name in FORMATS)

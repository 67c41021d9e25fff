"""A record is a line, and the line is the record."""

import json
import subprocess
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goproxy_ebpf.framelog import FrameLogError, decode, encode
from goproxy_ebpf.framelog.lines import KINDS
from goproxy_ebpf.framelog.schema import PATH, rendered
from goproxy_ebpf.records.log import SCHEMA, Frame, Header, Process

from .samples import AT, FRAMES, HEADER, RECORDS


def test_every_record_comes_back():
    assert [decode(encode(record)) for record in RECORDS] == list(RECORDS)
    assert {json.loads(encode(record))["kind"] for record in RECORDS} == KINDS


def test_a_header_begins_with_its_kind_and_its_schema():
    assert encode(Header(5)) == b'{"kind":"header","schema":"goproxy-ebpf/1","time_ns":5}\n'


def test_frames_are_written_as_the_design_shows_them():
    t = AT
    assert [encode(frame).decode() for frame in FRAMES] == [
        f'{{"kind":"frame","n":17,"time_ns":{t + 1},"conn":1,"dir":"send","stream":3,"type":"HEADERS","length":41,'
        '"flags":["END_HEADERS","END_STREAM"],"headers":[[":method","GET"],[":path","/a/@v/list"]]}\n',
        f'{{"kind":"frame","n":18,"time_ns":{t + 2},"conn":1,"dir":"send","stream":0,"type":"SETTINGS","length":12,'
        '"settings":{"INITIAL_WINDOW_SIZE":4194304,"0xabc":1}}\n',
        f'{{"kind":"frame","n":19,"time_ns":{t + 3},"conn":1,"dir":"send","stream":3,"type":"WINDOW_UPDATE","length":4,'
        '"increment":32768,"window":{"conn":[100,200],"stream":[300,400]}}\n',
        f'{{"kind":"frame","n":20,"time_ns":{t + 4},"conn":1,"dir":"recv","stream":3,"type":"RST_STREAM","length":4,'
        '"error":"INTERNAL_ERROR","confidence":"gap"}\n',
        f'{{"kind":"frame","n":21,"time_ns":{t + 5},"conn":1,"dir":"recv","stream":0,"type":"GOAWAY","length":8,'
        '"error":"NO_ERROR","last_stream":1999}\n',
        f'{{"kind":"frame","n":22,"time_ns":{t + 6},"conn":1,"dir":"recv","stream":0,"type":"PING","length":8,'
        '"flags":["ACK"],"data":"0102030405060708"}\n',
    ]


LATIN = st.text(st.characters(max_codepoint=255), max_size=20)


@given(st.lists(st.tuples(LATIN, LATIN), max_size=4), st.integers(0, 2**63 - 1), LATIN)
def test_any_header_list_comes_back(headers, at_ns, note):
    """Header names and values of any bytes (as ISO 8859-1) are read as they were written, in one line."""
    frame = Frame(1, at_ns, 1, "recv", 1, "HEADERS", 1, headers=tuple(headers), note=note)
    line = encode(frame)
    assert (decode(line), line.count(b"\n")) == (frame, 1)


def test_file_names_that_are_no_text_are_written_in_hex():
    line = encode(Process(1, "exec", 2, 3, "/tmp/\udcff", ("a\ud800",)))
    assert decode(line) == Process(1, "exec", 2, 3, "/tmp/\\xff", ("a\\ud800",))
    assert b"xff" in encode(Header(1, directory="\udcff"))


def test_fields_that_we_do_not_know_are_passed_over():
    assert decode(b'{"kind":"gap","time_ns":1,"layer":"tcp","length":2,"reason":"x","later":{"a":[1]}}').length == 2


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"", "not a JSON object"),
        (b"hello\n", "not a JSON object"),
        (b"[1,2]", "not a JSON object"),
        (b'{"kind":"novelty","rule":"x"}', "unknown kind 'novelty'"),
        (b'{"kind":"frame","n":"x"}', "not a line of a frame log"),
        (b'{"n":1}', "not a line of a frame log"),
        (
            b'{"kind":"header","time_ns":1,"schema":"goproxy-ebpf/2"}',
            f"goproxy-ebpf/2, this program reads up to {SCHEMA}",
        ),
        (b'{"kind":"header","schema":"goproxy-ebpf/12","time_ns":{}}', "goproxy-ebpf/12, this program reads up to"),
        (b'{"kind":"header","time_ns":1,"schema":"x"}', "written as x, this program reads up to"),
        (b'{"kind":' + b"[" * 100_000, "not a JSON object"),
    ],
)
def test_what_is_no_line_of_ours_is_refused_in_one_sentence(line, words):
    with pytest.raises(FrameLogError, match=words) as error:
        decode(line)
    assert "\n" not in str(error.value)


@given(st.binary(max_size=80) | st.integers(0, 10**4).map(lambda n: encode(RECORDS[n % len(RECORDS)])[: n // 10]))
def test_any_bytes_are_a_record_or_the_error(line):
    """Any bytes give a record or FrameLogError, nothing else."""
    try:
        assert isinstance(decode(line), msgspec.Struct)
    except FrameLogError as error:
        assert "\n" not in str(error)


def test_the_published_schema_is_the_one_that_the_records_give():
    assert PATH.read_bytes() == rendered(), "run scripts/schema"


def test_the_schema_names_every_field_that_is_written_and_requires_no_other():
    definitions = json.loads(rendered())["$defs"]
    for record in RECORDS:
        definition = definitions[type(record).__name__]
        written = json.loads(encode(record)).keys()
        assert written - definition["properties"].keys() == set()
        assert set(definition["required"]) - written == set()


def test_the_script_writes_the_schema_where_the_package_has_it():
    script = Path(__file__).parents[2] / "scripts" / "schema"
    before = PATH.read_bytes()
    subprocess.run([script], check=True, timeout=60)
    assert PATH.read_bytes() == before


def test_a_header_of_the_run_keeps_its_schema():
    assert decode(encode(HEADER)).schema == SCHEMA

"""What is written is what is read, in the same order, whatever the record and however the file hands out its bytes."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goproxy_ebpf.capfile import CaptureFileError, CaptureWriter, KeyLogError, read_capture
from goproxy_ebpf.records.capture import Loss, Packet, ProcessEvent, RunHeader, Secret
from goproxy_ebpf.records.common import Direction

from .files import OneByte, Pipe, Raw, written
from .records import LABELS, RECORDS, SAMPLES, SOCKET, START, packet, secret


def test_every_kind_of_record_comes_back_in_its_place():
    assert list(read_capture(io.BytesIO(written(SAMPLES)))) == list(SAMPLES)


@given(st.lists(RECORDS, max_size=12), st.sampled_from([0, 256, 600, 262_144]))
def test_any_records_come_back_exactly(records, reserve):
    """Any list of records, with room for its secrets or without, is read as it was written."""
    assert list(read_capture(io.BytesIO(written(records, reserve)))) == records


@pytest.mark.parametrize("kind", [OneByte, Pipe, Raw])
@pytest.mark.parametrize("reserve", [0, 512, 4096])
def test_the_way_a_file_hands_out_its_bytes_changes_nothing(kind, reserve):
    assert list(read_capture(kind(written(SAMPLES, reserve)))) == list(SAMPLES)


def test_a_raw_file_that_takes_a_few_bytes_at_a_time_holds_the_same():
    file = Raw(b"")
    writer = CaptureWriter(file, 512)
    for record in SAMPLES:
        writer.write(record)
    writer.close()
    assert file.getvalue() == written(SAMPLES, 512)


def test_trailing_bytes_are_one_loss_at_the_end():
    whole = written(SAMPLES, 512)
    loss = Loss(SAMPLES[-1].at_ns, "file cut", 1, 7)
    assert list(read_capture(io.BytesIO(whole + b"\6\0\0\0abc"))) == [*SAMPLES, loss]


def test_nothing_written_is_nothing_read():
    assert list(read_capture(io.BytesIO(written([])))) == []


def test_packets_that_wireshark_would_refuse_come_back_whole():
    big = Packet(START, Direction.SEND, 400_048, b"\x60\0\0\0\0\0\6\x40" + bytes(400_040), SOCKET, 3, 4)
    records = [packet(1), big, packet(2)]
    assert list(read_capture(io.BytesIO(written(records)))) == records


def test_file_names_that_are_no_text_are_written_in_hex():
    event = ProcessEvent(START, "exec", 1, 0, "/tmp/\udcff", ("go", "a\udc80b"))
    expected = ProcessEvent(START, "exec", 1, 0, "/tmp/\\xff", ("go", "a\\x80b"))
    assert list(read_capture(io.BytesIO(written([event])))) == [expected]


def test_what_was_flushed_is_read_without_a_close():
    file = io.BytesIO()
    writer = CaptureWriter(file)
    for record in SAMPLES:
        writer.write(record)
    writer.flush()
    assert list(read_capture(io.BytesIO(file.getvalue()))) == list(SAMPLES)


def test_closing_twice_changes_nothing_and_leaves_the_file_open():
    file = io.BytesIO()
    writer = CaptureWriter(file, 0)
    writer.write(secret(1))
    writer.close()
    once = file.getvalue()
    writer.close()
    assert (file.getvalue(), file.closed) == (once, False)


def test_a_key_log_beside_our_own_capture_is_read_behind_the_header():
    header, event = SAMPLES[0], SAMPLES[1]
    line = f"{LABELS[0]} {'ab' * 32} {'cd' * 48}\n".encode()
    records = list(read_capture(io.BytesIO(written([header, event])), io.BytesIO(b"# comment\n" + line)))
    assert records == [header, Secret(0, 0, LABELS[0], b"\xab" * 32, b"\xcd" * 48), event]


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ("goproxy-ebpf-capture/2", "goproxy-ebpf-capture/2, this program reads up to goproxy-ebpf-capture/1: install"),
        ("other/1", "other/1, this program reads up to goproxy-ebpf-capture/1: install"),
    ],
)
def test_a_newer_schema_is_named_beside_ours_with_the_remedy(schema, words):
    with pytest.raises(CaptureFileError, match=words):
        list(read_capture(io.BytesIO(written([RunHeader(START, "ebpf", schema=schema)]))))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\x0a\x0d\x0d", "not a capture"),
        (b"hello, this is text", "not a capture"),
        (b'{"kind":"header"}', "holds JSON"),
        (b"\x1f\x8b\x08" + bytes(20), "packed with gzip"),
        (b"\x28\xb5\x2f\xfd" + bytes(20), "packed with zstd"),
        (b"\x0a\x0d\x0d\x0a" + bytes(40), "not a capture"),
    ],
)
def test_other_files_are_refused_in_one_sentence(content, words):
    with pytest.raises(CaptureFileError, match=words) as error:
        read_capture(io.BytesIO(content))
    assert "\n" not in str(error.value)


def test_a_key_log_without_a_secret_is_refused():
    with pytest.raises(KeyLogError, match="key log"):
        read_capture(io.BytesIO(written(SAMPLES)), io.BytesIO(b"not a key log"))

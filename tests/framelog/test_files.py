"""A file of lines, plain or zstd, whole or not."""

import io
from hashlib import sha256

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from goproxy_ebpf.framelog import FrameLogError, LogWriter, encode, kind_of, read_log
from goproxy_ebpf.records.log import Frame, Gap

from .samples import AT, RECORDS


class OneByte(io.BytesIO):
    """Gives and takes one byte at a time."""

    def read(self, size=-1):
        return super().read(min(1, size) if size >= 0 else 1)

    def write(self, data):
        return super().write(bytes(data)[:1])


def written(records, compressed=False, kind=io.BytesIO) -> bytes:
    file = kind()
    writer = LogWriter(file, compressed)
    for record in records:
        writer.write(record)
    writer.close()
    writer.close()
    assert not file.closed
    return file.getvalue()


def read(data: bytes) -> list:
    return list(read_log(io.BytesIO(data)))


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", [io.BytesIO, OneByte])
def test_what_is_written_is_what_is_read(compressed, kind):
    assert list(read_log(kind(written(RECORDS, compressed, kind)))) == list(RECORDS)


def test_a_compressed_log_is_what_zstd_takes_for_one():
    plain = b"".join(encode(record) for record in RECORDS)
    assert zstandard.ZstdDecompressor().decompressobj().decompress(written(RECORDS, True)) == plain
    assert read(zstandard.ZstdCompressor().compress(plain)) == list(RECORDS)
    assert written(RECORDS) == plain


@pytest.mark.parametrize("compressed", [False, True])
def test_what_was_flushed_is_readable_after_a_crash(compressed):
    file = io.BytesIO()
    writer = LogWriter(file, compressed)
    for count, record in enumerate(RECORDS, start=1):
        writer.write(record)
        writer.flush()
        assert read(file.getvalue()) == list(RECORDS[:count])


def test_a_log_cut_at_any_byte_gives_the_lines_before_it_and_then_a_gap():
    data = written(RECORDS)
    first = data.index(b"\n") + 1
    for length in range(first, len(data)):
        whole, _, rest = data[:length].rpartition(b"\n")
        before = list(RECORDS[: whole.count(b"\n") + 1])
        if rest and rest + b"\n" in data.splitlines(keepends=True):
            before.append(RECORDS[len(before)])  # only its line feed is missing
            rest = b""
        gap = [Gap(before[-1].time_ns, "file", len(rest), "last line cut off")] if rest else []
        assert read(data[:length]) == before + gap


def test_a_compressed_log_cut_at_any_byte_gives_a_beginning_of_it():
    data = written(RECORDS * 50, True)
    longest = 0
    for length in range(4, len(data)):
        try:
            found = read(data[:length])
        except FrameLogError:
            assert longest == 0
            continue
        records = [record for record in found if not (isinstance(record, Gap) and record.layer == "file")]
        assert records == list(RECORDS * 50)[: len(records)]
        assert found[: len(records)] == records
        longest = max(longest, len(records))
    assert longest > 0


def test_garbage_lines_are_gaps_in_their_place():
    lines = [encode(record) for record in RECORDS[:3]]
    data = lines[0] + b"gar\rbage\n" + b"\n" + lines[1] + b'{"kind":"novelty"}\n' + lines[2]
    assert read(data) == [
        RECORDS[0],
        Gap(AT, "file", 9, "not a JSON object"),
        RECORDS[1],
        Gap(AT, "file", 19, "a line of unknown kind 'novelty'"),
        RECORDS[2],
    ]
    assert read(b"\xff\n" + data) == [Gap(0, "file", 2, "not a JSON object"), *read(data)]


def test_damage_in_a_compressed_log_is_a_gap_at_its_end():
    notes = [sha256(str(n).encode()).hexdigest() for n in range(20_000)]
    records = [Frame(n, n, 1, "recv", 0, "PING", 8, note=note) for n, note in enumerate(notes)]
    data = bytearray(written(records, True))
    data[len(data) // 2] ^= 0x55
    found = read(bytes(data))
    gap = found.pop()
    assert (gap.layer, gap.reason.partition(":")[0]) == ("file", "compressed data damaged")
    # zstd's checksum is at the frame's end: what lies between the damage and its discovery may be read wrongly.
    assert found[: len(records) // 4] == records[: len(records) // 4]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n\n", "not a frame log"),
        (b"hello\nworld\n", "not a frame log"),
        (b'{"a": 1}\n', "not a frame log"),
        (b"\x0a\x0d\x0d\x0a" + bytes(30), "is a capture"),
        (b"\x28\xb5\x2f\xfd" + b"\xff" * 30, "not a frame log"),
        (zstandard.ZstdCompressor().compress(b"hello\n"), "not a frame log"),
        (b'{"kind":"header","schema":"goproxy-ebpf/2","time_ns":1}\n', "goproxy-ebpf/2, this program reads up to"),
        (bytes(3_000_000), "not a frame log"),
    ],
)
def test_other_files_are_refused_in_one_sentence(content, words):
    with pytest.raises(FrameLogError, match=words) as error:
        read_log(io.BytesIO(content))
    assert "\n" not in str(error.value)


@given(st.data(), st.booleans())
def test_any_change_to_a_log_gives_records_or_the_error(data, compressed):
    """Any bytes changed, put in or taken out anywhere give records or FrameLogError, nothing else."""
    changed = bytearray(written(RECORDS, compressed))
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(changed) - 1))
        changed[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    try:
        for record in read(bytes(changed)):
            assert encode(record)
    except FrameLogError as error:
        assert "\n" not in str(error)


def test_a_compressed_line_that_never_ends_takes_no_memory(monkeypatch):
    import goproxy_ebpf.framelog.reader as module

    monkeypatch.setattr(module, "_LONGEST_LINE_BYTES", 2 << 20)
    bomb = zstandard.ZstdCompressor().compress(encode(RECORDS[0]) + bytes(20 << 20))
    found = read(bomb)
    assert found[0] == RECORDS[0]
    assert {gap.reason for gap in found[1:]} - {"last line cut off"} == {"line too long"}
    assert max(gap.length for gap in found[1:]) <= 3 << 20
    assert sum(gap.length for gap in found[1:]) == 20 << 20


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (written(RECORDS), "log"),
        (written(RECORDS, True), "log.zst"),
        (b"\x0a\x0d\x0d\x0a", "capture"),
        (b"\xd4\xc3\xb2\xa1", "capture"),
        (b"\xa1\xb2\x3c\x4d", "capture"),
        (b"", "unknown"),
        (b"\x7fELF", "unknown"),
    ],
)
def test_the_kind_of_a_file_shows_in_its_first_bytes(content, kind):
    assert kind_of(content[:16]) == kind

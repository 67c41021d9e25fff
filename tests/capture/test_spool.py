"""What goes into the spool comes out in order, or is counted; the disk is given back behind the reader."""

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from goproxy_ebpf.capture.spool import EVENT, RECORD, Spool, SpoolReader, SpoolWriter


def both_ends(cap_bytes: int = 1 << 30) -> tuple[SpoolWriter, SpoolReader, Spool]:
    """Writer and reader in one process: each closes the other's descriptors, so they get copies."""
    spool = Spool()
    committed, consumed = spool._committed, spool._consumed
    writer = SpoolWriter(spool.file.fileno(), os.dup(committed[1]), os.dup(consumed[0]), cap_bytes)
    reader = SpoolReader(spool.file.fileno(), os.dup(committed[0]), os.dup(consumed[1]))
    for descriptor in (*committed, *consumed):
        os.close(descriptor)
    return writer, reader, spool


def drain(reader: SpoolReader) -> list[tuple[int, bytes]]:
    got: list[tuple[int, bytes]] = []
    while (entries := reader.entries(0.0)) is not None:
        batch = list(entries)
        if not batch:
            return got
        got += batch
    return got


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([EVENT, RECORD]), st.binary(max_size=3000), st.booleans()), max_size=60))
def test_entries_come_out_as_they_went_in_wherever_the_flushes_were(entries):
    writer, reader, _ = both_ends()
    got = []
    for kind, data, flush in entries:
        writer.append(kind, data)
        if flush:
            writer.flush()
            got += drain(reader)
    writer.close()
    got += drain(reader)
    assert got == [(kind, data) for kind, data, _ in entries]
    assert reader.entries(0.0) is None


def test_the_reader_waits_until_there_is_something_and_ends_with_the_writer():
    writer, reader, _ = both_ends()
    assert list(reader.entries(0.0)) == []
    writer.append(EVENT, b"x")
    writer.close()
    assert list(reader.entries(5.0)) == [(EVENT, b"x")]
    assert reader.entries(5.0) is None


def test_a_writer_that_dies_ends_the_reader_after_what_was_flushed():
    writer, reader, _ = both_ends()
    writer.append(EVENT, b"x")
    writer.flush()
    os.close(writer._committed)
    assert drain(reader) == [(EVENT, b"x")]
    assert reader.entries(0.0) is None


def test_a_reader_too_far_behind_costs_counted_entries_and_the_rest_stays_whole():
    writer, reader, _ = both_ends(cap_bytes=1000)
    for number in range(4):
        writer.append(EVENT, bytes([number]) * 392)  # 400 with its header
        writer.flush()
    assert (writer.dropped, writer.dropped_bytes) == (2, 800)
    assert [data[0] for _, data in drain(reader)] == [0, 1]
    writer.append(EVENT, b"again")
    writer.close()
    assert drain(reader) == [(EVENT, b"again")]


def test_the_disk_is_given_back_behind_the_reader():
    writer, reader, spool = both_ends()
    chunk = os.urandom(1 << 20)
    for _ in range(64):
        writer.append(EVENT, chunk)
        writer.flush()
        drain(reader)
    status = os.fstat(spool.file.fileno())
    assert status.st_size > 64 << 20
    assert status.st_blocks * 512 < 24 << 20


def test_the_spool_has_no_name():
    _, _, spool = both_ends()
    assert os.fstat(spool.file.fileno()).st_nlink == 0

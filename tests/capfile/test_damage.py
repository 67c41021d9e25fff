"""A damaged file gives what can be read of it, says what cannot, and never anything else."""

import io
import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from goproxy_ebpf.capfile import CaptureFileError, read_capture
from goproxy_ebpf.records.capture import Loss, Packet, RunHeader, Secret, TcpEvent
from goproxy_ebpf.records.common import Endpoint, SocketAddresses

from .files import Pipe, blocks, written
from .records import SAMPLES, packet

WHOLE = written(SAMPLES, 512)
ENHANCED_PACKET, RECORD, FILLER = 6, 0xE2657067, 0xE6657067


def read(data: bytes) -> list:
    return list(read_capture(io.BytesIO(data)))


def test_a_file_cut_at_any_byte_gives_every_record_before_the_cut_and_then_a_loss():
    ends = [at + length for kind, at, length in blocks(WHOLE) if kind in (ENHANCED_PACKET, RECORD)]
    borders = {at for _, at, _ in blocks(WHOLE)}
    assert len(ends) == len(SAMPLES)
    wrong = []
    for length in range(4, len(WHOLE)):
        before = list(SAMPLES[: sum(end <= length for end in ends)])
        if length in borders and not before:
            continue  # a whole file of nobody's: the test below
        if length in borders:
            expected = before  # nothing tells a cut between two blocks
        else:
            missing = length - max(border for border in borders if border < length)
            expected = [*before, Loss(before[-1].at_ns if before else 0, "file cut", 1, missing)]
        if read(WHOLE[:length]) != expected:
            wrong.append(length)
    assert wrong == []


def test_a_file_cut_between_its_front_and_its_first_record_is_a_capture_without_packets():
    _, at, _ = blocks(WHOLE)[3]
    secrets = [replace(record, at_ns=0, pid=0) for record in SAMPLES if isinstance(record, Secret)]
    assert read(WHOLE[:at]) == [RunHeader(0, "packets"), *secrets]


@pytest.mark.parametrize("length", [0, 5, 2**31, 8, 64])
@pytest.mark.parametrize("victim", [4, 7, 13])
def test_a_wrong_block_length_costs_that_block_and_no_other(victim, length):
    kind, at, size = blocks(WHOLE)[victim]
    records = list(SAMPLES)
    lost = records.pop(victim - 3)
    damaged = WHOLE[: at + 4] + struct.pack("<I", length) + WHOLE[at + 8 :]
    found = read(damaged)
    losses = [record for record in found if isinstance(record, Loss) and record.where == "file damaged"]
    assert [record for record in found if record not in losses] == records, (kind, lost)
    assert [(loss.records, loss.length_bytes) for loss in losses] == [(1, size)]


def test_garbage_between_two_blocks_costs_nothing_but_itself():
    _, at, _ = blocks(WHOLE)[7]
    found = read(WHOLE[:at] + b"garbage" + WHOLE[at:])
    assert found == [*SAMPLES[:4], Loss(SAMPLES[3].at_ns, "file damaged", 1, 7), *SAMPLES[4:]]


def test_a_record_that_cannot_be_decoded_is_a_loss():
    _, at, size = blocks(WHOLE)[4]
    damaged = WHOLE[: at + 32] + b"\xc1" * 8 + WHOLE[at + 40 :]
    expected = [SAMPLES[0], Loss(SAMPLES[0].at_ns, "file damaged", 1, size - 12), *SAMPLES[2:]]
    assert read(damaged) == expected


def test_an_address_that_is_none_is_damage():
    """Whoever prints an address relies on its length."""
    socket = SocketAddresses(Endpoint(b"abc", 1), Endpoint(b"abcd", 65_536))
    found = read(written([SAMPLES[0], TcpEvent(5, "state", socket), SAMPLES[1]]))
    assert [found[0], found[2]] == [SAMPLES[0], SAMPLES[1]]
    assert (found[1].where, found[1].records) == ("file damaged", 1)


@given(st.data())
def test_any_change_to_a_file_gives_records_or_the_error(data):
    """Any bytes changed, put in or taken out anywhere give records or CaptureFileError, nothing else."""
    changed = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(changed) - 1))
        span = data.draw(st.integers(0, 12))
        changed[at : at + span] = data.draw(st.binary(max_size=12))
    _records_or_error(bytes(changed))


@given(st.binary(max_size=300), st.sampled_from([b"", WHOLE[:60], WHOLE[:108], WHOLE, b"\xa1\xb2\xc3\xd4"]))
def test_any_bytes_give_records_or_the_error(garbage, front):
    """Any bytes, behind nothing or behind a good beginning, give records or CaptureFileError, nothing else."""
    _records_or_error(front + garbage)


@given(
    st.lists(
        st.tuples(st.sampled_from([1, 2, 3, 4, 5, 6, 10, 0xBAD, RECORD, FILLER]), st.binary(max_size=80)), max_size=8
    )
)
def test_any_bodies_in_good_blocks_give_records_or_the_error(bodies):
    """Whole blocks of every kind with any bytes in them give records or CaptureFileError, nothing else."""
    out = [WHOLE[: blocks(WHOLE)[2][1]]]
    for kind, body in bodies:
        total = struct.pack("<I", len(body) + (-len(body) & 3) + 12)
        out.append(struct.pack("<I", kind) + total + body + bytes(-len(body) & 3) + total)
    _records_or_error(b"".join(out))


def _records_or_error(data: bytes) -> None:
    for file in (io.BytesIO(data), Pipe(data)):
        try:
            for record in read_capture(file):
                assert record.at_ns >= 0
                if isinstance(record, Packet) and record.socket:
                    assert str(record.socket.local)
        except CaptureFileError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize(
    "filler",
    [
        struct.pack("<II", 6, 0x1000000),
        struct.pack("<III", 6, 12, 11),
        struct.pack("<II", 0x0A0D0D0A, 28),
        b"\0",
        b"\1\0\0\0",
    ],
)
def test_a_file_made_to_be_slow_is_read_in_linear_time(filler):
    def seconds(size: int) -> float:
        started = time.process_time()
        read(WHOLE + (filler * size)[:size])
        return time.process_time() - started

    small = min(seconds(250_000) for _ in range(2))
    assert seconds(1_000_000) < 10 * max(small, 0.05)


def test_packets_behind_a_second_section_are_read_too():
    assert read(written([packet(1)]) + written([packet(2)])) == [packet(1), packet(2)]

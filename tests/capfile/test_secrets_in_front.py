"""Secrets stand in front of the packets, whenever they came, and the file is valid at every moment of getting there."""

import io

import pytest

from goproxy_ebpf.capfile import CaptureWriter, read_capture
from goproxy_ebpf.capfile.keylog import line_of, secrets_of
from goproxy_ebpf.records.capture import Loss, RunHeader, Secret

from .files import blocks, written
from .records import LABELS, SAMPLES, START, packet, secret

DECRYPTION_SECRETS, ENHANCED_PACKET = 0x0A, 6


def lines(data: bytes) -> list[tuple[bytes, bytes]]:
    """What a reader of key logs finds in the Decryption Secrets Blocks, in their order."""
    texts = [data[at + 16 : at + length - 4] for kind, at, length in blocks(data) if kind == DECRYPTION_SECRETS]
    return [(one.client_random, one.secret) for text in texts for one in secrets_of(text, 0)]


class Watched(io.BytesIO):
    """Calls ``look`` with the file's content in the middle of every write, and behind it.

    Eight bytes, a block's type and length, are taken to be written at once.
    """

    look = staticmethod(lambda data, whole: None)

    def write(self, data):
        at, size = self.tell(), len(data)
        for part in range(8, size) if size < 300 else (8, size // 2, size - 1):
            self.seek(at)
            super().write(bytes(data)[:part])
            self.look(self.getvalue(), False)
        self.seek(at)
        super().write(data)
        self.look(self.getvalue(), True)
        return size


@pytest.mark.parametrize("reserve", [0, 256, 700, 3000, 262_144])
@pytest.mark.parametrize("count", [1, 3, 40])
def test_all_secrets_stand_in_front_of_the_first_packet_after_close(reserve, count):
    records = [record for n in range(count) for record in (packet(2 * n, 900), secret(2 * n + 1, LABELS[n % 5]))]
    data = written(records, reserve)
    kinds = [kind for kind, _, _ in blocks(data)]
    assert DECRYPTION_SECRETS not in kinds[kinds.index(ENHANCED_PACKET) :]
    wanted = {(one.client_random, one.secret) for one in records if isinstance(one, Secret)}
    assert set(lines(data)) == wanted
    assert len(lines(data)) == count
    assert list(read_capture(io.BytesIO(data))) == records


def test_a_long_capture_is_rewritten_in_pieces_and_loses_nothing():
    records = [packet(n, 3000) for n in range(400)] + [secret(500 + n) for n in range(9)]
    records += [packet(n, 60_000) for n in range(600, 640)]
    data = written(records, 256)
    assert len(lines(data)) == 9
    assert list(read_capture(io.BytesIO(data))) == records


def is_strictly_valid(data: bytes) -> bool:
    try:
        return bool(blocks(data))
    except AssertionError:
        return False


LATE = [secret(100 + n, LABELS[n % 5]) for n in range(7)]


@pytest.mark.parametrize(
    ("records", "together"),
    [
        ([*SAMPLES, *LATE, packet(200)], 1),
        # Pieces far longer than the secrets that have to come in front of them.
        ([secret(1), secret(2), secret(3), *(packet(n, 700) for n in range(10, 40)), LATE[0]], 8),
    ],
)
def test_the_file_is_valid_in_the_middle_of_every_write(records, together):
    """At every moment the file gives records in order, from the first on, and no secret that was never written."""
    file = Watched()
    known = {(one.client_random, one.secret) for one in records if isinstance(one, Secret)}
    most = 0
    strictly: list[bool] = []

    def look(data: bytes, whole: bool) -> None:
        nonlocal most
        found = list(read_capture(io.BytesIO(data)))
        if found and isinstance(found[-1], Loss) and found[-1].where == "file cut":
            found.pop()
        if found and isinstance(found[0], RunHeader) and found[0].source == "packets":
            found.clear()  # nothing of ours is in it yet
        assert found == records[: len(found)]
        assert len(found) >= most
        most = len(found)
        # Half a line may stand there for a moment, but only as a comment.
        text = data[front + 16 : front + 700 - 4]
        assert {(one.client_random, one.secret) for one in secrets_of(text, 0)} <= known
        if whole:
            strictly.append(is_strictly_valid(data))

    writer = CaptureWriter(file, 700)
    front = next(at for kind, at, _ in blocks(file.getvalue()) if kind == DECRYPTION_SECRETS)
    file.look = look
    for count, record in enumerate(records):
        writer.write(record)
        if count % together == 0:
            writer.flush()
    writer.flush()
    assert strictly == [True] * len(strictly)
    before_close = len(file.getvalue())
    writer.close()
    assert most == len(records)
    assert len(file.getvalue()) > before_close, "the reserve was large enough: nothing was rewritten"
    # A piece is copied, the filler's new head written, then its new end: two moments at which a strict reader stops.
    assert "FFF" not in "".join("FT"[valid] for valid in strictly)


def test_a_secret_that_no_key_log_can_hold_is_still_a_record():
    odd = Secret(START, 1, "no label", b"", b"x")
    assert (line_of(odd), list(read_capture(io.BytesIO(written([odd]))))) == (b"", [odd])

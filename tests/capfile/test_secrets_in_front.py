"""Secrets stand in front of the packets, whenever they came, and the file is valid at every moment of getting there."""

import io

import pytest

from goproxy_ebpf.capfile import CaptureWriter, read_capture
from goproxy_ebpf.capfile.keylog import line_of, secrets_of
from goproxy_ebpf.records.capture import Loss, Secret

from .files import blocks, written
from .records import LABELS, SAMPLES, START, packet, secret

DECRYPTION_SECRETS, ENHANCED_PACKET, CUSTOM = 0x0A, 6, 0xBAD


def lines(data: bytes) -> list[tuple[bytes, bytes]]:
    """What a reader of key logs finds in the Decryption Secrets Blocks, in their order."""
    texts = [data[at + 16 : at + length - 4] for kind, at, length in blocks(data) if kind == DECRYPTION_SECRETS]
    return [(one.client_random, one.secret) for text in texts for one in secrets_of(text, 0)]


class Watched(io.BytesIO):
    """Calls ``look`` with the file's content after every write, and in the middle of every write."""

    look = staticmethod(lambda data: None)

    def write(self, data):
        at = self.tell()
        for part in {1, len(data) // 2, len(data)}:
            self.seek(at)
            super().write(bytes(data)[:part])
            self.look(self.getvalue())
        return len(data)


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


def test_the_file_is_valid_in_the_middle_of_every_write():
    """At every moment the file gives records in order, from the first on, and nothing that was never written."""
    file = Watched()
    records = [*SAMPLES, *(secret(100 + n) for n in range(12)), packet(200)]
    known = {(one.client_random, one.secret) for one in records if isinstance(one, Secret)}
    most = 0

    def look(data: bytes) -> None:
        nonlocal most
        if len(data) < most_bytes:
            return
        found = list(read_capture(io.BytesIO(data)))
        if found and isinstance(found[-1], Loss) and found[-1].where == "file cut":
            found.pop()
        assert found == records[: len(found)]
        assert len(found) >= most
        most = len(found)
        # Half a line may stand there for a moment, but only as a comment.
        at = data.find(b"#")
        assert all(line in known for line in ((s.client_random, s.secret) for s in secrets_of(data[at:], 0)))

    writer = CaptureWriter(file, 1024)
    most_bytes = len(file.getvalue())
    file.look = look
    for record in records:
        writer.write(record)
        writer.flush()
    before_close = len(file.getvalue())
    writer.close()
    assert most == len(records)
    assert len(file.getvalue()) > before_close, "the reserve was large enough: nothing was rewritten"


def test_a_secret_that_no_key_log_can_hold_is_still_a_record():
    odd = Secret(START, 1, "no label", b"", b"x")
    assert (line_of(odd), list(read_capture(io.BytesIO(written([odd]))))) == (b"", [odd])

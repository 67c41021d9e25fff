"""Whatever happens to a capture or a frame log of a real run, every command ends with 0, or 2 and one line.

Files of one small ``go mod download`` are cut, overwritten, lengthened, shortened and edited in places that a seed
chooses.
"""

import io
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from goproxy_ebpf.capfile import CaptureWriter, read_capture
from goproxy_ebpf.cli.main import main
from goproxy_ebpf.framelog import LogWriter

from .conftest import start_proxy, stop_proxy
from .harness import Run
from .test_against_go import download

KINDS = ("capture", "log", "log.zst")
ROUNDS = 40

Damage = Callable[[bytes, random.Random], bytes]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("small")
    proxy = start_proxy(folder / "proxy", "--modules", "3", "--megabytes", "0.1")
    try:
        run = download(folder / "run", proxy)
    finally:
        stop_proxy(proxy)
    assert run.status == 0, run.stderr
    yield {"capture": dense(run), "log": run.log.read_bytes(), "log.zst": packed(run)}


def dense(run: Run) -> bytes:
    """The capture with no more room for secrets than it needs: damage is to hit something."""
    out = io.BytesIO()
    with run.capture.open("rb") as file:
        writer = CaptureWriter(out, reserve_bytes=4096)
        for record in read_capture(file):
            writer.write(record)
        writer.close()
    return out.getvalue()


def packed(run: Run) -> bytes:
    out = io.BytesIO()
    writer = LogWriter(out, compressed=True)
    for number, record in enumerate(run.records):
        writer.write(record)
        if number % 20 == 0:
            writer.flush()  # as each second of a run does
    writer.close()
    return out.getvalue()


def overwrite(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 3, 20, 200))):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def overwrite_front(data: bytes, chance: random.Random) -> bytes:
    return overwrite(data[:3000], chance) + data[3000:]


def cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def insert(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + chance.randbytes(chance.choice((1, 7, 4096))) + data[at:]


def delete(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + data[at + chance.choice((1, 8, 5000)) :]


def repeat(data: bytes, chance: random.Random) -> bytes:
    at, length = chance.randrange(len(data)), chance.choice((16, 3000, 50_000))
    return data[: at + length] + data[at:]


def blank(data: bytes, chance: random.Random) -> bytes:
    at, length = chance.randrange(len(data)), chance.choice((4, 64, 5000))
    return data[:at] + bytes(length) + data[at + length :]


WRONG = (None, -1, 0, 2**63 - 1, -(2**63), 2**64, 2**70, 1.5, "", "\ud800", "\x1b[31m", [], {}, [[]], [None], True)


def edit(data: bytes, chance: random.Random) -> bytes:
    """Well-formed JSON with other values, fields missing, lines in another order."""
    lines = data.splitlines()
    for _ in range(10):
        at = chance.randrange(len(lines))
        fields = json.loads(lines[at])
        inner = fields
        while isinstance(inner[name := chance.choice(list(inner))], dict) and inner[name] and chance.random() < 0.7:
            inner = inner[name]
        if chance.random() < 0.2:
            del inner[name]
        else:
            inner[name] = chance.choice(WRONG)
        lines[at] = json.dumps(fields or {"kind": ""}).encode()
    if chance.random() < 0.3:
        chance.shuffle(lines)
    return b"\n".join(lines) + b"\n"


COMMANDS = (
    ("report",),
    ("report", "--frames", "--requests"),
    ("report", "--format", "json"),
    ("export", "--format", "jsonl"),
    ("decode", "-w", "out.jsonl"),
)


BLIND = (overwrite, overwrite_front, cut, insert, delete, repeat, blank)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the commands read; the current directory is the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "damaged"


@pytest.mark.parametrize(("kind", "damage"), [*((kind, each) for kind in KINDS for each in BLIND), ("log", edit)])
def test_a_damaged_file_is_a_report_or_one_line_and_never_a_traceback(
    files: dict[str, bytes], kind: str, damage: Damage, here: Path, capsysbinary
):
    chance = random.Random(f"{kind} {damage.__name__}")
    wrong = []
    for number in range(ROUNDS):
        data = damage(files[kind], chance)
        here.write_bytes(data)
        for command in (COMMANDS[number % len(COMMANDS)], COMMANDS[(number + 1) % len(COMMANDS)]):
            status = main([*command, "damaged"])
            out, err = capsysbinary.readouterr()
            fine = (status, err) == (0, b"") or (status, err.count(b"\n")) == (2, 1)
            fine = fine and (status == 0 or not out or b"; shown is what could be read of it" in err)
            if not fine or b"Traceback" in err:
                wrong.append((number, command, status, err[-300:]))
    assert wrong == []


@pytest.mark.parametrize("kind", KINDS)
def test_no_cut_file_passes_for_a_whole_one(files: dict[str, bytes], kind: str, here: Path, capsys):
    """Cut anywhere before its last record, a file is told as cut; what could be read of it is called incomplete."""
    whole = files[kind]
    here.write_bytes(whole)
    assert main(["report", "damaged"]) == 0
    assert capsys.readouterr().out.startswith("HEALTHY")
    wrong = []
    for length in range(0, len(whole) - 40, len(whole) // 60):
        here.write_bytes(whole[:length])
        status = main(["report", "damaged"])
        verdict = capsys.readouterr().out.split(" ", 1)[0]
        if (status, verdict) not in ((2, ""), (2, "INCOMPLETE")):
            wrong.append((length, status, verdict))
    assert wrong == []

"""The decoding half of ``trace``: follows the spool, without rights, with only the descriptors opened for it."""

import contextlib
import io
import json
import os
import signal
import time
import traceback
from typing import BinaryIO

import msgspec

from ..capture.spool import EVENT, Spool, SpoolReader
from ..records.capture import CaptureRecord, Packet, ProcessEvent
from ..records.log import Gap, LogRecord
from .failure import because

_FLUSH_EVERY_S = 1.0
_NICER_BY = 5
_WAIT_S = 0.25
SAID = 2
"""The worker's status when it has said itself what went wrong."""


class Outputs(msgspec.Struct, frozen=True):
    """Open descriptors and how to write to them. ``logs`` are (descriptor, compressed)."""

    captures: tuple[int, ...] = ()
    logs: tuple[tuple[int, bool], ...] = ()
    text: int | None = None
    form: str = "text"
    width: int = 100
    colour: bool = False
    frames: bool = False
    all_requests: bool = False
    statistics: int | None = None


class Statistics(msgspec.Struct):
    """When what was decoded: (time, frames so far) after each batch, and the end of the last process."""

    batches: list[tuple[int, int]] = []
    exit_ns: int = 0
    frames: int = 0

    def summary(self) -> dict[str, object]:
        """How many frames were decoded before the child had ended, of how many, and the processor time it took."""
        before = max((frames for at_ns, frames in self.batches if at_ns <= self.exit_ns), default=0)
        times = os.times()
        return {"frames": self.frames, "frames_before_exit": before, "cpu_s": times.user + times.system}


def start(spool: Spool, outputs: Outputs, epoch_offset_ns: int, strangers: tuple[int, ...]) -> int:
    """Fork the worker; gives its process id. ``strangers`` are descriptors that it must not hold."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for descriptor in strangers:
            os.close(descriptor)
        reader = spool.reader()
        # Imported while root still compiles; from here on, nothing is opened any more.
        worker = Worker(reader, outputs, epoch_offset_ns)
        _give_up_rights()
        worker.run()
        status = 0
    except BrokenPipeError:
        status = 0
    except OSError as error:
        os.write(2, f"goproxy-ebpf: the report or a file is not complete: {because(error)}\n".encode())
        status = SAID
    except BaseException as error:  # noqa: BLE001 (the last line of defence: one line, and the parent knows)
        os.write(2, f"goproxy-ebpf: decoding ended early: {type(error).__name__}: {error}\n".encode())
        if os.environ.get("GOPROXY_EBPF_TRACEBACK"):
            traceback.print_exc()
    finally:
        os._exit(status)


def _give_up_rights() -> None:
    from ..capture.confine import become_nobody

    os.nice(_NICER_BY)
    become_nobody()


class Worker:
    """Records from the spool into the capture file, the pipeline, the frame log and the report."""

    def __init__(self, reader: SpoolReader, outputs: Outputs, epoch_offset_ns: int) -> None:
        from ..capfile.writer import CaptureWriter
        from ..capture.events import Events
        from ..framelog import LogWriter
        from ..pipeline import Pipeline
        from ..report.document import render_json
        from ..report.reporter import Reporter
        from ..streams import OneCopy

        self._reader, self._outputs = reader, outputs
        self._events = Events(epoch_offset_ns)
        self._pipeline: Pipeline | None = Pipeline()
        self._reporter = Reporter(
            outputs.width, colour=outputs.colour, frames=outputs.frames, all_requests=outputs.all_requests
        )
        self._render_json = render_json
        self._captures = [CaptureWriter(_binary(descriptor)) for descriptor in outputs.captures]
        self._logs = [LogWriter(_binary(descriptor), compressed=packed) for descriptor, packed in outputs.logs]
        self._decode = msgspec.msgpack.Decoder(CaptureRecord).decode
        self._one_copy = OneCopy()
        self._statistics = Statistics()
        self._last_ns = 0

    def run(self) -> None:
        """Until the spool ends; then the report."""
        flushed = time.monotonic()
        while (entries := self._reader.entries(_WAIT_S)) is not None:
            for kind, data in entries:
                record = self._events.decode(data) if kind == EVENT else self._decode(data)
                if record is not None:
                    self._take(record)
            if self._pipeline is not None:
                self._statistics.batches.append((time.time_ns(), self._pipeline.decoded))
            if time.monotonic() - flushed > _FLUSH_EVERY_S:
                self._flush()
                flushed = time.monotonic()
        for loss in self._events.finish(self._last_ns):
            self._take(loss)
        if self._pipeline is not None:
            self._give(self._pipeline.finish())
            self._statistics.frames = self._pipeline.decoded
        self._report()
        for capture in self._captures:
            capture.close()
        for log in self._logs:
            log.close()
        if self._outputs.statistics is not None:
            os.write(self._outputs.statistics, json.dumps(self._statistics.summary()).encode())

    def _take(self, record: CaptureRecord) -> None:
        self._last_ns = record.at_ns
        if isinstance(record, ProcessEvent) and record.what == "exit":
            self._statistics.exit_ns = record.at_ns
        if type(record) is Packet and not self._one_copy.keep(record):
            return  # both ends of a connection are the run's own: the file has each packet once, as on a wire
        for capture in self._captures:
            capture.write(record)
        if self._pipeline is not None:
            try:
                self._give(self._pipeline.feed(record))
            except Exception as error:  # noqa: BLE001 (ours to mend; the capture goes on, and nothing is lost)
                self._stop_decoding(error)

    def _stop_decoding(self, error: Exception) -> None:
        """A mistake of ours must not cost the capture: what is recorded from here on can be decoded again later."""
        self._pipeline = None
        where = "the capture file has all of it" if self._captures else "use -w run.pcapng to keep what is not decoded"
        self._complain(f"decoding stopped at an error of ours ({type(error).__name__}: {error}); {where}")
        self._give([Gap(self._last_ns, "decoder", 0, f"decoding stopped: {type(error).__name__}")])

    def _complain(self, message: str) -> None:
        os.write(2, f"goproxy-ebpf: {message}\n".encode())
        if os.environ.get("GOPROXY_EBPF_TRACEBACK"):
            traceback.print_exc()

    def _give(self, records: list[LogRecord]) -> None:
        for record in records:
            for log in self._logs:
                log.write(record)
            text = self._reporter.feed(record)
            if text:
                self._print(text)

    def _flush(self) -> None:
        for capture in self._captures:
            capture.flush()
        for log in self._logs:
            log.flush()

    def _report(self) -> None:
        if self._outputs.form == "json":
            self._print(self._render_json(self._reporter.trace).decode())
        else:
            self._print(self._reporter.finish())

    def _print(self, text: str) -> None:
        if self._outputs.text is None:
            return
        data = memoryview(text.encode("utf-8", "replace"))
        with contextlib.suppress(BrokenPipeError):
            while data:
                data = data[os.write(self._outputs.text, data) :]


def _binary(descriptor: int) -> BinaryIO:
    return io.FileIO(descriptor, "r+b", closefd=False)

"""The one thread of a capture process that touches the disk.

Work is done in the order in which it was given, so a journal's frames keep theirs. The thread that
empties the sockets never waits for a disk: when this one falls behind, packets wait in memory, and
their owner knows how many by `JournalFile.waiting`.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue

import structlog

from mcp_sim.recording.disk_calls import DISK, DiskCalls
from mcp_sim.recording.journal.frames import JournalError, Preamble
from mcp_sim.recording.journal.writer import JournalWriter
from mcp_sim.recording.plan import Event, RecordingPlan
from recording_format.session_key import SessionKey

log = structlog.get_logger()


class DiskCounters:
    """What the disk's thread has done: `written` bytes of packets, `errors` by which it refused."""

    def __init__(self) -> None:
        self.written = 0
        self.errors = 0


class JournalFile:
    """One call's journal. `give` belongs to the thread of the sockets, the rest to the disk's."""

    def __init__(
        self, folder: Path, recording_id: str, counters: DiskCounters, disk: DiskCalls = DISK
    ) -> None:
        self._path = folder / "journal"
        self._recording_id = recording_id
        self._disk = disk
        self._counters = counters
        self._writer: JournalWriter | None = None
        self._given = 0
        self._handled = 0

    @property
    def waiting(self) -> int:
        """Bytes given that are not on disk yet."""
        writer = self._writer
        return self._given - self._handled + (writer.pending_bytes if writer else 0)

    @property
    def stuck(self) -> bool:
        """Whether the disk has refused something that waits to be written again."""
        writer = self._writer
        return writer is not None and writer.pending_bytes > 0

    def give(self, size: int) -> None:
        """Note that packets of `size` bytes were handed over for writing."""
        self._given += size

    def create(self, key: SessionKey, preamble: Preamble, plan: RecordingPlan) -> None:
        """Make folder and file, write the plan. Raises `JournalError`; nothing is left open."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            text = f"{self._path.parent}: cannot be created ({error.strerror})"
            raise JournalError(text) from None
        writer = JournalWriter(self._path, key, preamble, self._disk)
        try:
            writer.append_plan(plan)
        except JournalError:
            writer.close()
            self._path.unlink()
            raise
        self._writer = writer

    def write_event(self, event: Event) -> None:
        """Write an event; when the disk refuses, it is kept and written later."""
        self._write(lambda writer: writer.append_event(event))

    def write_packets(self, payload: bytes) -> None:
        """Write packets; when the disk refuses, they are kept and written later."""
        self._write(lambda writer: writer.append_packets(payload))
        self._handled += len(payload)
        self._counters.written += len(payload)

    def retry(self) -> None:
        """Write what the disk has refused before."""
        self._write(JournalWriter.retry)

    def close(self) -> None:
        """Close the file. Raises `JournalError` while the disk refuses it: it stays open."""
        writer = self._writer
        if writer is None:
            return
        writer.retry()
        self._writer = None
        writer.close()

    def _write(self, append: Callable[[JournalWriter], None]) -> None:
        if self._writer is None:
            return
        stuck = self._writer.pending_bytes > 0
        try:
            append(self._writer)
        except JournalError as error:
            self._counters.errors += 1
            if not stuck:
                log.error(
                    "a journal could not be written, its packets wait in memory",
                    recording_id=self._recording_id,
                    error=str(error),
                )
        else:
            if stuck:
                log.info("a journal could be written again", recording_id=self._recording_id)


Work = Callable[[], None]
Outcome = Callable[[JournalError | None], None]


class DiskThread:
    """Runs work in order. `wake_descriptor` is readable when `run_outcomes` has something to do."""

    def __init__(self, wrote: Callable[[], None] = lambda: None) -> None:
        """`wrote` is called in the thread, each time after work was done."""
        self._wrote = wrote
        self.wake_descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._queue: SimpleQueue[tuple[int, Sequence[tuple[Work, Outcome | None]]] | None]
        self._queue = SimpleQueue()
        self.counters = DiskCounters()
        self._outcomes: deque[tuple[Outcome, JournalError | None]] = deque()
        self._worst_ns = 0
        self._under_way_ns: int | None = None
        self._telling = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="journal disk", daemon=True)
        self._thread.start()

    def submit(self, work: Work, outcome: Outcome | None = None) -> None:
        """Have `work` done; `outcome` is called by `run_outcomes` with what went wrong, or None."""
        self.submit_all([(work, outcome)])

    def submit_all(self, works: Sequence[tuple[Work, Outcome | None]]) -> None:
        """Have several works done, one after the other."""
        if works:
            self._queue.put((time.monotonic_ns(), works))

    def tell(self, outcome: Outcome, error: JournalError | None) -> None:
        """Have `run_outcomes` call `outcome`; from any thread, and to nobody after `close`."""
        with self._telling:
            if not self._closed:
                self._outcomes.append((outcome, error))
                os.eventfd_write(self.wake_descriptor, 1)

    def run_outcomes(self) -> None:
        """Call what waits, in the calling thread."""
        try:
            os.eventfd_read(self.wake_descriptor)
        except BlockingIOError:
            return
        while self._outcomes:
            outcome, error = self._outcomes.popleft()
            outcome(error)

    def take_worst(self) -> float:
        """Return the longest time from `submit` to done, in seconds, since the last asking.

        What the disk still has under way counts by the time that it takes already.
        """
        worst, self._worst_ns = self._worst_ns, 0
        since = self._under_way_ns
        waiting = time.monotonic_ns() - since if since is not None else 0
        return max(worst, waiting) / 1e9

    def close(self, timeout: float) -> bool:
        """Wait until all work is done and end the thread; say whether it did in time."""
        self._queue.put(None)
        self._thread.join(timeout)
        if self._thread.is_alive():
            return False
        with self._telling:
            self._closed = True
            os.close(self.wake_descriptor)
        return True

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            submitted_ns, works = item
            self._under_way_ns = submitted_ns
            for work, outcome in works:
                error = _do(work)
                if outcome is not None:
                    self.tell(outcome, error)
            self._wrote()
            self._under_way_ns = None
            self._worst_ns = max(self._worst_ns, time.monotonic_ns() - submitted_ns)


def _do(work: Work) -> JournalError | None:
    try:
        work()
    except JournalError as error:
        return error
    except Exception:  # one journal's fault must not end the thread of all others
        log.exception("work on a journal failed")
        return JournalError("a journal could not be written, see the log")
    return None

"""Writing a journal: created new, only ever grown by whole frames.

What the disk refuses (full, gone) is kept and written first at the next chance, bytes unchanged, so
that a frame counter never stands for two contents. A file that exists is never opened for writing:
a recovered journal cannot be appended to.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from pathlib import Path

from mcp_sim.recording.disk_calls import DISK, DiskCalls
from mcp_sim.recording.journal.frames import (
    FrameKind,
    FrameSealer,
    JournalError,
    Preamble,
    encode_preamble,
)
from mcp_sim.recording.plan import Event, RecordingPlan, encode_event, encode_plan
from recording_format.session_key import SessionKey


class JournalWriter:
    """One open journal. Each `append_*` is on disk (in the kernel's hands) when it returns.

    When the disk refuses, they raise `JournalError` and the frame stays in `pending_bytes`;
    `retry()` writes it later.
    """

    def __init__(
        self, path: Path, key: SessionKey, preamble: Preamble, disk: DiskCalls = DISK
    ) -> None:
        """Create `path` (mode 0600) and write the preamble; `disk` is how bytes get there.

        Raises `JournalError`; no file is left then, unless it was there before.
        """
        self.path = path
        self._disk = disk
        self._sealer = FrameSealer(key, preamble)
        self._pending: deque[bytes] = deque()
        self._size = 0
        self.pending_bytes = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        try:
            self._descriptor = os.open(path, flags, 0o600)
        except OSError as error:
            raise JournalError(f"{path}: cannot be created ({error.strerror})") from None
        try:
            self._append(encode_preamble(preamble))
        except JournalError:
            os.close(self._descriptor)
            path.unlink()
            raise

    def append_plan(self, plan: RecordingPlan) -> None:
        """Write the plan: once, before everything else."""
        self._append(self._sealer.seal(FrameKind.PLAN, encode_plan(plan)))

    def append_event(self, event: Event) -> None:
        """Write one event."""
        self._append(self._sealer.seal(FrameKind.EVENT, encode_event(event)))

    def append_packets(self, payload: bytes) -> None:
        """Write packets as `journal.encode_packets` gives them."""
        self._append(self._sealer.seal(FrameKind.PACKETS, payload))

    def retry(self) -> None:
        """Write what the disk refused before. Raises `JournalError` when it still does."""
        while self._pending:
            self._write(self._pending[0])
            self.pending_bytes -= len(self._pending.popleft())

    def sync(self) -> None:
        """Wait until everything written is on stable storage."""
        try:
            self._disk.sync(self._descriptor)
        except OSError as error:
            raise JournalError(f"{self.path}: cannot be synced ({error.strerror})") from None

    def close(self) -> None:
        """Close the file; what is still pending is lost."""
        os.close(self._descriptor)

    def _append(self, data: bytes) -> None:
        self._pending.append(data)
        self.pending_bytes += len(data)
        self.retry()

    def _write(self, data: bytes) -> None:
        """Write all of `data` or nothing: a part of a frame is cut off again."""
        view = memoryview(data)
        try:
            while view:
                view = view[self._disk.write(self._descriptor, view) :]
        except OSError as error:
            if len(view) != len(data):
                with contextlib.suppress(OSError):
                    os.ftruncate(self._descriptor, self._size)
            raise JournalError(f"{self.path}: cannot be written ({error.strerror})") from None
        self._size += len(data)

"""The thread of a capture process that waits for stable storage, so that no writer has to.

One sync serves all journals at once: it takes the whole file system, which costs hundreds of
journals no more than a few. Whoever asks while one runs is served by the next.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from mcp_sim.recording.capture.options import CaptureOptions
from mcp_sim.recording.journal.frames import JournalError
from mcp_sim.recording.spool.durable import sync_file_system

log = structlog.get_logger()

Told = Callable[[JournalError | None], None]


class StableThread:
    """Syncs the file system of `folder` as the options' `durability` says.

    With ``process`` it never does, and nobody waits. `ask` starts the thread.
    """

    def __init__(
        self, options: CaptureOptions, sync: Callable[[int], None] = sync_file_system
    ) -> None:
        self.waits = options.durability != "process"
        self._pause = options.sync_pause if options.durability == "power" else None
        self._sync = sync
        self._folder: Path | None = None
        self._asked: list[Told] = []
        self._written = self._ending = False
        self._changed = threading.Condition()
        self._worst = 0.0
        self.errors = 0
        self._thread: threading.Thread | None = None

    def begin(self, folder: Path) -> None:
        """Say in which folder journals are made: once is enough."""
        if self.waits and self._thread is None:
            self._folder = folder
            self._thread = threading.Thread(target=self._run, name="journal sync", daemon=True)
            self._thread.start()

    def wrote(self) -> None:
        """Say that something was written for which nobody waits."""
        if self._pause is not None and not self._written:
            with self._changed:
                self._written = True
                self._changed.notify()

    def ask(self, told: Told) -> None:
        """Have `told` called, by the thread, when all that was written until now is stable.

        It gets what went wrong, or None.
        """
        with self._changed:
            self._asked.append(told)
            self._changed.notify()

    def take_worst(self) -> float:
        """Return how long the longest sync took, in seconds, since the last asking."""
        worst, self._worst = self._worst, 0.0
        return worst

    def close(self, timeout: float) -> bool:
        """Sync what was written, then end the thread; say whether it did in time."""
        if self._thread is None:
            return True
        with self._changed:
            self._asked.append(_nobody)
            self._ending = True
            self._changed.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._asked or self._written)
                asked, self._asked = self._asked, []
                self._written = False
            error = self._once()
            for told in asked:
                told(error)
            with self._changed:
                if self._ending and not self._asked:
                    return
                # Who asks is served at once; what nobody waits for, after the pause.
                self._changed.wait_for(lambda: self._asked, self._pause or 0.0)

    def _once(self) -> JournalError | None:
        began = time.monotonic()
        try:
            self._sync_folder()
        except OSError as error:
            self.errors += 1
            log.error("journals could not be synced", folder=str(self._folder), error=str(error))
            return JournalError(f"{self._folder}: cannot be synced ({error.strerror})")
        finally:
            self._worst = max(self._worst, time.monotonic() - began)
        return None

    def _sync_folder(self) -> None:
        assert self._folder is not None
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._sync(descriptor)
        finally:
            os.close(descriptor)


def _nobody(_error: JournalError | None) -> None:
    """Nobody waits."""

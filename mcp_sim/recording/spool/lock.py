"""The lock of a spool: one platform at a time, its children included.

The lock belongs to an open file (flock), so it lasts until the last process that inherited the
descriptor has ended. A platform that starts anew waits for what an earlier one left running.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

LOCK_FILE = "lock"
_PAUSE = 0.02


class SpoolLock:
    """Holds the lock of `folder` from construction to `release`."""

    def __init__(self, folder: Path, *, wait: float) -> None:
        """Wait up to `wait` seconds. Raises `TimeoutError` when another process keeps it."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self.descriptor = os.open(folder / LOCK_FILE, flags, 0o600)
        end = time.monotonic() + wait
        while not self._taken():
            if time.monotonic() >= end:
                self.release()
                raise TimeoutError
            time.sleep(_PAUSE)

    def release(self) -> None:
        """Let go; children that inherited the descriptor still hold the lock."""
        os.close(self.descriptor)

    def _taken(self) -> bool:
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

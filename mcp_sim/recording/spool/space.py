"""The room on the spool's disk: new calls are refused before it is full, running ones go on."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from mcp_sim.recording.spool.folders import State

#: An item of the spool has a handful of files and folders.
_RESERVED_FILES = 256
_MIB = 1024 * 1024


class SpoolFullError(Exception):
    """The disk has less room than is kept for the recordings that are on their way."""


class SpoolSpace:
    """The free space of the spool's file system. `reserved` bytes of it are not for new calls.

    `status` gives the file system's figures, as `os.statvfs` does; `writable` says whether this
    process may make anything in a folder.
    """

    def __init__(
        self,
        folder: Path,
        reserved: int = 0,
        *,
        status: Callable[[Path], os.statvfs_result] = os.statvfs,
        writable: Callable[[Path], bool] = lambda folder: os.access(folder, os.W_OK | os.X_OK),
    ) -> None:
        self._folder = folder
        self.reserved = reserved
        self._status = status
        self._writable = writable

    @property
    def free_bytes(self) -> int:
        """What this process may still write. Raises `OSError`."""
        status = self._status(self._folder)
        return status.f_bavail * status.f_frsize

    @property
    def fault(self) -> str:
        """Why no call may begin, empty while one may. Raises `OSError`."""
        try:
            self.check()
        except SpoolFullError as error:
            return str(error)
        return ""

    def check(self) -> None:
        """Raise `SpoolFullError` when a new call might cost a running one its place, or `OSError`.

        A read-only file system has no room, nor has a folder that may not be written.
        """
        status = self._status(self._folder)
        if status.f_flag & os.ST_RDONLY:
            raise SpoolFullError(f"the spool {self._folder} is on a read-only file system")
        if not self._writable(self._folder / State.CAPTURING):
            raise SpoolFullError(f"the spool {self._folder} may not be written")
        free = status.f_bavail * status.f_frsize
        if free < self.reserved:
            raise SpoolFullError(
                f"the spool has {free / _MIB:.1f} MiB free, less than the"
                f" {self.reserved / _MIB:.1f} MiB that are kept for calls that run"
            )
        if self.reserved and status.f_files > 0 and status.f_favail < _RESERVED_FILES:
            raise SpoolFullError(f"the spool's file system takes {status.f_favail} more files only")

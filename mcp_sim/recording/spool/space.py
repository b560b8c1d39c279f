"""The room on the spool's disk: new calls are refused before it is full, running ones go on."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

#: An item of the spool has a handful of files and folders.
_RESERVED_FILES = 256
_MIB = 1024 * 1024


class SpoolFullError(Exception):
    """The disk has less room than is kept for the recordings that are on their way."""


class SpoolSpace:
    """The free space of the spool's file system. `reserved` bytes of it are not for new calls.

    `status` gives the file system's figures, as `os.statvfs` does.
    """

    def __init__(
        self,
        folder: Path,
        reserved: int = 0,
        *,
        status: Callable[[Path], os.statvfs_result] = os.statvfs,
    ) -> None:
        self._folder = folder
        self._reserved = reserved
        self._status = status

    @property
    def free_bytes(self) -> int:
        """What this process may still write. Raises `OSError`."""
        status = self._status(self._folder)
        return status.f_bavail * status.f_frsize

    def check(self) -> None:
        """Raise `SpoolFullError` when a new call might cost a running one its place, or `OSError`.

        A read-only file system has no room.
        """
        status = self._status(self._folder)
        if status.f_flag & os.ST_RDONLY:
            raise SpoolFullError(f"the spool {self._folder} is on a read-only file system")
        free = status.f_bavail * status.f_frsize
        if free < self._reserved:
            raise SpoolFullError(
                f"the spool has {free / _MIB:.1f} MiB free, less than the"
                f" {self._reserved / _MIB:.1f} MiB that are kept for calls that run"
            )
        if self._reserved and status.f_files > 0 and status.f_favail < _RESERVED_FILES:
            raise SpoolFullError(f"the spool's file system takes {status.f_favail} more files only")

"""Files that are there whole or not at all, also after a power loss."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

# Python has no such call. By CDLL: other threads run while it waits for the disk.
_syncfs = ctypes.CDLL(None, use_errno=True).syncfs
_syncfs.argtypes = (ctypes.c_int,)
_syncfs.restype = ctypes.c_int


def sync_folder(folder: Path) -> None:
    """Wait until the folder's entries are on stable storage. Raises `OSError`."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file_system(descriptor: int) -> None:
    """Wait until all that was written to the file system of an open file is on stable storage.

    For hundreds of files this costs as much as fsync of a few (syncfs(2)). Raises `OSError`.
    """
    if _syncfs(descriptor):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def write_file(path: Path, data: bytes) -> None:
    """Put `data` in place of whatever `path` was, mode 0600. Raises `OSError`."""
    temporary = path.with_name(f"{path.name}.part")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)

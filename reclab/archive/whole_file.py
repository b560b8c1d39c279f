"""Files that appear whole or not at all, and stay when the power fails."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_READ = 1 << 20
_REST = ".new"


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Write a file (0600) under a temporary name; it takes its place when the block has ended.

    The file and its name are on the disk then. When the block fails, nothing is left.
    """
    temporary = path.with_name(_temporary_name(path.name))
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` as a whole file."""
    with whole_file(path) as file:
        file.write(data)


def make_folders(root: Path, parts: tuple[str, ...]) -> Path:
    """Make the folders `parts` (0700) below `root`, each of them durable; return the last."""
    folder = root
    for part in parts:
        inner = folder / part
        if not inner.is_dir():
            inner.mkdir(mode=0o700, exist_ok=True)
            sync_folder(folder)
        folder = inner
    return folder


def clear_rests(folder: Path) -> None:
    """Take away what a killed run has left in `folder`."""
    for rest in folder.glob(f".*{_REST}"):
        rest.unlink()


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def holds(path: Path, prefix: bytes, size: int, sha256: str) -> bool:
    """Return whether the file is `prefix` and then `size` bytes with this digest."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size != len(prefix) + size:
                return False
            if file.read(len(prefix)) != prefix:
                return False
            digest = hashlib.sha256()
            while block := file.read(_READ):
                digest.update(block)
    except FileNotFoundError:
        return False
    return digest.hexdigest() == sha256.lower()


def _temporary_name(name: str) -> str:
    """Short, whatever the file is called."""
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f".{digest}{_REST}"

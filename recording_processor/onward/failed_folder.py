"""The folder of what could not be delivered: one JSON file per post, as it would have been sent.

A file is there whole or not at all, on the disk, for its owner alone (0600). Everything blocks.
"""

from __future__ import annotations

import os
import secrets
import stat
import threading
from contextlib import suppress
from pathlib import Path

import msgspec

from recording_processor.onward.file_name import file_name, folder_name, order

_LARGEST = 32 << 20
_REST = ".new"


class FailedFolder:
    """The files of one contact centre below `root`. Names are relative to it.

    `count` is how many there are, as far as they came and went here or were listed since.
    """

    def __init__(self, root: Path, *, domain: str, ccid: str) -> None:
        self.root = root
        self.count = 0
        self._counting = threading.Lock()
        self._domain = domain
        self._ccid = ccid
        # The part of the names that is the same for every tenant.
        self._first, _, self._last = folder_name(domain, "\0", ccid).partition("%00")

    def make(self) -> None:
        """Make the folder; clear what a killed process left. Raises `OSError`."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in self._folders():
            for rest in folder.glob(f".*{_REST}"):
                rest.unlink(missing_ok=True)

    def name(self, tenant: str, recording_id: str, filed_at: int) -> str:
        """Return the name under which a post is kept."""
        folder = folder_name(self._domain, tenant, self._ccid)
        return f"{folder}/{file_name(recording_id, filed_at)}"

    def keep(self, name: str, body: bytes) -> None:
        """Write a file; when this returns it survives a power cut. Raises `OSError`."""
        path = self.root / name
        if not path.parent.is_dir():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sync(self.root)
        temporary = path.parent / f".{secrets.token_hex(8)}{_REST}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            with self._counting:
                self.count += not path.exists()
                temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync(path.parent)

    def has(self, name: str) -> bool:
        """Return whether the file is there."""
        return (self.root / name).exists()

    def names(self) -> list[str]:
        """Return every file, the oldest post first. Raises `OSError`."""
        with self._counting:
            found = [
                f"{folder.name}/{entry.name}"
                for folder in self._folders()
                for entry in os.scandir(folder)
                if entry.name.endswith(".json")
                and not entry.name.startswith(".")
                and entry.is_file(follow_symlinks=False)
            ]
            self.count = len(found)
        return sorted(found, key=order)

    def read(self, name: str) -> bytes | None:
        """Return what a file holds, or None when it is no post. Raises `OSError`."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with os.fdopen(os.open(self.root / name, flags), "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode) or facts.st_size > _LARGEST:
                return None
            body = file.read()
        return body if _is_post(body) else None

    def remove(self, name: str) -> None:
        """Take a file away for good. Raises `OSError`."""
        path = self.root / name
        with self._counting, suppress(FileNotFoundError):
            path.unlink()
            self.count -= 1
        _sync(path.parent)

    def _folders(self) -> list[Path]:
        if not self.root.is_dir():
            return []
        return [
            Path(entry.path)
            for entry in os.scandir(self.root)
            if entry.is_dir(follow_symlinks=False)
            and entry.name.startswith(self._first)
            and entry.name.endswith(self._last)
        ]


class _Post(msgspec.Struct):
    id: str
    mediaFiles: list[msgspec.Raw]  # noqa: N815 - as it is on the wire


def _is_post(body: bytes) -> bool:
    try:
        msgspec.json.decode(body, type=_Post)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

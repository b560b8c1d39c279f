"""One upload on its way to a name: written under a temporary name, then renamed.

The temporary lies in the same folder, so that the rename is atomic. `commit` answers only when the
bytes and the name are on the disk: fsync of the file, rename, fsync of the folder. All calls block.

A temporary's name never depends on the final name. Such names are hidden from listings and cannot
be reached by URL; those that a crash left behind are removed at the next start.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from webdav_store.digests import ALGORITHMS
from webdav_store.errors import BodyCut, Refused, refusal_of

_PREFIX = ".reclab-upload-"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_MODE = 0o600
_MOST_BUFFERS = 512  # well below the kernel's IOV_MAX of 1024


def is_temporary(name: str) -> bool:
    """Whether a file of this name belongs to an upload under way."""
    return name.startswith(_PREFIX)


def sync_folder(folder: str | Path) -> None:
    """Make a folder's entries durable: what was renamed, created or removed in it."""
    descriptor = os.open(folder, _FOLDER)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def free_bytes(folder: str | Path | int) -> int:
    """Return the bytes that an ordinary process may still write on the folder's disk."""
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def remove_leftovers(root: Path) -> int:
    """Remove what uploads that never ended left below `root`; return how many there were."""
    removed = 0
    for folder, _, names in os.walk(root):
        for name in filter(is_temporary, names):
            (Path(folder) / name).unlink(missing_ok=True)
            removed += 1
    return removed


class Upload:
    """A body being written for `final`. `declared` is its length in bytes, None when unknown.

    `announced` maps algorithms to the digests that the client says the body has; `wanted` is the
    algorithm whose digest it would like to read in the answer. `only_new` refuses a name that is
    taken, `reserved` is the free space that the upload must leave.
    """

    def __init__(
        self,
        final: Path,
        *,
        declared: int | None = None,
        reserved: int = 0,
        only_new: bool = False,
        announced: dict[str, bytes] | None = None,
        wanted: str | None = None,
    ) -> None:
        self.final = final
        self.declared = declared
        self.size = 0
        self._reserved = reserved
        self._only_new = only_new
        self._announced = announced or {}
        chosen = set(self._announced) | ({wanted} if wanted else set())
        self._hashers = {name: ALGORITHMS[name]() for name in chosen}
        self._temporary = _PREFIX + secrets.token_hex(8)
        self._folder = -1
        self._file = -1

    @property
    def is_open(self) -> bool:
        """Whether `close` has something to do."""
        return self._folder >= 0

    def open(self) -> None:
        """Create the temporary. Raises `Refused` when the folder is missing or the disk full."""
        if self.is_open:
            return
        try:
            if self._only_new and os.path.lexists(self.final):
                # Told before the body is sent; that it still holds at the rename is checked there.
                raise Refused(412, "the file exists already")
            self._folder = os.open(self.final.parent, _FOLDER)
            if free_bytes(self._folder) - (self.declared or 0) < self._reserved:
                raise Refused(507, "the disk has not enough free space for this upload")
            self._file = os.open(self._temporary, _NEW_FILE, _FILE_MODE, dir_fd=self._folder)
        except OSError as error:
            raise refusal_of(error) from error

    def write(self, parts: Sequence[bytes]) -> None:
        """Append `parts`."""
        self.open()
        for hasher in self._hashers.values():
            for part in parts:
                hasher.update(part)
        try:
            for first in range(0, len(parts), _MOST_BUFFERS):
                self._write_all(parts[first : first + _MOST_BUFFERS])
        except OSError as error:
            raise refusal_of(error) from error

    def finish(self) -> None:
        """Check length and digests, and make the bytes durable; the name is not yet there."""
        self.open()
        if self.declared is not None and self.size != self.declared:
            raise BodyCut(400, f"{self.size} bytes came where {self.declared} were declared")
        for name, digest in self._announced.items():
            if self.digest(name) != digest:
                raise Refused(400, f"the body does not have the announced {name} digest")
        try:
            os.fsync(self._file)
        except OSError as error:
            raise refusal_of(error) from error

    def commit(self) -> None:
        """Give the file its name, in place of what had it before, and make that durable.

        Raises `Refused` (409) when the folder was moved or removed meanwhile.
        """
        try:
            if not os.path.samestat(self.final.parent.stat(), os.fstat(self._folder)):
                raise Refused(409, "the collection was moved during the upload")
            os.rename(self._temporary, self.final.name, **self._inside())  # noqa: PTH104 - dir_fd
            self._temporary = ""
            os.fsync(self._folder)
        except OSError as error:
            raise refusal_of(error) from error

    def digest(self, algorithm: str) -> bytes:
        """Return the digest of what was written so far."""
        return self._hashers[algorithm].digest()

    def close(self) -> None:
        """End the upload; without `commit` nothing of it remains."""
        if self._file >= 0 and self._temporary:
            with suppress(OSError):
                os.unlink(self._temporary, dir_fd=self._folder)
        for descriptor in (self._file, self._folder):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._folder = -1

    def _write_all(self, parts: Sequence[bytes]) -> None:
        written = os.writev(self._file, parts)
        self.size += written
        for part in parts:
            rest = part[written:]
            written = max(0, written - len(part))
            while rest:  # a short write: the disk filled up, or a signal came
                count = os.write(self._file, rest)
                self.size += count
                rest = rest[count:]

    def _inside(self) -> dict[str, int]:
        return {"src_dir_fd": self._folder, "dst_dir_fd": self._folder}

"""Who listened to what: an append-only file of JSON lines, one per playback, mode 0600.

A line that the disk did not take is kept and written later, whole; meanwhile the file is `behind`,
and nothing more is played. Each line is on disk (fdatasync) before `write` returns.
"""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections import deque
from dataclasses import Field, asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import msgspec
import structlog

from crypto_server.errors import AuditError

_MOST_WAITING = 16 << 20
_log = structlog.get_logger()


class AuditRecord(Protocol):
    """A dataclass whose fields are one line of the file. Holds no secret."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


@dataclass
class PlaybackRecord:
    """What is written about one playback; filled in while it goes on. Holds no secret.

    `source` is the peer's address, `forwarded_for` what the peer claimed to speak for. `part` is
    what was answered of the plaintext, as ``Content-Range`` writes it, None for all. `outcome` is
    ``played``, ``probed`` (HEAD), ``cut`` (the listener went away), ``forbidden`` (no role), or a
    refusal's. `status` is the HTTP status of the answer, `bytes` what was handed to the listener's
    connection.
    """

    time: str
    who: str
    source: str
    method: str
    recording: str
    media: str
    contact_center: str | None = None
    forwarded_for: str | None = None
    tenant: str | None = None
    key_alias: str | None = None
    verified: bool | None = None
    part: str | None = None
    outcome: str = "failed"
    status: int = 500
    bytes: int = 0
    seconds: float = 0.0


class Audit:
    """The audit file. `write` is for the event loop; the others may block for the disk."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._lines: deque[bytes] = deque()
        self._rest = _missing_line_end(descriptor)
        self._torn = b""  # what the file has of the line that `_rest` goes on with
        self._behind = False
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open or create the file; `AuditError` when that cannot be."""
        return cls(path, _open(path))

    @property
    def behind(self) -> bool:
        """Whether the disk did not take the last lines."""
        return self._behind

    async def write(self, record: AuditRecord) -> None:
        """Add the record's line. A disk that does not take it is logged, and tried again later.

        While it does not, nothing is played, and lines tell of refusals only: those beyond some
        megabytes are only logged, so that asking on and on does not fill the memory.
        """
        if self._behind and len(self._rest) > _MOST_WAITING:
            _log.error("An audit line was left out: too many wait for the disk")
            return
        self._lines.append(msgspec.json.encode(asdict(record)) + b"\n")
        try:
            await asyncio.to_thread(self.flush)
        except AuditError as error:
            _log.error("An audit line could not be written", reason=str(error))

    def flush(self) -> None:
        """Write and sync all that waits; `AuditError` when the disk does not take it."""
        with self._lock:
            while self._lines:
                self._rest += self._lines.popleft()
            try:
                while self._rest:
                    taken = os.write(self._descriptor, self._rest)
                    self._torn = (self._torn + self._rest[:taken]).rpartition(b"\n")[2]
                    self._rest = self._rest[taken:]
                os.fdatasync(self._descriptor)
                self._behind = False
            except OSError as error:
                self._behind = True
                raise _unusable(self._path, error) from None

    def reopen(self) -> None:
        """Go on in a new file after the old one was renamed (log rotation)."""
        fresh = _open(self._path)
        with self._lock:
            if not os.path.samestat(os.fstat(fresh), os.fstat(self._descriptor)):
                self._rest = _missing_line_end(fresh) + self._torn + self._rest
                self._torn = b""
            os.close(self._descriptor)
            self._descriptor = fresh

    def close(self) -> None:
        """Write what waits, and close the file."""
        try:
            self.flush()
        finally:
            os.close(self._descriptor)


def _open(path: Path) -> int:
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise _unusable(path, error) from None
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.fchmod(descriptor, 0o600)
    return descriptor


def _missing_line_end(descriptor: int) -> bytes:
    """Return what closes a line that a crash left torn, so that the next one stands alone."""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_size == 0:
        return b""
    return b"" if os.pread(descriptor, 1, found.st_size - 1) == b"\n" else b"\n"


def _unusable(path: Path, error: OSError) -> AuditError:
    reason = os.strerror(error.errno or 0).lower()
    return AuditError(f"the audit file {path} cannot be written: {reason}")

"""The folder that holds the recordings: made, locked to one process, cleaned, and asked for space.

Only one store may serve a folder, because it removes what unfinished uploads left behind.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

import structlog

from service_shell.settings import SettingsError
from webdav_store.errors import Refused
from webdav_store.upload import Upload, free_bytes, remove_leftovers

_log = structlog.get_logger()
_FOLDER_MODE = 0o700


class StoreRoot:
    """The opened root folder. `close` gives it free for another process."""

    def __init__(self, folder: Path, *, reserved_bytes: int = 0) -> None:
        self.folder = folder
        self.reserved_bytes = reserved_bytes
        self._descriptor = -1

    def open(self) -> None:
        """Make, lock, try and clean the folder. Raises `SettingsError` with one sentence."""
        try:
            self.folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            self.folder = self.folder.resolve()
            self._descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            removed = remove_leftovers(self.folder)
            self._try_to_write()
        except BlockingIOError:
            self.close()
            message = f"the folder {self.folder} is served by another store already"
            raise SettingsError(message) from None
        except OSError as error:
            self.close()
            reason = (error.strerror or "unknown error").lower()
            raise SettingsError(f"the folder {self.folder} cannot be used: {reason}") from None
        except Refused as refused:
            self.close()
            message = f"the folder {self.folder} cannot be written: {refused.sentence}"
            raise SettingsError(message) from None
        if removed:
            _log.warning("Unfinished uploads were removed", count=removed)

    def close(self) -> None:
        """Unlock the folder."""
        if self._descriptor >= 0:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1

    def free_bytes(self) -> int:
        """Return the free space of the folder's disk, 0 when the disk does not say."""
        try:
            return free_bytes(self.folder)
        except OSError:
            return 0

    def fault(self) -> str | None:
        """Return in one sentence why no upload can be stored now, or None."""
        if not os.access(self.folder, os.W_OK | os.X_OK):
            return "the folder cannot be written"
        if self.free_bytes() <= self.reserved_bytes:
            return "the disk has no free space left for uploads"
        return None

    def _try_to_write(self) -> None:
        trial = Upload(self.folder / "trial")
        try:
            trial.finish()
        finally:
            trial.close()

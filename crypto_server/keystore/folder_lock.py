"""Who uses a keystore's folder, and who changes it: two lock files.

Whoever has the keystore open holds ``.lock`` shared, so that nobody else changes its password.
Whoever writes, or opens, holds ``.writing.lock`` for that moment. A killed process holds nothing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crypto_server.errors import KeystoreError
from crypto_server.keystore.private_files import keep_owner, unusable

_PATIENCE = 30.0
_LOOK_EVERY = 0.02
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


class FolderInUse(KeystoreError):
    """Another process has the keystore open."""


class FolderLock:
    """The locks of one keystore folder, as one open keystore holds them.

    In a folder that cannot be written there may be no lock file: then nothing is locked, and
    nothing can be changed either.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: int | None = None
        self._close: weakref.finalize[[int], FolderLock] | None = None
        self._open()

    def share(self) -> None:
        """Hold the folder together with others, until `close`."""
        self._take(fcntl.LOCK_SH)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder alone meanwhile; within `writing` only. Raises `FolderInUse`."""
        try:
            self._take(fcntl.LOCK_EX)
            yield
        finally:
            self.share()  # the kernel may have let go of it where it did not give more

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keep all others from writing, and from opening, meanwhile."""
        descriptor = _open(self._folder / ".writing.lock")
        try:
            if descriptor is not None:
                self._wait_for(descriptor)
            yield
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def close(self) -> None:
        """Let go of the folder."""
        if self._close is not None:
            self._close()

    def _open(self) -> None:
        self._held = _open(self._folder / ".lock")
        if self._held is not None:
            self._close = weakref.finalize(self, os.close, self._held)

    def _take(self, how: int) -> None:
        if self._held is None:  # it could not be made before: the folder was read-only
            self._open()
        if self._held is not None and not self._taken(self._held, how):
            raise FolderInUse(f"the keystore {self._folder} is in use by another process")

    def _wait_for(self, descriptor: int) -> None:
        give_up = time.monotonic() + _PATIENCE
        while not self._taken(descriptor, fcntl.LOCK_EX):
            if time.monotonic() > give_up:
                message = f"the keystore {self._folder} is being changed by another process"
                raise KeystoreError(message)
            time.sleep(_LOOK_EVERY)

    def _taken(self, descriptor: int, how: int) -> bool:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:  # a file system without locks
            raise unusable(self._folder, error) from None
        return True


def _open(path: Path) -> int | None:
    flags = os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | flags, 0o600)
        keep_owner(descriptor, path.parent)
    except OSError as error:
        if error.errno not in _READ_ONLY:
            raise unusable(path.parent, error) from None
    else:
        return descriptor
    try:
        return os.open(path, os.O_RDONLY | flags)
    except OSError as error:
        if os.path.lexists(path) and os.access(path.parent, os.W_OK):
            # Somebody else's lock: one who could write must not go past it.
            raise unusable(path.parent, error) from None
        return None

"""A lab's folder is held by one lab at a time, and until the last of its services has ended.

Two files are locked: `lock` by the lab itself, `services.lock` also by each service, which inherits
the descriptor. So a lab that was killed leaves the folder to the next one only when its services,
which still finish their calls and hold its ports, are gone.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from service_shell.settings import SettingsError

_LOOK_EVERY = 0.1
_PATIENCE = 90.0


@contextmanager
def lab_lock(folder: Path) -> Iterator[None]:
    """Hold `folder`. Raises `SettingsError` when another lab does, or it cannot be written."""
    descriptor = _open(folder / "lock")
    try:
        if not _taken(descriptor):
            raise SettingsError(
                f"another lab is up in {folder}: end it, or name another folder by --data"
            )
        yield
    finally:
        os.close(descriptor)


@asynccontextmanager
async def services_lock(folder: Path, say: Callable[[str], None]) -> AsyncIterator[int]:
    """Wait until no service runs in `folder`; yield the descriptor that new ones have to inherit.

    Raises `SettingsError` when they do not end, or the folder cannot be written.
    """
    descriptor = _open(folder / "services.lock")
    try:
        await _wait_for(descriptor, folder, say)
        yield descriptor
    finally:
        os.close(descriptor)


async def _wait_for(services: int, folder: Path, say: Callable[[str], None]) -> None:
    if _taken(services):
        return
    say("Waiting for the services of a lab that was killed in this folder …")
    give_up = asyncio.get_running_loop().time() + _PATIENCE
    while not _taken(services):
        if asyncio.get_running_loop().time() > give_up:
            raise SettingsError(f"services of an earlier lab still run in {folder}")
        await asyncio.sleep(_LOOK_EVERY)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise SettingsError(f"{path} cannot be written: {reason}") from None


def _taken(descriptor: int) -> bool:
    """Take the lock; return False when another holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

"""The spool: recordings on their way, as folders on disk. The disk is the queue.

An item is a folder: ``journal`` until it is sealed, then ``media.bin`` and ``item.json``. No
plaintext, session key or password lies here, and nothing goes before it was delivered.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from mcp_sim.recording.plan import RecordingPlan
from mcp_sim.recording.spool.durable import sync_folder, write_file
from mcp_sim.recording.spool.folders import (
    COPY_PROGRESS,
    CRASHES,
    FAILURE,
    JOURNAL,
    MEDIA,
    PROGRESS,
    SpoolFolders,
    State,
)
from mcp_sim.recording.spool.lock import SpoolLock

__all__ = ["Spool", "SpoolError", "State", "item_name"]

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST_ID = 120


class SpoolError(Exception):
    """The spool cannot be used; the text is one sentence that names the folder."""


class Spool(SpoolFolders):
    """The folders of one spool, locked until `close`. Methods touch the disk and block."""

    def __init__(self, root: Path, *, wait: float = 15.0, keep_delivered: int = 1000) -> None:
        """Make what is missing and take the lock, within `wait` seconds. Raises `SpoolError`.

        Of delivered items the newest `keep_delivered` descriptions are kept.
        """
        super().__init__(root)
        self._keep_delivered = keep_delivered
        try:
            if not root.is_dir():
                root.mkdir(mode=0o700, parents=True, exist_ok=True)
                sync_folder(root.parent)
            self._lock = SpoolLock(root, wait=wait)
        except TimeoutError:
            raise SpoolError(f"the spool {root} is in use by another process") from None
        except OSError as error:
            raise _unusable(root, error) from None
        try:
            for state in State:
                (root / state).mkdir(mode=0o700, exist_ok=True)
            sync_folder(root)
        except OSError as error:
            self._lock.release()
            raise _unusable(root, error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def lock_descriptor(self) -> int:
        """To be inherited by every child process that writes into the spool."""
        return self._lock.descriptor

    def close(self) -> None:
        """Let the lock go."""
        self._lock.release()

    def create(self, item: str) -> Path:
        """Return the new folder of an item to be captured. Raises `OSError` if there is one."""
        folder = self.folder(item, State.CAPTURING)
        folder.mkdir(mode=0o700)
        sync_folder(folder.parent)
        return folder

    def fail(self, item: str, reason: str) -> None:
        """Put an item aside with all that it has, for a person to look at. Raises `OSError`.

        The reason comes first: whoever finds an item aside may take it back, and must not meet us.
        """
        folder = self.folder(item, self.state_of(item) or State.FAILED)
        try:
            write_file(folder / FAILURE, f"{reason}\n".encode())
        finally:  # on a full disk it is put aside without a word
            self.advance(item, State.FAILED)

    def take_back(self, item: str, state: State) -> None:
        """Give an item that was put aside another try, as it is in `state`. Raises `OSError`.

        Its reason goes after the move, so that no crash leaves one aside without a reason.
        """
        if state is State.RENDERING:
            (self.folder(item, State.FAILED) / CRASHES).unlink(missing_ok=True)
        (self.advance(item, state) / FAILURE).unlink(missing_ok=True)

    def discard(self, item: str) -> None:
        """Remove an item that holds nothing. Raises `OSError`."""
        state = self.state_of(item)
        if state is not None:
            shutil.rmtree(self.folder(item, state))
            sync_folder(self.root / state)

    def finish(self, item: str) -> None:
        """Take note that everything of an item was delivered: only then its sound may go."""
        _drop_sound(self.advance(item, State.DELIVERED))
        self._forget_oldest()

    def recover(self) -> list[str]:
        """Take up what an earlier process left behind; return the items to be rendered.

        To be called once, before anything is captured. Whoever wrote here is gone: the lock waited.
        """
        for item in self.items(State.CAPTURING):
            self.advance(item, State.RENDERING)
        for item in self.items(State.READY):
            (self.folder(item, State.READY) / JOURNAL).unlink(missing_ok=True)
        for item in self.items(State.DELIVERED):
            _drop_sound(self.folder(item, State.DELIVERED))
        self._forget_oldest()
        return self.items(State.RENDERING)

    def _forget_oldest(self) -> None:
        """Keep the number of delivered items bounded."""
        folder = self.root / State.DELIVERED
        items: list[tuple[float, str]] = []
        for entry in os.scandir(folder):
            with suppress(FileNotFoundError):  # several deliveries end at once
                items.append((entry.stat().st_mtime, entry.path))
        # Sorted seldom: an eighth more than wanted is let in before they are counted out.
        if len(items) <= self._keep_delivered + self._keep_delivered // 8:
            return
        for _, path in sorted(items)[: -self._keep_delivered or None]:
            shutil.rmtree(path, ignore_errors=True)


def item_name(plan: RecordingPlan) -> str:
    """Return the name of a recording's item: its id (as far as a name can have it) and serial."""
    return _UNSAFE.sub("-", plan.recording_id)[:_LONGEST_ID] + str(plan.serial)


def _drop_sound(folder: Path) -> None:
    for name in (MEDIA, JOURNAL, PROGRESS, COPY_PROGRESS, FAILURE):
        (folder / name).unlink(missing_ok=True)


def _unusable(root: Path, error: OSError) -> SpoolError:
    reason = os.strerror(error.errno or 0).lower()
    return SpoolError(f"the spool {root} cannot be used: {reason}")

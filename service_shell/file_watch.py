"""Files that somebody renews while a service runs: looked at every few seconds, never locked.

Links are followed, so that a renewal which moves a link is seen as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

LOOK_SECONDS = 2.0
_Mark = tuple[int, int, int] | None


class FileWatch:
    """Says whether any of some files has changed since the last look."""

    def __init__(self, files: Sequence[str]) -> None:
        self._files = [Path(file) for file in files]
        self._seen = self._look()

    def changed(self) -> bool:
        """Look; True when a file is another than at the last look, came or went."""
        found = self._look()
        before, self._seen = self._seen, found
        return found != before

    def _look(self) -> list[_Mark]:
        return [_mark(file) for file in self._files]


def _mark(file: Path) -> _Mark:
    try:
        about = file.stat()
    except OSError:
        return None
    # Of the inode, so that a change of the mode counts too: it may be what was wrong.
    return about.st_ctime_ns, about.st_ino, about.st_size


@asynccontextmanager
async def repeating(work: Callable[[], None]) -> AsyncIterator[None]:
    """Do `work` in a thread every `LOOK_SECONDS`, until the block ends."""

    async def repeat() -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await asyncio.to_thread(work)

    task = asyncio.create_task(repeat(), name="files that may change")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

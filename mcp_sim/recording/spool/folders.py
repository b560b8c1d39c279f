"""The folders of a spool, and the one way in which an item goes from one to the next.

A recording's state is the folder in which its item lies, changed by one durable rename:
capturing → rendering → ready → (delivered | failed).
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path

from mcp_sim.recording.spool.durable import sync_folder

JOURNAL = "journal"
MEDIA = "media.bin"
ITEM = "item.json"
PROGRESS = "progress.json"
COPY_PROGRESS = "copy-progress.json"
FAILURE = "failure.txt"
CRASHES = "crashes"


class State(StrEnum):
    """Where an item is on its way."""

    CAPTURING = "capturing"
    RENDERING = "rendering"
    READY = "ready"
    DELIVERED = "delivered"
    FAILED = "failed"


class SpoolFolders:
    """The folders under `root`; whoever writes there holds the spool's lock or inherited it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, item: str, state: State) -> Path:
        """Return where `item` lies while it is in `state`."""
        return self.root / state / item

    def items(self, state: State) -> list[str]:
        """Return the items of a state, sorted by name."""
        return sorted(entry.name for entry in os.scandir(self.root / state) if entry.is_dir())

    def state_of(self, item: str) -> State | None:
        """Return the state of an item, or None if there is none of that name."""
        return next((state for state in State if self.folder(item, state).is_dir()), None)

    def advance(self, item: str, state: State) -> Path:
        """Move an item to `state`, durably; return its folder. Raises `OSError`.

        An item that is there already stays.
        """
        target = self.folder(item, state)
        before = self.state_of(item)
        if before is None:
            raise FileNotFoundError(f"there is no item {item} in the spool {self.root}")
        if before is not state:
            # The contents first, so that no power loss leaves an item in a state without them.
            sync_folder(self.folder(item, before))
            self.folder(item, before).replace(target)
            sync_folder(target.parent)
            sync_folder(self.root / before)
        return target

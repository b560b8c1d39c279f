"""Recordings that were put aside: what could not be rendered or delivered, for a person to look at.

They lie in the spool's folder ``failed`` with all that there is of them, and with the reason.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from mcp_sim.recording.spool.folders import FAILURE, JOURNAL, SpoolFolders, State
from recording_format.timestamps import format_time

MOST_SHOWN = 200
_LONGEST_REASON = 2000


class PutAside(msgspec.Struct, frozen=True):
    """One recording that waits for a person: its `item` in the spool, since when, and why.

    `sealed`: it was rendered, what failed is its delivery; else there is its journal.
    """

    item: str
    since: str
    reason: str
    sealed: bool


def put_aside(spool: SpoolFolders) -> list[PutAside]:
    """Return the newest of them, newest first. Raises `OSError`."""
    found = []
    for item in spool.items(State.FAILED):
        with suppress(FileNotFoundError):  # it has just been taken back
            found.append(_look_at(spool.folder(item, State.FAILED), item))
    return sorted(found, key=lambda one: (one.since, one.item), reverse=True)[:MOST_SHOWN]


def _look_at(folder: Path, item: str) -> PutAside:
    try:
        with (folder / FAILURE).open(encoding="utf-8", errors="replace") as file:
            reason = file.read(_LONGEST_REASON).strip()
    except OSError:
        reason = "it does not say why"  # the disk took no note of it
    since = datetime.fromtimestamp(folder.stat().st_mtime, UTC)
    return PutAside(item, format_time(since), reason, not (folder / JOURNAL).exists())

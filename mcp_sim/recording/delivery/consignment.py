"""What is delivered by itself: a recording, or the copy of it in a second store.

Each has its own way, tries and progress, so that one store that is down keeps nobody from the
other. The item stays in the spool until all of its consignments are settled.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec

from mcp_sim.recording.delivery.route import Route, origin_of
from mcp_sim.recording.spool.folders import ITEM
from mcp_sim.recording.spool.item import Part, Progress, read_progress


class Consignment(NamedTuple):
    """A part of an item in the spool, by the item's name."""

    item: str
    part: Part = Part.RECORDING


class Pending(NamedTuple):
    """A consignment that was found in the spool, where it goes, and how far it came."""

    consignment: Consignment
    route: Route
    progress: Progress


class _Addresses(msgspec.Struct):
    """The part of ``item.json`` that tells where an item goes."""

    object_url: str
    processor_url: str
    copy_url: str = ""


def read_pending(item: str, folder: Path) -> list[Pending]:
    """Return what is to be done for `item`; one that cannot be read goes nowhere, as a whole.

    Where all is settled, and only the last step on disk was not done, that step is one of them.
    Raises `OSError` while too many files are open.
    """
    try:
        addresses = msgspec.json.decode((folder / ITEM).read_bytes(), type=_Addresses)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return [Pending(Consignment(item), Route(), read_progress(folder))]
    routes = {
        Part.RECORDING: Route(origin_of(addresses.object_url), origin_of(addresses.processor_url))
    }
    if addresses.copy_url:
        routes[Part.COPY] = Route(origin_of(addresses.copy_url))
    found = [
        Pending(Consignment(item, part), route, read_progress(folder, part))
        for part, route in routes.items()
    ]
    return [pending for pending in found if not pending.progress.settled] or found[:1]

"""What is the matter with an item of the spool, and whether a retry is worth it. Pure.

What lies there decides first, then what the last try said, then how its destinations answer now.
"""

from __future__ import annotations

from typing import NamedTuple

from mcp_sim.readdressing import PROCESSOR, SECOND_STORE, STORE
from mcp_sim.recording.spool.folders import State
from mcp_sim.recording.spool.item import Part
from reclab.recover.causes import Cause
from reclab.recover.faults import ADDRESSES, cause_of
from reclab.recover.report import DestinationState, Finding
from reclab.recover.spool_scan import SpoolEntry

_STORES = (STORE, SECOND_STORE)


class Route(NamedTuple):
    """An item's destinations as they are now; None where there is none to be asked. `replaced` are
    (destination, before, after) of those whose address the profile has corrected.
    """

    store: DestinationState | None = None
    processor: DestinationState | None = None
    replaced: tuple[tuple[str, str, str], ...] = ()

    @property
    def well(self) -> bool:
        """Whether a delivery can succeed as far as anybody knows."""
        return all(one is None or one.well for one in (self.store, self.processor))


class Judgement(NamedTuple):
    """Why an item is not delivered. `retry`: whether a retry can help it."""

    cause: Cause
    reason: str
    retry: bool = False


def judge(entry: SpoolEntry, route: Route, *, running: bool) -> Judgement | None:
    """Return what is the matter with an item, None for one that is on its way.

    `running`: a platform holds the spool, and works on it.
    """
    if entry.state is State.DELIVERED:
        return None
    if entry.state in (State.CAPTURING, State.RENDERING):
        return None if running else _unfinished(entry)
    if not entry.deliverable:
        return _undeliverable(entry)
    if entry.state is State.FAILED:
        return _failed(entry, route)
    return _waiting(entry, route, running=running)


def finding_of(entry: SpoolEntry, judged: Judgement) -> Finding:
    """Return the finding about an item."""
    return Finding.of(
        judged.cause,
        judged.reason,
        place="spool",
        state=entry.state,
        where=entry.folder,
        recording=entry.recording,
        media=entry.media or entry.name,
        tries=entry.progress.tries,
    )


def _unfinished(entry: SpoolEntry) -> Judgement:
    doing = "recorded" if entry.state is State.CAPTURING else "rendered"
    return Judgement(
        Cause.UNFINISHED, f"the platform ended while the call was being {doing}", retry=True
    )


def _undeliverable(entry: SpoolEntry) -> Judgement:
    if entry.has_journal and entry.state is State.FAILED:
        reason = entry.put_aside or "it was put aside before it was rendered"
        return Judgement(Cause.RENDER_FAILED, reason, retry=True)
    if entry.unreadable:
        return Judgement(Cause.METADATA_UNPARSABLE, entry.unreadable)
    if entry.incomplete:
        return Judgement(Cause.METADATA_INCOMPLETE, entry.incomplete)
    if not entry.described:
        reason = "the media file lies there without its metadata"
        if not entry.has_sound:
            reason = "the folder holds neither the media file nor its metadata"
        return Judgement(Cause.METADATA_MISSING, reason)
    return Judgement(Cause.MEDIA_MISSING, "the metadata lie there without the media file")


def _failed(entry: SpoolEntry, route: Route) -> Judgement:
    reason = entry.put_aside or "nobody wrote down why it was put aside"
    cause = _corrected(cause_of(entry.put_aside), route)
    return Judgement(cause, reason, retry=True)


def _waiting(entry: SpoolEntry, route: Route, *, running: bool) -> Judgement | None:
    # What was given up waits for the other part, and is put aside with it.
    fault = entry.progress.given_up or entry.progress.fault
    if fault:
        tries = "once" if entry.progress.tries == 1 else f"{entry.progress.tries} times"
        what = "its copy" if entry.part is Part.COPY else "it"
        reason = f"{fault}; {what} was tried {tries}"
        return Judgement(_corrected(cause_of(fault), route), _told(reason, route), retry=True)
    for one in (route.store, route.processor):
        if one is not None and not one.well:
            return Judgement(_corrected(cause_of(one.said), route), one.said, retry=True)
    if running:
        return None  # it is its turn in a moment
    return Judgement(
        Cause.NOT_DELIVERED, "the platform ended before it was its turn to be delivered", retry=True
    )


def _corrected(cause: Cause, route: Route) -> Cause:
    """A destination that did not answer at an address that the profile has replaced was wrong."""
    wrong = ADDRESSES.get(cause)
    kinds = _STORES if wrong is Cause.STORAGE_ADDRESS else (PROCESSOR,)
    return wrong if wrong and any(one[0] in kinds for one in route.replaced) else cause


def _told(reason: str, route: Route) -> str:
    """Return `reason` with what has changed since the last try."""
    known = [one for one in (route.store, route.processor) if one is not None]
    if not known or not route.well:
        return reason
    who = "both destinations answer" if len(known) > 1 else "the store answers"
    return f"{reason}; {who} well now"

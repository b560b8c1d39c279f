"""One recording while its call runs: dialogs come and go, it is paused and resumed, it ends once.

The room where signalling and recording meet. A `Call` lives from the first INVITE to the last BYE
(or the stop). What happens is written to the journal by the capture process; nothing here touches
media.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from mcp_sim.invitation import Kind
from mcp_sim.legs import Leg, Legs
from mcp_sim.placement import Channel, place_gir, place_siprec
from mcp_sim.recording.capture.client import CaptureClient, CaptureError, CaptureTimeoutError
from mcp_sim.recording.plan import (
    Ended,
    Event,
    LegsPlaced,
    ParametersChanged,
    Paused,
    RecordingPlan,
    Resumed,
    Started,
)
from mcp_sim.sip.message import HeaderList
from mcp_sim.sip.offer_answer import AudioLine
from mcp_sim.sip.siprec import RecordingSession
from mcp_sim.wall_clock import WallClock

_log = structlog.get_logger()
_HANG_UP_SECONDS = 3.0
_MOST_PARAMETERS = 200


class CallOverError(Exception):
    """The recording has ended: nothing can be added to it or changed any more."""

    def __init__(self) -> None:
        super().__init__("the recording has ended")


class TooManyParametersError(Exception):
    """The recording has as many parameters as its metadata can hold."""


@dataclass(slots=True, eq=False)
class Dialog:
    """One SIP dialog of the call: its legs by m-line, and how to end it from our side.

    `gone` says whether it is over on the wire, even before its conversation has taken note.
    """

    id: str
    hang_up: Callable[[HeaderList], Awaitable[object]]
    gone: Callable[[], bool]
    dn: str = ""
    legs: dict[int, Leg] = field(default_factory=dict)


class CallOwner(Protocol):
    """Who opens a call's journal and takes over what it becomes."""

    async def open_journal(self, call: Call) -> None:
        """Have the capture process begin the journal. Raises `CaptureError` or `OSError`."""

    def release(self, call: Call) -> None:
        """The call ends: its id and its conference are free for the next one."""

    async def complete(self, call: Call, *, closed: bool) -> None:
        """The call has ended; `closed`: nothing writes to its journal any more."""


class Call:
    """A recording in progress. Changes raise `CaptureError` where the capture process refuses.

    `item` names its folder in the spool. `started_wall_ns` (Unix time) is None until the first 2xx.
    `ended` is set when the owner has taken the recording over. `source` placed its first INVITE;
    `rtp_timeout` seconds without a packet end it, 0: no silence does.
    """

    def __init__(
        self,
        plan: RecordingPlan,
        item: str,
        capture: CaptureClient,
        owner: CallOwner,
        *,
        kind: Kind,
        conference: str = "",
        siprec_left: str = "",
        source: str = "",
        rtp_timeout: float = 0.0,
        wall: WallClock | None = None,
    ) -> None:
        self.plan = plan
        self.source = source
        self.rtp_timeout = rtp_timeout
        self.item = item
        self.capture = capture
        self.kind = kind
        self.conference = conference
        self.legs = Legs(plan.recording_id, capture)
        self.dialogs: list[Dialog] = []
        self.channels: dict[int, Channel] = {}
        self.parameters = dict(plan.parameters)
        self.paused = False
        self.started_wall_ns: int | None = None
        self.ending = False
        self.ended = asyncio.Event()
        self._owner = owner
        self._siprec: RecordingSession | None = None
        self._siprec_left = siprec_left
        self._wall = wall or WallClock()
        self._told_to_pause = False
        self._left_ns = 0
        self._journal_asked = False
        self._opening = asyncio.Lock()
        self._changing = asyncio.Lock()

    @property
    def id(self) -> str:
        """The recording's id."""
        return self.plan.recording_id

    @property
    def over(self) -> bool:
        """Whether nobody can join any more: it ends, or its last dialog was hung up."""
        return self.ending or (bool(self.dialogs) and all(d.gone() for d in self.dialogs))

    # Dialogs

    def enter(self, dialog: Dialog) -> None:
        """Take a dialog in, before anything is awaited: the call does not end without it."""
        self.dialogs.append(dialog)

    async def change(
        self,
        dialog: Dialog,
        lines: Sequence[AudioLine] | None,
        siprec: RecordingSession | None = None,
    ) -> None:
        """Take the dialog's newest offer: open new lines, close those that are gone, pause.

        `lines` None leaves the streams as they are (an update of the metadata alone). Raises
        `CallOverError`; for the first one, whatever opening the journal raises.
        """
        await self._open()
        async with self._changing:
            self._check()
            if lines is not None:
                dialog.legs = await self.legs.follow(dialog.legs, lines, dialog.dn)
            if siprec is not None:
                self._siprec = self._siprec.updated(siprec) if self._siprec else siprec
            if self._siprec is not None:
                self.legs.name_speakers(self._siprec)
            await self._place()
            await self._follow_activity()

    async def started(self, sent_ns: int) -> None:
        """A 2xx was sent at `sent_ns` (CLOCK_MONOTONIC); the first one begins the call's clock."""
        if self.started_wall_ns is None:
            self.started_wall_ns = self._wall.nanoseconds() - (time.monotonic_ns() - sent_ns)
            await self._write(Started(sent_ns, self.started_wall_ns))

    async def leave(self, dialog: Dialog, reason: str, at_ns: int) -> None:
        """The dialog was over at `at_ns`; the last one ends the recording. Raises nothing."""
        if dialog in self.dialogs:
            self.dialogs.remove(dialog)
        self._left_ns = max(self._left_ns, at_ns)
        if not self.dialogs:
            await self.end(reason, self._left_ns)
            return
        async with self._changing:
            for leg in dialog.legs.values():
                if not self.ending:
                    await self.legs.close(leg)
            with suppress(CaptureError):  # who remains may all be on hold; if not told, they end
                await self._follow_activity()

    # Commands

    async def pause(self) -> None:
        """Nothing that arrives from now on may be kept. Raises `CallOverError`."""
        await self._pause(commanded=True)

    async def resume(self) -> None:
        """The end of a commanded pause. Raises `CallOverError`."""
        await self._pause(commanded=False)

    async def set_parameters(self, parameters: Mapping[str, str]) -> None:
        """Add parameters of the recording; a later value replaces an earlier one.

        Raises `TooManyParametersError` or `CallOverError`.
        """
        async with self._changing:
            self._check()
            await self._note(parameters)
            await self._place()

    async def stop(self, reason: str, headers: HeaderList = ()) -> None:
        """End the recording from our side, and hang up on everybody; `headers` go with the BYE."""
        dialogs = list(self.dialogs)
        await self.end(reason)
        with suppress(TimeoutError):  # a BYE that nobody answers goes on by itself
            async with asyncio.timeout(_HANG_UP_SECONDS):
                hanging = (dialog.hang_up(headers) for dialog in dialogs)
                await asyncio.gather(*hanging, return_exceptions=True)

    async def end(self, reason: str, at_ns: int | None = None) -> None:
        """Complete the journal and hand it over; only the first call of this does anything.

        The recording ends at `at_ns` (CLOCK_MONOTONIC), by default now.
        """
        if self.ending:
            await self.ended.wait()
            return
        self.ending = True
        answered = self.started_wall_ns is not None
        _log.info("A call ended", recording_id=self.id, reason=reason, answered=answered)
        ended = Ended(at_ns or time.monotonic_ns(), reason)
        try:
            async with self._opening:  # a journal that is being opened is not left behind
                self._owner.release(self)
            # The request goes out before anything else can run: behind it the id is free.
            closed = await self._close_journal(ended) if self._journal_asked else True
            await self._owner.complete(self, closed=closed)
        finally:
            self.ended.set()

    # Inside

    def _check(self) -> None:
        if self.ending:
            raise CallOverError

    async def _open(self) -> None:
        """The first dialog opens the journal, the others wait for it."""
        async with self._opening:
            self._check()
            if not self._journal_asked:
                self._journal_asked = True
                await self._owner.open_journal(self)

    async def _close_journal(self, ended: Ended) -> bool:
        try:
            await self.capture.close_call(self.id, ended)
        except CaptureTimeoutError as error:
            # Somebody may still write to it: the next start takes it up.
            _log.error("A journal was left for the next start", item=self.item, fault=str(error))
            return False
        except CaptureError as error:
            # What is on disk is rendered all the same, and marked as recovered.
            if self.started_wall_ns is not None:
                _log.error("A journal was not closed", item=self.item, fault=str(error))
        return True

    async def _place(self) -> None:
        placed = self.legs.to_place()
        if self.kind == "siprec":
            channels = place_siprec(placed, self._siprec_left)
        else:
            channels = place_gir(placed, self.parameters)
        if channels != self.channels:
            await self._write(LegsPlaced(dict(channels)))
            self.channels = channels
        numbers = self.legs.numbers(self.channels)
        await self._note({k: v for k, v in numbers.items() if k not in self.parameters})

    async def _note(self, parameters: Mapping[str, str]) -> None:
        new = {k: v for k, v in parameters.items() if self.parameters.get(k) != v}
        if not new:
            return
        if len(self.parameters | new) > _MOST_PARAMETERS:
            message = f"a recording has no more than {_MOST_PARAMETERS} parameters"
            raise TooManyParametersError(message)
        await self._write(ParametersChanged(new))
        self.parameters |= new

    async def _pause(self, *, commanded: bool) -> None:
        async with self._changing:
            self._check()
            before, self._told_to_pause = self._told_to_pause, commanded
            try:
                await self._follow_activity()
            except BaseException:
                self._told_to_pause = before
                raise

    async def _follow_activity(self) -> None:
        """Paused is: commanded, or every open leg is inactive."""
        paused = self._told_to_pause or self.legs.silent
        if paused != self.paused:
            now = time.monotonic_ns()
            await self._write(Paused(now) if paused else Resumed(now))
            self.paused = paused

    async def _write(self, event: Event) -> None:
        if not self.ending:
            await self.capture.event(self.id, event)

"""One recording while its call runs: legs are opened, placed, paused and closed, and it ends once.

The only room that knows both signalling and recording. A `Call` lives from the first INVITE to the
last BYE (or the stop); SIP dialogs join it and leave it. What happens is written to the journal by
the capture process; nothing here touches media.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from mcp_sim.invitation import address_user
from mcp_sim.placement import Channel, PlacedLeg, place_gir, place_siprec
from mcp_sim.recording.capture_client import CaptureClient, CaptureError
from mcp_sim.recording.plan import (
    Ended,
    Event,
    LegOpened,
    LegsPlaced,
    ParametersChanged,
    Paused,
    RecordingPlan,
    Resumed,
    Started,
)
from mcp_sim.sip.offer_answer import AudioLine
from mcp_sim.sip.siprec import RecordingSession

_log = structlog.get_logger()
_CLOCK_RATE = 8000


@dataclass(slots=True)
class Leg:
    """One stream into the recording: where it is received, and who is heard on it."""

    number: int
    label: str
    host: str
    port: int
    codecs: dict[int, str]
    dn: str = ""
    aors: tuple[str, ...] = ()
    active: bool = True
    closed: bool = False


@dataclass(slots=True)
class Dialog:
    """One SIP dialog of the call: its legs by m-line, and how to end it from our side."""

    hang_up: Callable[[], Awaitable[None]]
    dn: str = ""
    legs: dict[int, Leg] = field(default_factory=dict)


class Call:
    """A recording in progress. Raises `CaptureError` where the capture process refuses.

    `item` names its folder in the spool. `on_end` is awaited once, when the journal is complete.
    """

    def __init__(
        self,
        plan: RecordingPlan,
        item: str,
        capture: CaptureClient,
        *,
        siprec_left: str,
        on_end: Callable[[Call], Awaitable[None]],
    ) -> None:
        self.plan = plan
        self.item = item
        self.capture = capture
        self.legs: list[Leg] = []
        self.channels: dict[int, Channel] = {}
        self.parameters = dict(plan.parameters)
        self.started_wall_ns: int | None = None
        self.ending = False
        self.ended = asyncio.Event()
        self._commanded_pause = False
        self._paused = False
        self._siprec: RecordingSession | None = None
        self._siprec_left = siprec_left
        self._dialogs: list[Dialog] = []
        self._on_end = on_end
        self._changing = asyncio.Lock()

    @property
    def id(self) -> str:
        """The recording's id."""
        return self.plan.recording_id

    @property
    def paused(self) -> bool:
        """Whether nothing may be heard now."""
        return self._paused

    # Dialogs and legs

    async def join(
        self,
        lines: Sequence[AudioLine],
        hang_up: Callable[[], Awaitable[None]],
        *,
        dn: str = "",
        siprec: RecordingSession | None = None,
    ) -> Dialog:
        """Open a leg for each line of a new dialog."""
        dialog = Dialog(hang_up, dn)
        self._dialogs.append(dialog)
        try:
            await self.change(dialog, lines, siprec=siprec)
        except BaseException:
            self._dialogs.remove(dialog)
            raise
        return dialog

    async def change(
        self,
        dialog: Dialog,
        lines: Sequence[AudioLine] | None,
        *,
        siprec: RecordingSession | None = None,
    ) -> None:
        """Take the dialog's newest offer: open new lines, close those that are gone, pause.

        `lines` None leaves the streams as they are (an update of the metadata alone).
        """
        async with self._changing:
            if lines is not None:
                await self._follow_offer(dialog, lines)
            if siprec is not None:
                self._siprec = self._siprec.updated(siprec) if self._siprec else siprec
            await self._name_speakers()
            await self._place()
            await self._follow_activity()

    async def started(self, sent_ns: int) -> None:
        """A 2xx was sent at `sent_ns` (CLOCK_MONOTONIC); the first one begins the call's clock."""
        if self.started_wall_ns is not None:
            return
        wall = time.time_ns() - (time.monotonic_ns() - sent_ns)
        self.started_wall_ns = wall
        await self._write(Started(sent_ns, wall))

    async def leave(self, dialog: Dialog, reason: str) -> None:
        """The dialog is over; the last one to leave ends the recording."""
        if dialog not in self._dialogs:
            return
        self._dialogs.remove(dialog)
        if not self._dialogs:
            await self.end(reason)
            return
        for leg in dialog.legs.values():
            if not leg.closed and not self.ending:
                leg.closed = True
                await self.capture.close_leg(self.id, leg.number)

    # Commands

    async def pause(self) -> None:
        """Nothing that arrives from now on may be kept."""
        self._commanded_pause = True
        await self._follow_activity()

    async def resume(self) -> None:
        """The end of a commanded pause."""
        self._commanded_pause = False
        await self._follow_activity()

    async def set_parameters(self, parameters: Mapping[str, str]) -> None:
        """Add parameters of the recording; a later value replaces an earlier one."""
        new = {k: v for k, v in parameters.items() if self.parameters.get(k) != v}
        if new:
            self.parameters.update(new)
            await self._write(ParametersChanged(new))
            await self._place()

    async def stop(self, reason: str) -> None:
        """End the recording from our side, and hang up on everybody."""
        await self.end(reason)
        hanging = [dialog.hang_up() for dialog in self._dialogs]
        await asyncio.gather(*hanging, return_exceptions=True)

    async def end(self, reason: str) -> None:
        """Complete the journal and hand it on; only the first call of this does anything."""
        if self.ending:
            await self.ended.wait()
            return
        self.ending = True
        ended = Ended(time.monotonic_ns(), reason)
        try:
            await self.capture.close_call(self.id, ended)
        except CaptureError as error:
            # What is on disk is rendered all the same, and marked as recovered.
            _log.error("A journal was not closed", recording_id=self.id, fault=str(error))
        try:
            await self._on_end(self)
        finally:
            self.ended.set()

    async def abandon(self) -> None:
        """A dialog did not come about; a call that has none is over."""
        if not self._dialogs:
            await self.end("abandoned")

    # Inside

    async def _follow_offer(self, dialog: Dialog, lines: Sequence[AudioLine]) -> None:
        offered = {line.index: line for line in lines}
        for index, leg in dialog.legs.items():
            if index not in offered and not leg.closed:
                leg.closed = True
                await self.capture.close_leg(self.id, leg.number)
        for index, line in offered.items():
            known = dialog.legs.get(index)
            if known is None or known.closed:
                dialog.legs[index] = await self._open_leg(line, dialog.dn)
            dialog.legs[index].active = not line.paused

    async def _open_leg(self, line: AudioLine, dn: str) -> Leg:
        number = len(self.legs)
        at = time.monotonic_ns()
        label = line.label or dn or str(number)
        opened = LegOpened(number, label, line.payload_types, _CLOCK_RATE, at)
        host, port = await self.capture.open_leg(self.id, opened)
        leg = Leg(number, label, host, port, line.payload_types, dn)
        self.legs.append(leg)
        return leg

    async def _name_speakers(self) -> None:
        """Take the speakers of each stream from the SIPREC metadata, the numbers from them."""
        if self._siprec is None:
            return
        for label, speakers in self._siprec.speakers().items():
            for leg in self.legs:
                if leg.label == label:
                    leg.aors = tuple(speaker.aor for speaker in speakers)

    async def _place(self) -> None:
        placed = [PlacedLeg(g.number, g.label, g.aors, g.dn) for g in self.legs]
        if any(leg.aors for leg in self.legs) or self._siprec is not None:
            channels = place_siprec(placed, self._siprec_left)
        else:
            channels = place_gir(placed, self.parameters)
        if channels != self.channels:
            self.channels = channels
            await self._write(LegsPlaced(dict(channels)))
            await self._number_parties()

    async def _number_parties(self) -> None:
        """The caller is who is left, the dialled party who is right, unless somebody said so."""
        said: dict[str, str] = {}
        for name, channel in (("ani", "left"), ("dnis", "right")):
            for leg in self.legs:
                if leg.aors and self.channels.get(leg.number) == channel:
                    said.setdefault(name, address_user(leg.aors[0]))
        new = {name: value for name, value in said.items() if name not in self.parameters and value}
        if new:
            self.parameters.update(new)
            await self._write(ParametersChanged(new))

    async def _follow_activity(self) -> None:
        """Paused is: commanded, or every open stream is inactive."""
        living = [leg for leg in self.legs if not leg.closed]
        silent = bool(living) and not any(leg.active for leg in living)
        paused = self._commanded_pause or silent
        if paused != self._paused:
            self._paused = paused
            now = time.monotonic_ns()
            await self._write(Paused(now) if paused else Resumed(now))

    async def _write(self, event: Event) -> None:
        if not self.ending:
            await self.capture.event(self.id, event)

"""The legs of one call: opened, described and closed as the offers of its dialogs say.

A leg is one stream of one party: one m-line of one dialog, received on one socket. Its number is
never used twice.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from mcp_sim.invitation import address_user
from mcp_sim.placement import Channel, PlacedLeg
from mcp_sim.recording.capture.client import CaptureClient, CaptureError, CaptureFullError
from mcp_sim.recording.plan import MAX_LEGS, LegOpened
from mcp_sim.sip.offer_answer import AudioLine
from mcp_sim.sip.siprec import RecordingSession

_log = structlog.get_logger()
_CLOCK_RATE = 8000
_LONGEST_NUMBER = 256
_LONGEST_LABEL = 255


@dataclass(slots=True)
class Leg:
    """One leg: where it is received, what it carries, and who is heard on it."""

    number: int
    label: str
    host: str
    port: int
    payload_types: dict[int, str]
    dn: str = ""
    aors: tuple[str, ...] = ()
    active: bool = True
    closed: bool = False


class Legs:
    """All legs that a call had, in the order of their numbers."""

    def __init__(self, recording_id: str, capture: CaptureClient) -> None:
        self.all: list[Leg] = []
        self._recording_id = recording_id
        self._capture = capture
        self._numbers = itertools.count()

    @property
    def open(self) -> list[Leg]:
        """The legs that may send."""
        return [leg for leg in self.all if not leg.closed]

    @property
    def silent(self) -> bool:
        """Whether there are open legs, and none of them sends now."""
        return bool(self.open) and not any(leg.active for leg in self.open)

    async def follow(
        self, held: Mapping[int, Leg], lines: Sequence[AudioLine], dn: str
    ) -> dict[int, Leg]:
        """Return a dialog's open legs by m-line as its newest offer wants them.

        `held` are those until now. Raises `CaptureError`; all legs are as they were then.
        """
        living = {index: leg for index, leg in held.items() if not leg.closed}
        opened: dict[int, Leg] = {}
        try:
            for line in lines:
                if line.index not in living:
                    opened[line.index] = await self._open(line, dn)
        except BaseException:
            for leg in opened.values():
                self.all.remove(leg)
                await self.close(leg)
            raise
        wanted = {line.index: line for line in lines}
        for index, leg in living.items():
            if index in wanted:
                await self._describe(leg, wanted[index])
            else:
                await self.close(leg)
        followed = {index: (living | opened)[index] for index in wanted}
        for index, leg in followed.items():
            leg.active = not wanted[index].paused
        return followed

    async def close(self, leg: Leg) -> None:
        """Close a leg; the end of the call closes all of them, whatever this comes to."""
        if leg.closed:
            return
        leg.closed = True
        try:
            await self._capture.close_leg(self._recording_id, leg.number)
        except CaptureError as error:
            _log.warning(
                "A leg was not closed",
                recording_id=self._recording_id, leg=leg.number, fault=str(error),
            )  # fmt: skip

    def name_speakers(self, siprec: RecordingSession) -> None:
        """Take from the metadata who is heard on each stream; who was heard once stays known."""
        for label, speakers in siprec.speakers().items():
            for leg in self.all:
                if leg.label == label[:_LONGEST_LABEL]:
                    leg.aors = tuple(speaker.aor for speaker in speakers if speaker.aor)

    def to_place(self) -> list[PlacedLeg]:
        """What placement has to know of the legs."""
        return [PlacedLeg(leg.number, leg.label, leg.aors, leg.dn) for leg in self.all]

    def numbers(self, channels: Mapping[int, Channel]) -> dict[str, str]:
        """Who is left is the caller (ani), who is right the dialled party (dnis)."""
        found: dict[str, str] = {}
        for leg in self.all:
            number = address_user(leg.aors[0])[:_LONGEST_NUMBER] if leg.aors else ""
            if number:
                found.setdefault("ani" if channels.get(leg.number) == "left" else "dnis", number)
        return found

    async def _open(self, line: AudioLine, dn: str) -> Leg:
        number = next(self._numbers)
        if number >= MAX_LEGS:
            raise CaptureFullError(f"a recording has no more than {MAX_LEGS} legs")
        label = (line.label or dn or str(number))[:_LONGEST_LABEL]
        event = LegOpened(number, label, line.payload_types, _CLOCK_RATE, time.monotonic_ns())
        host, port = await self._capture.open_leg(self._recording_id, event)
        leg = Leg(number, label, host, port, dict(line.payload_types), dn)
        self.all.append(leg)
        return leg

    async def _describe(self, leg: Leg, line: AudioLine) -> None:
        """Note what a later offer says of a leg: another codec, or the label that it lacked."""
        label = line.label[:_LONGEST_LABEL] or leg.label
        types = leg.payload_types | line.payload_types
        if (label, types) != (leg.label, leg.payload_types):
            event = LegOpened(leg.number, label, types, _CLOCK_RATE, time.monotonic_ns())
            await self._capture.event(self._recording_id, event)
            leg.label, leg.payload_types = label, types

"""What is expected of a recording of a test call, and what was found in it; both travel as JSON."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from mcp_sim.load.signature import Leg


class Tolerances(msgspec.Struct, frozen=True, kw_only=True):
    """How far a recording may be off and still count as verified."""

    offset_ms: float = 20.0
    """Between the legs, either way, anywhere in the recording."""
    missing_ms: float = 0.0
    """Signature that was sent and is not there, for each leg."""
    jump_ms: float = 1.0
    """A single change of the signature's place within a leg."""
    duration_ms: float = 40.0
    """Between the metadata's duration and the file's length, either way."""
    lead_ms: float = 2000.0
    """From the start of the recording to the call's sample 0."""
    trail_ms: float = 2000.0
    """From the signature's end to the recording's, where nobody says what was sent."""
    leak_db: float = -20.0
    """How loud a leg's signature may be on the other leg's channel, against its own."""
    silence_rms: float = 50.0
    """Loudest 100 ms on a channel that should be silent, in 16-bit sample units."""


class Sent(msgspec.Struct, frozen=True):
    """The cells that had their time on a leg: index of the first one, and how many.

    `unsent` are runs among them (first, count) that the caller left out on purpose.
    """

    first: int
    packets: int
    unsent: tuple[tuple[int, int], ...] = ()

    def left_out(self) -> NDArray[np.int64]:
        """Return the indices of the cells that were never sent, ascending."""
        runs = [np.arange(first, first + count) for first, count in self.unsent]
        return np.concatenate([np.zeros(0, np.int64), *runs])

    @property
    def sent(self) -> int:
        """How many cells were sent."""
        return self.packets - sum(count for _, count in self.unsent)


class ExpectedLeg(msgspec.Struct, frozen=True):
    """A leg and the channel (0 = left or mono, 1 = right) where it should be heard."""

    leg: Leg
    channel: int
    sent: Sent | None = None
    drift_ppm: float = 0.0
    """How much too fast the sender's clock ran: its signature lies that much denser."""
    seams: tuple[tuple[int, int], ...] = ()
    """From which cell to which a jump is not heard, because nothing was sent for long, or because
    another source begins there: the place behind is right to the offset's tolerance."""


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """What one media file of one call should hold. Times are milliseconds from its start."""

    identity: str
    legs: tuple[ExpectedLeg, ...]
    duration_ms: float | None = None
    """As the metadata says it."""
    paused: tuple[tuple[float, float], ...] = ()
    """Spans that should be silent on every channel, and miss nothing."""
    around_ms: float = 0.0
    """Where the call's sample 0 is looked for first. Negative in a later segment of a call, whose
    recording began that long after the call's media."""


class Gap(msgspec.Struct, frozen=True):
    """A stretch of the recording where sent signature is not found."""

    at_ms: float
    length_ms: float


class Jump(msgspec.Struct, frozen=True):
    """A place where the signature goes on later (+) or earlier (-) than it should."""

    at_ms: float
    by_ms: float


class LegFinding(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of one leg."""

    leg: Leg
    expected_channel: int
    channel: int | None = None
    """Where it was found; None where it was not."""
    shift_ms: float = 0.0
    """Where in the recording the signature's sample 0 lies (or would)."""
    heard_ms: int = 0
    missing_ms: int = 0
    """Sent and not found: at the head, inside and, where counts are known, at the end."""
    head_ms: int = 0
    """The part of `missing_ms` before the first cell that was found."""
    unsent_ms: int = 0
    """Left out on purpose, and not missing."""
    invented_ms: int = 0
    """The part of `unsent_ms` where something is heard."""
    doubled_ms: int = 0
    """Heard twice as loud as sent; told of a clean copy only."""
    trail_ms: float = 0.0
    """From the last cell that was found to the end of the recording."""
    gaps: tuple[Gap, ...] = ()
    """The first of them; `missing_ms` counts all."""
    jumps: tuple[Jump, ...] = ()
    level: float = 0.0
    """Amplitude of the tones in 16-bit sample units."""
    noise: float = 0.0
    """Spread of the cells' amplitude, as a share of it: 0 for a clean copy."""
    leak_db: float | None = None
    """The leg's loudness on the other channel against its own; None where there is no other leg."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one media file."""

    verified: bool
    problems: tuple[str, ...]
    legs: tuple[LegFinding, ...]
    offset_ms: float | None = None
    """Agent against customer: the worst anywhere in the recording; None where one is missing."""
    swap: bool = False
    file_ms: float = 0.0
    duration_error_ms: float | None = None
    """File's length minus the metadata's duration."""

    @property
    def signed(self) -> bool:
        """Whether any leg's signature was found at all."""
        return any(leg.channel is not None for leg in self.legs)

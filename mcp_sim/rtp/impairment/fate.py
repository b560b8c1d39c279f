"""What happens to each packet of one leg: sent or not, how often, when, and under which numbers.

A frame is 20 ms of the leg's sound, whether a packet is made of it or not; frame 0 is the first
one. Times are nanoseconds since the leg began. All answers are columns over a range of frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from mcp_sim.rtp.impairment.draws import Draws
from mcp_sim.rtp.impairment.impairment import Impairment

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_LOSS, _BURST, _DUPLICATE, _REORDER, _JITTER = range(5)
_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Fates:
    """N frames from `first` on, as columns of N.

    `silent`: the sender says nothing, no number is used. `lost`: not sent, its number is missing.
    `left_ns` is when it leaves, `turn` who goes first among those that leave at one instant; both
    mean something for sent frames only.
    """

    first: int
    silent: Bools
    lost: Bools
    burst: Bools
    """bool[N]: a burst begins here."""
    duplicate: Bools
    due_ns: Int64s
    left_ns: Int64s
    turn: Int64s

    @property
    def sent(self) -> Bools:
        """Which frames are sent at all."""
        return ~(self.silent | self.lost)


@dataclass(frozen=True)
class LegFate:
    """The fate of one leg of one call under one seed."""

    impairment: Impairment
    seed: int
    identity: str
    leg: str
    frame_ns: int = 20_000_000

    @cached_property
    def draws(self) -> Draws:
        """The leg's random numbers."""
        return Draws(self.seed, self.identity, self.leg)

    def due_ns(self, frames: Int64s) -> Int64s:
        """Return when the time of each frame has come, by the leg's own drifting clock."""
        if not self.impairment.drift_ppm:
            return frames * self.frame_ns
        due: Int64s = np.ceil(frames * self._period_ns).astype(np.int64)
        return due

    def frames_by(self, elapsed_ns: int) -> int:
        """Return how many frames have had their time at `elapsed_ns`."""
        if elapsed_ns < 0:
            return 0
        count = int(elapsed_ns / self._period_ns) + 2
        while count and int(self.due_ns(np.array([count - 1], np.int64))[0]) > elapsed_ns:
            count -= 1
        return count

    def numbers(self, frames: Int64s) -> Int64s:
        """Return how many frames before each one use a sequence number."""
        talk, silence = self.impairment.talk_frames, self.impairment.silence_frames
        if not silence:
            return frames
        return frames // (talk + silence) * talk + np.minimum(frames % (talk + silence), talk)

    def spurts(self, frames: Int64s) -> Bools:
        """Say which frames begin a talk spurt: they carry the marker (RFC 3551 §4.1)."""
        talk, silence = self.impairment.talk_frames, self.impairment.silence_frames
        begin: Bools = np.equal(frames % (talk + silence) if silence else frames, 0)
        return begin if self.change_frame is None else begin | (frames == self.change_frame)

    @cached_property
    def change_frame(self) -> int | None:
        """The first frame under another SSRC, or None."""
        at = self.impairment.ssrc_change_at
        return None if at is None else self.frames_by(math.ceil(at * _NS) - 1)

    @property
    def rebinding_ns(self) -> int | None:
        """When the packets begin to come from another port, or None."""
        at = self.impairment.nat_rebinding_at
        return None if at is None else math.ceil(at * _NS)

    def fates(self, first: int, count: int) -> Fates:
        """Return what happens to the frames `first` … `first + count - 1`; `first` is 0 or more."""
        wrong = self.impairment
        frames = np.arange(first, first + count)
        drawn = self.draws.rows(first, count)
        talk, silence = wrong.talk_frames, wrong.silence_frames
        silent = frames % (talk + silence) >= talk if silence else np.zeros(count, np.bool_)
        burst = drawn[:, _BURST] < wrong.burst_loss
        lost = ((drawn[:, _LOSS] < wrong.loss) | self._in_burst(first, count)) & ~silent
        sent = ~(silent | lost)
        held = sent & (drawn[:, _REORDER] < wrong.reorder)
        leaving = self._leaving_ns(first, count + wrong.reorder_by)
        index = np.arange(count)
        return Fates(
            first,
            silent,
            lost,
            burst,
            sent & (drawn[:, _DUPLICATE] < wrong.duplicate),
            self.due_ns(frames),
            leaving[np.where(held, index + wrong.reorder_by, index)],
            np.where(held, 2 * (frames + wrong.reorder_by) + 1, 2 * frames),
        )

    @cached_property
    def farthest(self) -> int:
        """How many later frames may have their time before one leaves, at most."""
        wrong = self.impairment
        return wrong.reorder_by + math.ceil(wrong.jitter_ms * 1e6 / self._period_ns)

    @property
    def _period_ns(self) -> float:
        return self.frame_ns / (1 + self.impairment.drift_ppm / 1e6)

    def _in_burst(self, first: int, count: int) -> Bools:
        """Say which frames lie in a burst that begins at them or before."""
        wrong = self.impairment
        if not wrong.burst_loss:
            return np.zeros(count, np.bool_)
        start = max(first - wrong.burst_length + 1, 0)
        begins = self.draws.rows(start, first + count - start)[:, _BURST] < wrong.burst_loss
        before = np.concatenate(([0], np.cumsum(begins)))
        stop = np.arange(first, first + count) + 1 - start
        inside: Bools = before[stop] > before[np.maximum(stop - wrong.burst_length, 0)]
        return inside

    def _leaving_ns(self, first: int, count: int) -> Int64s:
        """Return when each frame would leave that is not held back."""
        due = self.due_ns(np.arange(first, first + count))
        jitter_ns = round(self.impairment.jitter_ms * 1e6)
        if not jitter_ns:
            return due
        late: Int64s = due + (self.draws.rows(first, count)[:, _JITTER] * jitter_ns).astype(
            np.int64
        )
        return late

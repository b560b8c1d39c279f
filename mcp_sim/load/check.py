"""The verdict on a decoded recording: is each leg there, whole, on its channel and in time?

Pure: samples and an expectation in, a finding out. Every problem is one sentence for a person; the
numbers beside it are for machines. Nothing here trusts what the recorder says about itself.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mcp_sim.load.decode import Sound
from mcp_sim.load.finding import (
    Expectation,
    ExpectedLeg,
    Finding,
    Jump,
    LegFinding,
    Tolerances,
)
from mcp_sim.load.measure import CELL_MS, LEAST_CELLS, Trace, list_gaps, trace
from mcp_sim.load.signature import SAMPLE_RATE, Floats
from mcp_sim.load.track import CELL, Channel

_MILLISECOND: Final = SAMPLE_RATE // 1000
_PAUSE_EDGE_MS: Final = 60.0
_UNSENT_EDGE_MS: Final = 5.0
_SEAM_MS: Final = 2000.0
"""A jump is placed by what is heard around it, so at a seam it is right to two seconds."""
_LOSSY_EDGE_MS: Final = 160.0
"""A layer III window at 8 kHz is 144 ms long: sound reaches that far into silence."""


def check(sound: Sound, expected: Expectation, tolerances: Tolerances | None = None) -> Finding:
    """Look for every expected leg in a recording and say what is wrong, if anything."""
    return _Check(sound, expected, tolerances or Tolerances()).finding()


class _Check:
    def __init__(self, sound: Sound, expected: Expectation, tolerances: Tolerances) -> None:
        self.expected, self.tolerances, self.lossy = expected, tolerances, sound.lossy
        self.channels: Sequence[Floats] = [row.astype(np.float32) for row in sound.samples]
        self.length = sound.samples.shape[1]
        self.traces = {leg.leg: self._search(leg) for leg in expected.legs}
        self.legs = tuple(self._describe(leg) for leg in expected.legs)

    def finding(self) -> Finding:
        file_ms = self.length / _MILLISECOND
        claimed = self.expected.duration_ms
        error = None if claimed is None else round(file_ms - claimed, 3)
        swap = any(leg.channel not in (None, leg.expected_channel) for leg in self.legs)
        offset = self._offset()
        problems = (
            *itertools.chain(*map(self._leg_problems, self.legs, self.expected.legs)),
            *self._whole_problems(swap, offset, error),
            *self._silence_problems(),
        )
        return Finding(
            verified=not problems,
            problems=problems,
            legs=self.legs,
            offset_ms=offset,
            swap=swap,
            file_ms=file_ms,
            duration_error_ms=error,
        )

    # -- looking

    def _channel(self, leg: ExpectedLeg, index: int) -> Channel:
        return Channel(self.channels[index], self.expected.identity, leg.leg)

    def _search(self, leg: ExpectedLeg) -> tuple[int, Trace] | None:
        around = round(self.expected.around_ms * _MILLISECOND)
        others = [c for c in range(len(self.channels)) if c != leg.channel]
        for index in [leg.channel, *others]:
            if index < len(self.channels):
                found = trace(self._channel(leg, index), lossy=self.lossy, around=around)
                if found is not None:
                    return index, found
        return None

    def _describe(self, leg: ExpectedLeg) -> LegFinding:
        found = self.traces[leg.leg]
        if found is None:
            missing_ms = leg.sent.sent * CELL_MS if leg.sent else 0
            return LegFinding(leg=leg.leg, expected_channel=leg.channel, missing_ms=missing_ms)
        index, trace = found
        left_out = leg.sent.left_out() if leg.sent else np.zeros(0, np.int64)
        if leg.sent is not None:
            missing = trace.missing(leg.sent.first, leg.sent.first + leg.sent.packets)
            missing = np.setdiff1d(missing, left_out, assume_unique=True)
        else:
            missing = trace.missing(self._first_cell(trace), trace.last_heard + 1)
        missing = missing[~self._paused_cells(trace, missing)]
        end = trace.position(trace.last_heard) + CELL
        return LegFinding(
            leg=leg.leg,
            expected_channel=leg.channel,
            channel=index,
            shift_ms=round(trace.shift / _MILLISECOND, 3),
            heard_ms=int(trace.there.sum()) * CELL_MS,
            missing_ms=len(missing) * CELL_MS,
            head_ms=int(np.count_nonzero(missing < trace.first_heard)) * CELL_MS,
            unsent_ms=len(left_out) * CELL_MS,
            invented_ms=self._invented(leg, index, trace, left_out) * CELL_MS,
            doubled_ms=0 if self.lossy else len(trace.doubled()) * CELL_MS,
            trail_ms=round((self.length - end) / _MILLISECOND, 3),
            gaps=list_gaps(trace, missing),
            jumps=trace.jumps(),
            level=round(trace.level, 1),
            noise=round(trace.noise, 4),
            leak_db=self._leak(leg, index, trace),
        )

    def _first_cell(self, trace: Trace) -> int:
        # A call's first recording misses what lies before its start; a later segment does not.
        return 0 if self.expected.around_ms >= 0 else max(-(trace.shift // CELL), 0)

    def _paused_cells(self, trace: Trace, cells: NDArray[np.int64]) -> NDArray[np.bool_]:
        at = np.array([trace.position(int(cell)) for cell in cells], np.float64) / _MILLISECOND
        paused = np.zeros(len(cells), np.bool_)
        for start, stop in self.expected.paused:
            paused |= (at + CELL_MS > start - _PAUSE_EDGE_MS) & (at < stop + _PAUSE_EDGE_MS)
        return paused

    def _invented(
        self, leg: ExpectedLeg, index: int, trace: Trace, left_out: NDArray[np.int64]
    ) -> int:
        """Return how many of the cells that were never sent are not silent."""
        if sum(other.channel == leg.channel for other in self.expected.legs) > 1:
            # The other party may speak there, so only this one's signature tells.
            return 0 if self.lossy else len(trace.heard(left_out))
        seams, count = _Seams.of(leg, trace), 0
        for run in np.split(left_out, np.flatnonzero(np.diff(left_out) > 1) + 1):
            if len(run):
                low, high = trace.position(int(run[0])), trace.position(int(run[-1])) + CELL
                edge = round(self._edge_ms(seams.near(low, high)) * _MILLISECOND)
                sound = self.channels[index][max(low + edge, 0) : max(high - edge, 0)]
                count += len(run) if _loudest(sound) > self.tolerances.silence_rms else 0
        return count

    def _edge_ms(self, at_seam: bool) -> float:
        """Return how far sound may reach into a span that should be silent."""
        if self.lossy:
            return _LOSSY_EDGE_MS
        return self.tolerances.offset_ms if at_seam else _UNSENT_EDGE_MS

    def _leak(self, leg: ExpectedLeg, index: int, trace: Trace) -> float | None:
        if len(self.channels) < 2 or len(self.expected.legs) < 2:
            return None
        shares = [
            trace.loudness_on(self._channel(leg, other))
            for other in range(len(self.channels))
            if other != index
        ]
        return round(20 * math.log10(max(*shares, 1e-6)), 1)

    def _offset(self) -> float | None:
        legs = {leg.leg: leg for leg in self.expected.legs}
        courses = {
            name: _Course(found[1], legs[name])
            for name, found in self.traces.items()
            if found is not None
        }
        if "customer" not in courses or "agent" not in courses:
            return None
        return round(_worst_offset(courses["agent"], courses["customer"]) / _MILLISECOND, 3)

    # -- judging

    def _leg_problems(self, leg: LegFinding, want: ExpectedLeg) -> Iterator[str]:
        limits = self.tolerances
        if leg.channel is None:
            # Of a few packets nobody can say whose they are.
            if want.sent is None or want.sent.sent >= LEAST_CELLS:
                missing = f"{leg.missing_ms} ms missing: " if leg.missing_ms else ""
                yield f"{leg.leg}: {missing}no signature of this call was found"
            return
        if leg.missing_ms > limits.missing_ms:
            place = f", first at {leg.gaps[0].at_ms / 1000:.3f} s" if leg.gaps else ""
            yield f"{leg.leg}: {leg.missing_ms} ms missing{place}"
        if self.expected.around_ms >= 0 and not -1 <= leg.shift_ms <= limits.lead_ms:
            yield f"{leg.leg}: the signature begins at {leg.shift_ms:.1f} ms"
        if leg.invented_ms:
            yield f"{leg.leg}: something is heard in {leg.invented_ms} ms that were never sent"
        if leg.doubled_ms:
            yield f"{leg.leg}: {leg.doubled_ms} ms are heard twice as loud as they were sent"
        wide = [jump for jump in self._jumps(leg, want) if abs(jump.by_ms) > limits.jump_ms]
        if wide:
            yield (
                f"{leg.leg}: jumps by {wide[0].by_ms:+.1f} ms at {wide[0].at_ms / 1000:.3f} s"
                + (f" and {len(wide) - 1} more" if len(wide) > 1 else "")
            )
        if leg.leak_db is not None and leg.leak_db > limits.leak_db:
            yield f"{leg.leg}: is also heard on the other channel ({leg.leak_db:.1f} dB)"

    def _jumps(self, leg: LegFinding, want: ExpectedLeg) -> list[Jump]:
        """Return the jumps but for those at a seam, which may be as wide as the legs may differ."""
        found = self.traces[leg.leg]
        if found is None:
            return []
        seams, most = _Seams.of(want, found[1]), self.tolerances.offset_ms
        return [
            jump
            for jump in leg.jumps
            if abs(jump.by_ms) > most or not seams.near(round(jump.at_ms * _MILLISECOND))
        ]

    def _whole_problems(
        self, swap: bool, offset: float | None, error: float | None
    ) -> Iterator[str]:
        limits = self.tolerances
        if swap:
            names = ", ".join(leg.leg for leg in self.legs if leg.channel != leg.expected_channel)
            yield f"on the wrong channel: {names}"
        if offset is not None and abs(offset) > limits.offset_ms:
            yield f"the agent is {offset:+.1f} ms off the customer"
        if error is not None and abs(error) > limits.duration_ms:
            than = "longer" if error > 0 else "shorter"
            yield f"the file is {abs(error):.1f} ms {than} than the metadata says"
        for leg, want in zip(self.legs, self.expected.legs, strict=True):
            if leg.channel is not None and want.sent is None and leg.trail_ms > limits.trail_ms:
                yield f"{leg.leg}: nothing in the last {leg.trail_ms:.0f} ms of the recording"

    def _silence_problems(self) -> Iterator[str]:
        used = {leg.channel for leg in self.expected.legs}
        used |= {leg.channel for leg in self.legs if leg.channel is not None}
        limit = self.tolerances.silence_rms
        for index, samples in enumerate(self.channels):
            loudest = _loudest(samples)
            if index not in used and loudest > limit:
                name = _CHANNEL_NAMES.get(index, f"{index + 1}th")
                yield f"unexpected sound on the {name} channel ({loudest:.0f} RMS)"
        edge = _LOSSY_EDGE_MS if self.lossy else _PAUSE_EDGE_MS
        for start, stop in self.expected.paused:
            low, high = (round(t * _MILLISECOND) for t in (start + edge, stop - edge))
            if high > low and max(_loudest(c[max(low, 0) : high]) for c in self.channels) > limit:
                yield f"sound in the paused span at {start / 1000:.3f} s"


_CHANNEL_NAMES: Final[Mapping[int, str]] = {0: "left", 1: "right"}


def _loudest(samples: Floats) -> float:
    size = SAMPLE_RATE // 10
    if len(samples) <= size:
        return float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0
    blocks = samples[: len(samples) // size * size].reshape(-1, size)
    return float(np.sqrt(np.mean(blocks**2, axis=1)).max())


class _Seams(NamedTuple):
    """Spans of samples in which a leg's place may change without being heard, each int64[n]."""

    begins: NDArray[np.int64]
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, leg: ExpectedLeg, trace: Trace) -> _Seams:
        """Return the seams of a leg where they lie in the recording."""
        reach = round(_SEAM_MS * _MILLISECOND)
        begins = [trace.position(first) - reach for first, _ in leg.seams]
        ends = [trace.position(last) + reach for _, last in leg.seams]
        return cls(np.array(begins, np.int64), np.array(ends, np.int64))

    def near(self, low: int, high: int | None = None) -> bool:
        """Say whether a span of samples, or a single one, touches a seam."""
        high = low if high is None else high
        return bool(((self.begins <= high) & (low <= self.ends)).any())


class _Course(NamedTuple):
    """The track of a leg, and how its sender's clock ran."""

    trace: Trace
    leg: ExpectedLeg

    def late_at(self, sample: int) -> float:
        """Return by how many samples the leg lies later than a clock without drift would put it."""
        shift = self.trace.shift_at(sample)
        first = self.leg.sent.first if self.leg.sent else 0
        run = sample - (self.trace.shift + first * CELL)
        return shift + max(run, 0) * self.leg.drift_ppm / 1e6


def _worst_offset(one: _Course, other: _Course) -> float:
    pieces = (*one.trace.pieces, *other.trace.pieces)
    places = {piece.start for piece in pieces} | {piece.stop - 1 for piece in pieces}
    return max((one.late_at(p) - other.late_at(p) for p in sorted(places)), key=abs)

"""Following a signature through a recording, second by second, and looking at each of its packets.

The signature may jump (audio cut out or put in) or drift. The track says at which shift it lies
where; from it every cell of 20 ms, as it was sent, is looked up and measured on its own.
"""

from __future__ import annotations

import cmath
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mcp_sim.load.acquire import ENOUGH, Peak, correlate
from mcp_sim.load.signature import (
    PACKET_SAMPLES,
    SAMPLE_RATE,
    SYMBOL_SAMPLES,
    TONES,
    Floats,
    Leg,
    draw_symbols,
    tone_phasors,
)

Cells = NDArray[np.complex64]

CELL: Final = PACKET_SAMPLES
BLOCK: Final = SAMPLE_RATE
STEP: Final = BLOCK // 2
_CREEP: Final = 24
"""Samples: so far a drifting clock comes while nothing is heard."""
_FINE: Final = 3 * SYMBOL_SAMPLES
"""Enough to tell a single sample by the turn of every tone's phase."""
_SURE: Final = 2 * SAMPLE_RATE
"""For so long a shift has to hold before single samples are looked for: a wrong one never does."""
_CARRIERS: Final = 8
_MOST_PIECES: Final = 20_000
_PER_SYMBOL: Final = SYMBOL_SAMPLES // CELL
_RADII: Final = (2 * SAMPLE_RATE, 60 * SAMPLE_RATE)
_QUIET: Final = 0.2
_COHERENT: Final = 0.85
_TURNED: Final = 1.3
"""Radians: the tones' phase turns by about 2.2 for each sample of shift."""
_MOST_FAR: Final = 4
_WORTH: Final = 3
"""Cells that a jump must explain before it is believed."""


@dataclass(frozen=True)
class Piece:
    """From sample `start` to sample `stop` of the recording the signature lies at one shift."""

    start: int
    stop: int
    shift: int

    def cells(self, channel: Channel) -> tuple[int, Cells]:
        """Measure the piece's cells; the one in which it begins counts for both neighbours."""
        return channel.cells(self.shift, self.start - CELL // 4, self.stop)


@dataclass(frozen=True)
class Channel:
    """One channel of a recording, looked at for the signature of one leg of one call."""

    samples: Floats
    identity: str
    leg: Leg

    def cells(self, shift: int, start: int, stop: int) -> tuple[int, Cells]:
        """Measure the cells that begin in [start, stop) at a shift and end within the recording.

        Returns the index of the first cell and, for each, the amplitude and phase of the tone that
        belongs there: complex64[n], in samples' units; the phase is 0 where the shift is exact.
        """
        stop = min(stop + CELL - 1, len(self.samples))
        first = -((shift - max(start, 0)) // CELL)
        count = max((stop - shift) // CELL - first, 0)
        if count == 0:
            return first, np.zeros(0, np.complex64)
        begin = first * CELL + shift
        sound = self.samples[begin : begin + count * CELL].reshape(count, CELL)
        index = np.arange(first, first + count)
        symbol = first // _PER_SYMBOL
        drawn = draw_symbols(self.identity, self.leg, symbol, count // _PER_SYMBOL + 2)
        rows = drawn[index // _PER_SYMBOL - symbol].astype(np.intp)
        probes = _probes(self.leg)[rows, index % _PER_SYMBOL]
        measured: Cells = np.einsum("ij,ij->i", sound, probes)
        return first, measured


@cache
def _probes(leg: Leg) -> Cells:
    probes: Cells = np.complex64(2j / CELL) * np.conj(tone_phasors(leg))
    return probes.reshape(TONES, _PER_SYMBOL, CELL)


def follow(channel: Channel, found: Peak) -> list[Piece]:
    """Return the track of a signature that was found: pieces in order, the whole recording long."""
    end = len(channel.samples)
    pieces: list[Piece] = []
    far_searches = _MOST_FAR
    start, at, shift, amplitude = 0, 0, found.shift, found.amplitude
    settled, since = False, 0
    while at < end and len(pieces) < _MOST_PIECES:
        if _fits(channel, shift, at, amplitude):
            if not settled:
                # The window where it was found may have had a jump in it; this step has none.
                peak = _search(channel, shift, at, STEP, _CARRIERS)
                if peak.score >= ENOUGH:
                    shift, amplitude, settled = peak.shift, peak.amplitude, True
            at += STEP
            continue
        piece = Piece(start, end, shift)
        jump = _find_step(channel, piece, at, amplitude) if at - since >= _SURE else None
        jump = jump or _find_creep(channel, piece, at)
        if jump is None:
            radii = _RADII if far_searches > 0 else _RADII[:1]
            jump = _find_jump(channel, piece, at, amplitude, radii)
            settled = settled and jump is None
            since = since if jump is None else jump[0]
        if jump is None:
            far_searches -= 1
            at += STEP
            continue
        if jump[0] > start:
            pieces.append(Piece(start, jump[0], shift))
        start, shift = jump
        at = max(start, at + CELL)
    return [*pieces, Piece(start, end, shift)]


def _fits(channel: Channel, shift: int, at: int, amplitude: float) -> bool:
    # Silence fits any shift.
    _, cells = channel.cells(shift, at, at + STEP)
    return not _loud(cells, amplitude) or _agrees(cells)


def _loud(cells: Cells, amplitude: float) -> bool:
    return float(np.abs(cells).sum()) > _QUIET * amplitude * len(cells)


def _agrees(cells: Cells) -> bool:
    # At a wrong shift the tones' phases point everywhere and cancel out.
    total = complex(cells.sum())
    loudness = float(np.abs(cells).sum())
    return abs(total) >= _COHERENT * loudness and abs(cmath.phase(total)) <= _TURNED


def _find_step(channel: Channel, piece: Piece, at: int, amplitude: float) -> tuple[int, int] | None:
    """Return where a single sample was put in or taken out, and the shift behind it."""
    tracks = {by: channel.cells(piece.shift + by, at, at + STEP + _FINE)[1] for by in (0, 1, -1)}
    count = _FINE // CELL
    for cell in range(min(map(len, tracks.values())) - count + 1):
        here = {by: cells[cell : cell + count] for by, cells in tracks.items()}
        if not _loud(here[0], amplitude) or _agrees(here[0]):
            continue
        # Two samples off, high tones have nearly turned round: the better of both is the right one.
        by = max((1, -1), key=lambda by: float(here[by].real.sum()))
        if _agrees(here[by]):
            return at + cell * CELL, piece.shift + by
    return None


def _find_creep(channel: Channel, piece: Piece, at: int) -> tuple[int, int] | None:
    """Return the shift a few samples away that a drifting clock has come to."""
    peak = _search(channel, piece.shift, at, STEP, _CREEP)
    if peak.score < ENOUGH or peak.shift == piece.shift:
        return None
    before = float(channel.cells(piece.shift, at, at + STEP)[1].real.sum())
    cells = channel.cells(peak.shift, at, at + STEP)[1]
    after = float(cells.real.sum())
    # Two carrier periods away the tones agree nearly as well: only a clear gain is a drift.
    return (at, peak.shift) if after > max(2 * before, 0) and _agrees(cells) else None


def _find_jump(
    channel: Channel, piece: Piece, at: int, amplitude: float, radii: tuple[int, ...]
) -> tuple[int, int] | None:
    """Return where in or before the step at `at` another shift begins, and that shift."""
    last = max(len(channel.samples) - BLOCK, 0)
    for radius in radii:
        found_here = False
        for window in sorted({min(at, last), min(at + STEP, last), min(at + BLOCK, last)}):
            peak = _search(channel, piece.shift, window, BLOCK, radius)
            found_here |= peak.score >= ENOUGH
            if peak.score < ENOUGH or peak.shift == piece.shift:
                continue
            region = (max(piece.start, at - BLOCK), window + BLOCK)
            worth, boundary = _place_jump(channel, piece.shift, peak.shift, region, amplitude)
            if worth >= _WORTH and boundary <= at + STEP:
                return boundary, peak.shift
        if found_here:
            return None
    return None


def _search(channel: Channel, shift: int, at: int, count: int, radius: int) -> Peak:
    window = channel.samples[at : at + count]
    low, high = shift - radius, shift + radius
    return correlate(window, at, channel.identity, channel.leg, low, high)


def _place_jump(
    channel: Channel, old: int, new: int, region: tuple[int, int], amplitude: float
) -> tuple[float, int]:
    """Return how many cells a jump explains within a region at its best place, and the place."""
    low, high = region
    before_first, before = _agreement(channel, old, low, high, amplitude)
    after_first, after = _agreement(channel, new, low, high, amplitude)
    ends = (before_first + 1 + np.arange(len(before))) * CELL + old
    boundaries = np.concatenate(([low], ends))
    kept = np.concatenate(([0.0], np.cumsum(before)))
    starts = (after_first + np.arange(len(after))) * CELL + new
    gained = np.concatenate((np.cumsum(after[::-1])[::-1], [0.0]))
    total = kept + gained[np.searchsorted(starts, boundaries)]
    best = int(np.argmax(total))
    return float(total[best] - kept[-1]), int(boundaries[best])


def _agreement(
    channel: Channel, shift: int, low: int, high: int, amplitude: float
) -> tuple[int, NDArray[np.float64]]:
    first, cells = channel.cells(shift, low, high)
    return first, np.clip(cells.real.astype(np.float64) / amplitude, 0, 1)

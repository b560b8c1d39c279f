"""Measuring one leg along its track: which of its cells are there, which are missing, and how loud.

A cell is the 20 ms of one packet. What counts as there depends on how clean the copy is: in a WAV
file a cell that lost a quarter of its sound is seen, at 16 kbit/s MP3 only one that lost most.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mcp_sim.load.acquire import Peak, acquire
from mcp_sim.load.finding import Gap, Jump
from mcp_sim.load.signature import SAMPLE_RATE
from mcp_sim.load.track import CELL, Cells, Channel, Piece, follow

CELL_MS: Final = CELL * 1000 // SAMPLE_RATE
LEAST_CELLS: Final = 40
"""Signature that must be heard before it counts as found: 8 symbols, 32 bits of the identity."""
_SIGMAS: Final = 10.0
_LEAST_SHARE: Final = 0.25
_CLEAN_SHARE: Final = 0.75
_LOSSY_SHARE: Final = 0.5
_LOUD_SHARE: Final = 1.6
_GAPS_LISTED: Final = 20


@dataclass(frozen=True)
class Trace:
    """One leg's signature as found in one channel; cells are indexed as their packets were sent."""

    channel: Channel
    pieces: list[Piece]
    first: int
    there: NDArray[np.bool_]
    """bool[cells]: whether cell `first + i` was found."""
    loud: NDArray[np.bool_]
    """bool[cells]: whether it is as loud as if it had been painted twice."""
    level: float
    noise: float

    @property
    def shift(self) -> int:
        """Samples from the recording's start to the signature's sample 0, as first heard."""
        return self.pieces[0].shift

    @property
    def first_heard(self) -> int:
        """Index of the first cell that was found."""
        return self.first + int(np.argmax(self.there))

    @property
    def last_heard(self) -> int:
        """Index of the last cell that was found."""
        return self.first + len(self.there) - 1 - int(np.argmax(self.there[::-1]))

    def missing(self, first: int, stop: int) -> NDArray[np.int64]:
        """Return the indices of the cells in [first, stop) that were not found, ascending."""
        index = np.arange(first, max(stop, first), dtype=np.int64)
        return index[~self._marked(index, self.there)]

    def doubled(self) -> NDArray[np.int64]:
        """Return the indices of the cells that are too loud, ascending."""
        return self.first + np.flatnonzero(self.loud)

    def heard(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return those of some cells that were found."""
        return cells[self._marked(cells, self.there)]

    def position(self, cell: int) -> int:
        """Return the sample of the recording where a cell begins, or would."""
        fitting = np.flatnonzero(cell * CELL + self._shifts < self._stops)
        piece = int(fitting[0]) if len(fitting) else -1
        return cell * CELL + int(self._shifts[piece])

    def shift_at(self, sample: int) -> int:
        """Return the shift that holds at a sample of the recording."""
        piece = int(np.searchsorted(self._stops, sample, side="right"))
        return int(self._shifts[min(piece, len(self._shifts) - 1)])

    def _marked(self, cells: NDArray[np.int64], marks: NDArray[np.bool_]) -> NDArray[np.bool_]:
        inside = (cells >= self.first) & (cells < self.first + len(marks))
        marked = np.zeros(len(cells), np.bool_)
        marked[inside] = marks[cells[inside] - self.first]
        return marked

    @cached_property
    def _stops(self) -> NDArray[np.int64]:
        return np.array([piece.stop for piece in self.pieces], np.int64)

    @cached_property
    def _shifts(self) -> NDArray[np.int64]:
        return np.array([piece.shift for piece in self.pieces], np.int64)

    def jumps(self) -> tuple[Jump, ...]:
        """Return each change of the shift."""
        return tuple(
            Jump(_ms(after.start), _ms(after.shift - before.shift))
            for before, after in zip(self.pieces, self.pieces[1:], strict=False)
        )

    def loudness_on(self, other: Channel) -> float:
        """Return the share of this signature's level that is heard on another channel."""
        cells = np.concatenate([piece.cells(other)[1] for piece in self.pieces])
        return float(abs(cells.mean())) / self.level if len(cells) else 0.0


def trace(channel: Channel, *, lossy: bool, around: int = 0) -> Trace | None:
    """Look for a leg's signature in a channel; None where it is not, or under 0.8 s of it."""
    peak = acquire(channel.samples, channel.identity, channel.leg, around)
    if peak is None:
        return None
    pieces = follow(channel, peak)
    measured = [piece.cells(channel) for piece in pieces]
    level, noise = _level(measured, peak)
    cap = _LOSSY_SHARE if lossy else _CLEAN_SHARE
    share = float(np.clip(1 - _SIGMAS * noise, _LEAST_SHARE, cap))
    first, there = _joined(measured, share * level)
    if np.count_nonzero(there) < LEAST_CELLS:
        return None
    _, loud = _joined(measured, max(_LOUD_SHARE, 1 + _SIGMAS * noise) * level)
    heard = [p for p, (_, c) in zip(pieces, measured, strict=True) if _sounds(c, share * level)]
    return Trace(channel, heard or pieces, first, there, loud, level, noise)


def _joined(measured: list[tuple[int, Cells]], least: float) -> tuple[int, NDArray[np.bool_]]:
    """Return the first cell, and of each from it on whether any piece has it so loud."""
    filled = [(first, np.abs(cells) >= least) for first, cells in measured if len(cells)]
    first = min((start for start, _ in filled), default=0)
    stop = max((start + len(cells) for start, cells in filled), default=0)
    marks = np.zeros(stop - first, np.bool_)
    for start, cells in filled:
        marks[start - first : start - first + len(cells)] |= cells
    return first, marks


def _level(measured: list[tuple[int, Cells]], peak: Peak) -> tuple[float, float]:
    amplitudes = np.abs(np.concatenate([cells for _, cells in measured]))
    sounding = amplitudes[amplitudes > peak.amplitude / 2]
    if len(sounding) == 0:
        return peak.amplitude, 0.0
    level = float(np.median(sounding))
    return level, 1.4826 * float(np.median(np.abs(sounding / level - 1)))


def _sounds(cells: Cells, least: float) -> bool:
    return bool((np.abs(cells) >= least).any())


def list_gaps(trace: Trace, missing: NDArray[np.int64]) -> tuple[Gap, ...]:
    """Return the runs of missing cells as gaps, at most the first twenty."""
    if len(missing) == 0:
        return ()
    runs = np.split(missing, np.flatnonzero(np.diff(missing) > 1) + 1)
    return tuple(
        Gap(_ms(trace.position(int(run[0]))), float(len(run) * CELL_MS))
        for run in runs[:_GAPS_LISTED]
    )


def _ms(samples: int) -> float:
    return round(samples * 1000 / SAMPLE_RATE, 3)

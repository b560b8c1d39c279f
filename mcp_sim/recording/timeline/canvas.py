"""The samples of one leg in a window that slides along the call's clock.

Packets are painted wherever they belong, in any order; what the window has left behind is handed
out and cannot be changed any more. Where nothing was painted there is silence.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

Samples = npt.NDArray[np.int16]
Positions = npt.NDArray[np.int64]

_FIRST_CAPACITY = 1 << 16


class Canvas:
    """A leg's samples from `base` on; nothing before 0 or behind `length` is ever kept.

    The window grows with the farthest position painted: the caller keeps positions near to the
    clock, and takes what is finished.
    """

    def __init__(self, length: int) -> None:
        """`length` is the call's, in samples."""
        self.base = 0
        self._length = length
        self._samples: Samples = np.zeros(0, np.int16)
        self._filled = 0  # in the window; silence behind it

    def paint(self, position: Positions, rows: Samples) -> int:
        """Paint int16[N, size] at int64[N] positions; return how many rows came too late.

        Contiguous rows stay contiguous, sample for sample. Where something is painted already, both
        are added. A row that is cut by an edge of the call or of the window keeps its other part.
        """
        size = rows.shape[1]
        end = position + size
        late = int(np.count_nonzero((end <= self.base) & (end > 0))) if self.base else 0
        whole = (position >= self.base) & (end <= self._length)
        if not whole.all():
            for index in np.flatnonzero(~whole & (end > self.base) & (position < self._length)):
                self._paint_part(int(position[index]), rows[index])
            position, rows = position[whole], rows[whole]
        if len(position) and size:
            self._paint_whole(position - self.base, rows)
        return late

    def take(self, count: int) -> Samples:
        """Return the next int16[count] samples and move the window behind them."""
        out = np.zeros(count, np.int16)
        ready = min(count, self._filled)
        out[:ready] = self._samples[:ready]
        rest = self._filled - ready
        if ready:
            self._samples[:rest] = self._samples[ready : self._filled]
            self._samples[rest : self._filled] = 0
        self._filled = rest
        self.base += count
        return out

    def _paint_whole(self, at: Positions, rows: Samples) -> None:
        """Paint rows that lie whole in the window; `at` counts from `base`."""
        count, size = rows.shape
        first = int(at[0])
        if np.array_equal(at, np.arange(first, first + count * size, size)):
            self._paint_run(first, rows.reshape(-1))
            return
        order = np.argsort(at, kind="stable")
        at, rows = at[order], rows[order]
        if (np.diff(at) < size).any():
            for start, row in zip(at.tolist(), rows, strict=True):
                self._paint_run(start, row)
            return
        self._reach(int(at[-1]) + size)
        window = sliding_window_view(self._samples, size, writeable=True)
        if int(at[0]) < self._filled:
            rows = _add(window[at], rows)
        window[at] = rows
        self._filled = max(self._filled, int(at[-1]) + size)

    def _paint_part(self, position: int, row: Samples) -> None:
        """Paint what lies within the call and the window of one row."""
        begin = max(position, self.base)
        end = min(position + len(row), self._length)
        self._paint_run(begin - self.base, row[begin - position : end - position])

    def _paint_run(self, at: int, samples: Samples) -> None:
        end = at + len(samples)
        self._reach(end)
        target = self._samples[at:end]
        target[:] = _add(target, samples) if at < self._filled else samples
        self._filled = max(self._filled, end)

    def _reach(self, end: int) -> None:
        """Make the window at least `end` samples long."""
        if end > len(self._samples):
            grown = np.zeros(max(end, 2 * len(self._samples), _FIRST_CAPACITY), np.int16)
            grown[: self._filled] = self._samples[: self._filled]
            self._samples = grown


def mix(parts: list[Samples]) -> Samples:
    """Return the sum of int16[n] parts (one at least), cut at the ends of the range."""
    if len(parts) == 1:
        return parts[0]
    total = parts[0].astype(np.int32)
    for part in parts[1:]:
        total += part
    return _cut(total)


def _add(one: Samples, other: Samples) -> Samples:
    return _cut(one.astype(np.int32) + other)


def _cut(total: npt.NDArray[np.int32]) -> Samples:
    cut: Samples = np.clip(total, -32768, 32767).astype(np.int16)
    return cut

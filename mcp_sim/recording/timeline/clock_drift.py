"""A sender's clock against the call's: how far they have parted, and how the sound is kept in time.

A sound card is up to 100 millionths too fast or too slow, 360 ms in an hour: far more than two
parties of a talk may be apart. What shows it is the packet that travelled fastest: the least of
(arrival - RTP time) over some seconds hardly moves by jitter, and moves steadily by drift.

It is followed where nobody hears it: in a silence of the sender's, all at once; where there is no
silence, by single samples put in or taken out between two packets, two or three in a second (eight
where that is too slow). Packets in any order fit to each other, because the correction is a
function of the timestamp, and is decided ahead of the newest one.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]

WINDOW = 5 * 8000
"""Samples: how long the fastest packet is looked for."""
TOLERATED = 16
"""Samples (2 ms): a smaller difference may be jitter, and is left alone."""
GAP = 1600
"""Samples: in a shorter silence nothing is corrected. Longer than any packet."""
_LEAST_PACKETS = 25
_RISES = 3
"""A delay has to last for so many windows before it is taken for drift: congestion passes. Packets
that come earlier than they could are believed at once."""
_AHEAD = 8000
_SPACING = 3000
_HURRY = 80
"""Samples (10 ms) that are missing, from which on the steps follow each other faster."""
_HURRIED_SPACING = 1000
_PATIENCE = 10 * 8000
"""Samples: how long a correction waits for the next silence of one who was silent lately."""
_KEPT = 120 * 8000


class Correction:
    """Samples to be added to a timestamp's place: a step function over the timestamps."""

    def __init__(self) -> None:
        self._base = 0
        self._places = np.zeros(0, np.int64)
        self._sums = np.zeros(0, np.int64)
        self._silence: int | None = None

    @property
    def total(self) -> int:
        """What is added behind the last step."""
        return int(self._sums[-1]) if len(self._sums) else self._base

    @property
    def steady(self) -> int | None:
        """What is added everywhere, where no step is near; else None."""
        return None if len(self._places) else self._base

    def at(self, timestamp: Int64s) -> Int64s:
        """Return int64[N]: what is added at each timestamp (unwrapped)."""
        if not len(self._places):
            return np.full(len(timestamp), self._base, np.int64)
        passed = np.searchsorted(self._places, timestamp, side="right")
        return np.concatenate(([self._base], self._sums))[passed]

    def aim(self, total: int, newest: int) -> None:
        """Go to `total` by single samples, from a little behind the `newest` timestamp on.

        Steps that were planned and have not been reached are planned anew; no more are planned than
        fit into one window.
        """
        self._keep(self._places <= newest + _AHEAD)
        missing = total - self.total
        hurry = abs(missing) > _HURRY
        spacing = _HURRIED_SPACING if hurry else _SPACING
        count = min(abs(missing), WINDOW // spacing)
        if count:
            silent_lately = self._silence is not None and newest - self._silence < _PATIENCE
            begin = newest + (_PATIENCE if silent_lately and not hurry else _AHEAD)
            steps = np.arange(1, count + 1)
            sums = self.total + steps * (1 if missing > 0 else -1)
            self._places = np.append(self._places, begin + steps * spacing)
            self._sums = np.append(self._sums, sums)
        self._forget(newest - _KEPT)

    def rest(self, newest: int, following: int) -> None:
        """Take all planned steps at once between two timestamps with silence between them."""
        self._silence = following
        total = self.total
        # In the silence itself: a packet from before `following` that comes late keeps its length.
        place = newest + (following - newest) * 2 // 3
        self._keep(self._places <= place)
        if total != self.total:
            self._places = np.append(self._places, place)
            self._sums = np.append(self._sums, total)

    def _keep(self, which: npt.NDArray[np.bool_]) -> None:
        self._places, self._sums = self._places[which], self._sums[which]

    def _forget(self, before: int) -> None:
        passed = int(np.searchsorted(self._places, before, side="right"))
        if passed:
            self._base = int(self._sums[passed - 1])
            self._places, self._sums = self._places[passed:], self._sums[passed:]


class DriftWatch:
    """Measures how far the fastest packets are from where the anchor says, window by window."""

    def __init__(self) -> None:
        self._began: int | None = None
        self._count = 0
        self._least = 0
        self._before: deque[int] = deque(maxlen=_RISES - 1)

    def window(self, arrival: Int64s) -> int:
        """Return how many of int64[N] arrivals belong to the window that is open."""
        if self._began is None:
            self._began = int(arrival[0])
        if int(arrival.max()) - self._began <= WINDOW:
            return len(arrival)
        beyond = arrival - self._began > WINDOW
        beyond &= np.arange(len(arrival)) >= _LEAST_PACKETS - self._count
        return int(np.argmax(beyond)) if beyond.any() else len(arrival)

    def take(self, excess: Int64s) -> None:
        """Take how much later than their timestamps the packets of the open window arrived."""
        if len(excess):
            least = int(excess.min())
            self._least = min(self._least, least) if self._count else least
            self._count += len(excess)

    def close(self, total: int) -> int:
        """Close the window; return the correction that it asks for, `total` being the present."""
        measured, self._began, self._count = self._least, None, 0
        recent = [*self._before, measured]
        self._before.append(measured)
        if measured < total - TOLERATED:
            return measured
        if len(recent) == _RISES and min(recent) > total + TOLERATED:
            return min(recent)
        return total

"""The packets of an impaired leg in the order in which they leave, a range at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mcp_sim.rtp.impairment.fate import LegFate

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Departures:
    """N packets as int64[N]: the `frame` of each (twice where it is doubled), and when it leaves.

    `left_ns` never falls from one to the next.
    """

    frame: Int64s
    left_ns: Int64s


def departures(leg: LegFate, first: int, count: int) -> Departures:
    """Return what leaves from the time of frame `first` to that of frame ``first + count``.

    That is: most of these frames, and earlier ones that were late. Ranges side by side, from 0 on,
    give every packet exactly once.
    """
    start = max(first - leg.farthest, 0)
    fates = leg.fates(start, first + count - start)
    begin_ns, end_ns = leg.due_ns(np.array([first, first + count], np.int64)).tolist()
    within = (fates.left_ns >= begin_ns) & (fates.left_ns < end_ns)
    index = np.flatnonzero(fates.sent & within)
    index = index[np.lexsort((fates.turn[index], fates.left_ns[index]))]
    index = np.repeat(index, np.where(fates.duplicate[index], 2, 1))
    return Departures(start + index, fates.left_ns[index])

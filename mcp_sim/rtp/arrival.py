"""From the kernel's receive stamps (wall clock) to CLOCK_MONOTONIC, whatever the wall clock does.

A datagram is stamped by the wall clock as it was at that instant. The difference between both
clocks is known before and after each drain of the sockets, and the time span in which a datagram
can only have arrived is known too: from when its socket was last found empty to now. A jump of the
wall clock therefore shifts no stamp by more than that span, and mostly by nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SLACK_NS = 1_000_000
"""How far both clocks' difference may be wrong, by the way it is measured."""


def monotonic_arrivals(
    stamp_ns: npt.NDArray[np.int64],
    since_ns: npt.NDArray[np.int64],
    now_ns: int,
    offset_ns: int,
    earlier_offset_ns: int,
) -> npt.NDArray[np.int64]:
    """Return int64[N] arrival times on CLOCK_MONOTONIC, none outside ``since_ns..now_ns``.

    `stamp_ns` int64[N] are the kernel's stamps, 0 where there is none. `since_ns` int64[N] is when
    each one's socket was last empty. `offset_ns` is monotonic minus wall clock now,
    `earlier_offset_ns` the one before the last jump. A stamp that fits neither is taken to be now:
    late does no harm where legs are aligned by their earliest packets, early would.
    """
    arrival = stamp_ns + offset_ns
    outside = (arrival < since_ns - SLACK_NS) | (arrival > now_ns + SLACK_NS)
    if outside.any():
        other = stamp_ns + earlier_offset_ns
        fits = (other >= since_ns - SLACK_NS) & (other <= now_ns + SLACK_NS)
        arrival = np.where(outside, np.where(fits, other, now_ns), arrival)
    return np.clip(arrival, since_ns, now_ns)

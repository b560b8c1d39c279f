"""The figures that are measured once a second, and refuse new calls while they are too high.

Open files, the lag of the event loop, of the capture processes' ticks and of their journals' way to
the disk. Encoding is not among them: a render that waits never costs a packet.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Mapping

import structlog

from mcp_sim.admission.gauge import Gauge, Threshold
from mcp_sim.admission.room import CAPTURE_LAG, FLUSH_LAG, LOOP_LAG, OPEN_FILES, OverloadError
from mcp_sim.config import LimitSettings

_log = structlog.get_logger()

#: Gives the present figures by name; what cannot be told is left out.
Readings = Mapping[str, float]


class Gauges:
    """All figures; `note` is to be called about once a second."""

    def __init__(self, limits: LimitSettings) -> None:
        self.all = (
            Gauge(
                OPEN_FILES,
                "{value:.0%} of the files that a process may open are open, {limit:.0%} may be",
                Threshold(limits.open_files, release=0.95, patience=0.0, calm=1.0),
            ),
            Gauge(
                LOOP_LAG,
                "signalling is {value:.1f} s late, {limit:.1f} s are the limit",
                Threshold(limits.loop_lag),
            ),
            Gauge(
                CAPTURE_LAG,
                "the capture of packets is {value:.1f} s late, {limit:.1f} s are the limit",
                Threshold(limits.capture_lag),
            ),
            Gauge(
                FLUSH_LAG,
                "the journals' disk is {value:.1f} s late, {limit:.1f} s are the limit",
                Threshold(limits.flush_lag),
            ),
        )

    def note(self, readings: Readings, now: float) -> None:
        """Take new readings; `now` is monotonic seconds."""
        for gauge in self.all:
            if gauge.name in readings and gauge.note(readings[gauge.name], now):
                self._tell(gauge)

    def check(self) -> None:
        """Raise `OverloadError` while one of the figures is too high."""
        for gauge in self.all:
            if gauge.shut:
                raise OverloadError(gauge.name, gauge.reason)

    def _tell(self, gauge: Gauge) -> None:
        facts = {"limit": gauge.name, "value": round(gauge.value, 3)}
        if gauge.shut:
            _log.warning("New calls are refused", reason=gauge.reason, **facts)
        else:
            _log.info("New calls are taken again", **facts)


def share_of_files(
    pids: Iterable[int], count: Callable[[int], int], limit: Callable[[int], int]
) -> float:
    """Return the largest share of its open files that one of these processes has open.

    All of them, where this one has none left to count with.
    """
    share = 0.0
    for pid in pids:
        try:
            share = max(share, count(pid) / max(1, limit(pid)))
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                return 1.0
            continue  # it has just ended
    return share

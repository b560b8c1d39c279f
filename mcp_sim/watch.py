"""The platform's look at itself, once a second: the figures of admission, calls that nobody ends.

What goes wrong in one look is logged, and the next one is made all the same.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter

import structlog

from mcp_sim.admission.gauges import Gauges, share_of_files
from mcp_sim.admission.lag import LoopLag
from mcp_sim.admission.room import CAPTURE_LAG, FLUSH_LAG, LOOP_LAG, OPEN_FILES
from mcp_sim.calls import Calls
from mcp_sim.capture_fleet import CaptureFleet
from mcp_sim.lapse import Lapse, Lapses
from mcp_sim.recording.capture.client import CaptureClient
from mcp_sim.recording.capture.messages import CaptureStats
from service_shell.descriptors import descriptor_limit, open_descriptors

_log = structlog.get_logger()
_EVERY = 1.0
#: Figures of a capture process come every second; older ones say that it is late itself.
_USUAL_AGE = 1.2


class Watch:
    """Looks until cancelled. `lapsed` counts the calls that it ended, by cause."""

    def __init__(self, calls: Calls, fleet: CaptureFleet, gauges: Gauges, lapses: Lapses) -> None:
        self.lapsed: Counter[str] = Counter()
        self._calls = calls
        self._fleet = fleet
        self._gauges = gauges
        self._lapses = lapses
        self._lag = LoopLag()
        self._heard: dict[CaptureClient, tuple[CaptureStats, float]] = {}

    async def run(self) -> None:
        """Look once a second."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._lag.run(), name="loop lag")
            while True:
                await asyncio.sleep(_EVERY)
                try:
                    now = time.monotonic()
                    self.measure(now)
                    for lapse in self._lapses.look(self._calls.running, now):
                        group.create_task(self.end(lapse), name="lapse")
                except Exception:  # noqa: BLE001 - a figure that cannot be read costs no call
                    _log.exception("The platform could not look at itself")

    def measure(self, now: float) -> None:
        """Read all figures; `now` is monotonic seconds."""
        # Nothing here waits for a thread or a disk: it has to see them late.
        pids = [os.getpid(), *self._fleet.pids]
        share = share_of_files(pids, open_descriptors, descriptor_limit)
        stats = [client.stats for client in self._fleet.up]
        readings = {
            OPEN_FILES: share,
            LOOP_LAG: self._lag.take_worst(),
            CAPTURE_LAG: max([0.0, self._overdue(now), *(s.worst_tick_lag for s in stats)]),
            FLUSH_LAG: max([0.0, *(s.worst_flush for s in stats)]),
        }
        self._gauges.note(readings, now)

    def _overdue(self, now: float) -> float:
        """How late the figures of a capture process are, at most."""
        heard = {}
        for client in self._fleet.up:
            stats, since = self._heard.get(client, (client.stats, now))
            heard[client] = (stats, since) if stats is client.stats else (client.stats, now)
        self._heard = heard
        return max((now - since - _USUAL_AGE for _, since in heard.values()), default=0.0)

    async def end(self, lapse: Lapse) -> None:
        """End one call from our side; whatever becomes of that, the watch goes on."""
        call = lapse.call
        self.lapsed[lapse.cause] += 1
        _log.warning("A call was ended by the platform", recording_id=call.id, reason=lapse.reason)
        try:
            await call.stop(lapse.reason, lapse.headers)
        except Exception:  # noqa: BLE001 - one call's end must not cost the others theirs
            _log.exception("A call could not be ended", recording_id=call.id)

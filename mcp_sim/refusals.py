"""Calls that were not taken, and why: for the control API, the metrics and the log."""

from __future__ import annotations

from collections import deque

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Counter

_log = structlog.get_logger()
_KEPT = 200


class Refusal(msgspec.Struct, frozen=True):
    """One refused call. `status` and `reason` are what its caller was told."""

    at: str
    call_id: str
    source: str
    status: int
    cause: str
    reason: str


class Refusals:
    """The newest refused calls (a bounded number), and a counter per cause."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._newest: deque[Refusal] = deque(maxlen=_KEPT)
        self._counter = Counter(
            "reclab_calls_refused", "Calls that were not taken", ["cause"], registry=registry
        )

    def add(self, refusal: Refusal) -> None:
        """Keep, count and log `refusal`."""
        self._newest.appendleft(refusal)
        self._counter.labels(refusal.cause).inc()
        _log.warning(
            "A call was refused",
            call_id=refusal.call_id,
            source=refusal.source,
            status=refusal.status,
            cause=refusal.cause,
            reason=refusal.reason,
        )

    @property
    def newest(self) -> list[Refusal]:
        """The refused calls, newest first."""
        return list(self._newest)

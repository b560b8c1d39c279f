"""Calls that were not taken, and why: for the answer, the control API, the metrics and the log."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Counter

_log = structlog.get_logger()
_KEPT = 200
_RETRY_AFTER = 5
_UNQUOTABLE = re.compile(r'["\\\x00-\x1f\x7f]+')


def quotable(text: str) -> str:
    """Return `text` as it can stand between the quotes of a SIP header."""
    return _UNQUOTABLE.sub("'", text)


class CallNotTaken(Exception):
    """An INVITE is refused with `status`; `cause` is a short word for the metric.

    The text is one sentence, for the answer and for people alike. `retry_after` is told with 486
    and 503: in how many seconds trying again may help.
    """

    def __init__(
        self, status: int, cause: str, reason: str, retry_after: int = _RETRY_AFTER
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.cause = cause
        self.retry_after = retry_after

    @property
    def headers(self) -> list[tuple[str, str]]:
        """What the answer says beside its status: Reason (RFC 3326), and when to try again."""
        reason = ("Reason", f'SIP;cause={self.status};text="{quotable(str(self))}"')
        later = [("Retry-After", str(self.retry_after))] if self.status in (486, 503) else []
        return [reason, *later]


class Refusal(msgspec.Struct, frozen=True):
    """One refused call. `status` and `reason` are what its caller was told."""

    at: str
    call_id: str
    source: str
    status: int
    cause: str
    reason: str


class Refusals:
    """The newest refused calls (a bounded number), and a counter per cause.

    `causes` are counted from zero, so that the first refusal is seen as a change.
    """

    def __init__(self, registry: CollectorRegistry, causes: Iterable[str] = ()) -> None:
        self._newest: deque[Refusal] = deque(maxlen=_KEPT)
        self._counter = Counter(
            "reclab_mcp_calls_refused", "Calls that were not taken", ["cause"], registry=registry
        )
        for cause in causes:
            self._counter.labels(cause)

    def add(self, refusal: Refusal) -> None:
        """Keep, count and log `refusal`."""
        self._newest.appendleft(refusal)
        self._counter.labels(refusal.cause).inc()
        _log.warning("A call was refused", **msgspec.structs.asdict(refusal))

    @property
    def newest(self) -> list[Refusal]:
        """The refused calls, newest first."""
        return list(self._newest)

"""Why no further call may begin now.

NoRoomError                a word for the metric, and a sentence
├── CallLimitError         as many calls run as may
├── NoSpaceError           the spool's disk is full or cannot be written
├── OverloadError          a measured figure is above its limit
└── SourceLimitError       this source has as many calls, or has placed as many, as it may (486)
"""

from __future__ import annotations

import math


class NoRoomError(Exception):
    """No further call may begin now; `cause` is a short word for the metric.

    `retry_after`: in how many seconds trying again may help.
    """

    cause = "limit"
    status = 503
    retry_after = 5


class CallLimitError(NoRoomError):
    """As many calls run as may."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the limit of {limit} calls is reached")


class NoSpaceError(NoRoomError):
    """The spool's disk has no room for a further call."""

    cause = "spool-full"


class OverloadError(NoRoomError):
    """A measured figure is above its limit; its name is the cause."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.cause = name


class SourceLimitError(NoRoomError):
    """One source has what it may have; 503 would tell a proxy that nobody can be served."""

    cause = "source"
    status = 486

    def __init__(self, reason: str, seconds: float = 5.0) -> None:
        super().__init__(reason)
        self.retry_after = max(1, math.ceil(seconds))


#: Names of the figures that are measured once a second (`Gauges`).
OPEN_FILES, LOOP_LAG, CAPTURE_LAG, FLUSH_LAG = "open-files", "loop-lag", "capture-lag", "flush-lag"

#: Every `NoRoomError.cause`.
ROOM_CAUSES = (
    CallLimitError.cause,
    NoSpaceError.cause,
    SourceLimitError.cause,
    OPEN_FILES,
    LOOP_LAG,
    CAPTURE_LAG,
    FLUSH_LAG,
)

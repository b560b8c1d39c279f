"""What a load run did, call by call: the JSON file that `verify` compares the recordings with.

It holds no secrets. Times of the clock are UTC, as in recordings' metadata; `first` counts the
signature's packets of 20 ms from the moment the call's media began.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
import numpy as np

from mcp_sim.load.scenario import Scenario
from mcp_sim.load.signature import Leg
from mcp_sim.rtp.impairment.account import Account
from recording_format.timestamps import format_time

Result: TypeAlias = Literal["completed", "interrupted", "failed"]
"""`interrupted` calls were ended before their time by whoever stopped the run, in order."""


class LegReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent on a leg, and the channel where it should be heard.

    `packets` are counted once each. Of an impaired leg, `impaired` says what was done to it.
    """

    leg: Leg
    channel: Literal["left", "right"]
    codec: str
    first: int = 0
    packets: int = 0
    failed: int = 0
    unreachable: int = 0
    ssrc: int = 0
    first_sent: str = ""
    last_sent: str = ""
    impaired: Account | None = None

    @property
    def cells(self) -> int:
        """Cells of 20 ms from `first` on that had their time, sent or not."""
        return self.packets if self.impaired is None else self.impaired.cells


class CallReport(msgspec.Struct, frozen=True, kw_only=True):
    """One call. `status` is the final response (0: none came); `reason` says what went wrong."""

    identity: str
    number: int
    caller: str
    dialed: str
    agent: str
    connection_id: str
    result: Result
    status: int = 0
    reason: str = ""
    sip_call_ids: tuple[str, ...] = ()
    started: str = ""
    answered: str = ""
    ended: str = ""
    answer_ms: float | None = None
    """From the first INVITE to the last answer of the call."""
    legs: tuple[LegReport, ...] = ()


class Percentiles(msgspec.Struct, frozen=True):
    """Of a list of durations, in milliseconds."""

    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    max: float = 0.0

    @classmethod
    def of(cls, values: Sequence[float]) -> Percentiles:
        """Return the percentiles; zeros for an empty list."""
        if not values:
            return cls()
        return cls(*(round(float(v), 3) for v in np.percentile(values, [50, 95, 99, 100])))


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over a run."""

    planned: int
    completed: int
    interrupted: int
    failed: int
    packets: int
    answer_ms: Percentiles
    late_ms: float = 0.0
    """The longest that a call waited for its turn (--concurrency) or for the processor."""
    packet_lag_ms: float = 0.0
    """How late the latest RTP packet left against its time."""
    media_cpu_us: float = 0.0
    """CPU microseconds of the media process for each packet."""


class LoadReport(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run."""

    target: str
    transport: str
    scenario: Scenario
    backdrop: str = ""
    started: str
    ended: str
    totals: Totals
    calls: tuple[CallReport, ...]


class ReportError(ValueError):
    """A report cannot be read or written; the sentence names the file."""


def write_report(report: LoadReport, path: Path) -> None:
    """Write a report, whole at once. Raises `ReportError`."""
    text = msgspec.json.format(msgspec.json.encode(report), indent=1)
    scratch = path.with_name(f".{path.name}.part")
    try:
        scratch.write_bytes(text + b"\n")
        scratch.replace(path)
    except OSError as error:
        raise ReportError(f"the report {path} cannot be written: {error.strerror}") from None


def read_report(path: Path) -> LoadReport:
    """Read a report. Raises `ReportError`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=LoadReport)
    except OSError as error:
        raise ReportError(f"the report {path} cannot be read: {error.strerror}") from None
    except msgspec.MsgspecError:
        raise ReportError(f"{path} is not the report of a load run") from None


def timestamp(wall_ns: int) -> str:
    """Return nanoseconds since 1970 as ``2026-01-02T10:00:00.000Z``."""
    return format_time(datetime.datetime.fromtimestamp(wall_ns / 1e9, datetime.UTC))

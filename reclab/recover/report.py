"""What a run of the recovery found, what became of it, and what that means for an exit code."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

from reclab.recover.causes import Cause

Place = Literal["spool", "store", "catalogue"]


class Outcome(StrEnum):
    """What became of a finding."""

    REPAIRED = "repaired"
    WOULD_REPAIR = "would-repair"
    """A dry run found what a real one would do."""
    REMAINS = "remains"


class Finding(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One media file that is not where it belongs.

    `recording` is empty where nobody can tell it. `where` is a folder of the spool or a URL;
    `state` is the spool's. `tries` have failed. `repair`: what was, or would be, done.
    """

    recording: str
    media: str
    place: Place
    state: str = ""
    where: str
    cause: str
    recoverable: bool
    reason: str
    tries: int = 0
    repair: str = ""
    outcome: Outcome = Outcome.REMAINS

    @classmethod
    def of(
        cls,
        cause: Cause,
        reason: str,
        *,
        place: Place,
        where: str,
        recording: str = "",
        media: str = "",
        state: str = "",
        tries: int = 0,
    ) -> Finding:
        """Return a finding; the cause tells its slug and its class."""
        return cls(
            recording=recording,
            media=media,
            place=place,
            where=where,
            cause=cause.slug,
            recoverable=cause.recoverable,
            reason=reason,
            state=state,
            tries=tries,
        )

    def because(self, cause: Cause, reason: str) -> Finding:
        """Return the finding with another cause."""
        return msgspec.structs.replace(
            self, cause=cause.slug, recoverable=cause.recoverable, reason=reason
        )


class DestinationState(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How a destination of the profiles answers now; `said` is a sentence."""

    kind: Literal["store", "processor"]
    url: str
    profile: str
    answers: bool
    accepts: bool
    said: str

    @property
    def well(self) -> bool:
        """Whether a delivery can succeed."""
        return self.answers and self.accepts


class Counts(msgspec.Struct, rename="camel"):
    """How much was looked at; None: it could not be counted.

    `elsewhere`: media files of the catalogue in other stores.
    """

    spool: dict[str, int] = {}
    objects: int | None = None
    media_files: int | None = None
    elsewhere: int = 0


class Report(msgspec.Struct, kw_only=True, rename="camel"):
    """One run. `platform`: ``running``, ``stopped``, or ``none`` where there is no spool.

    `complete` is false where something could not be looked at; `notes` say what.
    """

    dry_run: bool
    platform: Literal["running", "stopped", "none"]
    complete: bool = True
    destinations: list[DestinationState] = []
    findings: list[Finding] = []
    notes: list[str] = []
    counts: Counts = msgspec.field(default_factory=Counts)

    def missed(self, note: str) -> None:
        """Take note of what could not be looked at."""
        self.complete = False
        self.notes.append(note)

    def having(self, outcome: Outcome, *, recoverable: bool | None = None) -> list[Finding]:
        """Return the findings of an outcome, and of a class where one is named."""
        return [
            one
            for one in self.findings
            if one.outcome is outcome and recoverable in (None, one.recoverable)
        ]

    def settle(self, at: int, outcome: Outcome, repair: str) -> None:
        """Say what became of a finding."""
        found = self.findings[at]
        self.findings[at] = msgspec.structs.replace(found, outcome=outcome, repair=repair)

    @property
    def exit_code(self) -> int:
        """0 when everything was looked at and nothing is left to be done, else 1."""
        left = any(one.outcome is not Outcome.REPAIRED for one in self.findings)
        return 1 if left or not self.complete else 0

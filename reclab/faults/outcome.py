"""What became of a scenario's calls, as one look at the lab found it. Data only."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Fate: TypeAlias = Literal["", "recoverable", "unrecoverable"]


class CallOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """One call.

    `taken`: its 2xx had come. `refusal` is the cause for which the platform refused it. `recorded`
    counts the media files that the processor has of it. `spool` is the state that its recording
    has in the spool, empty where it has none. `problems` is what was heard to be wrong with it.
    `fate` and `reason` are what ``reclab recover`` says of it.
    """

    identity: str
    taken: bool = False
    refusal: str = ""
    recorded: int = 0
    spool: str = ""
    recovered: bool = False
    verified: bool = False
    problems: tuple[str, ...] = ()
    playable: bool = False
    fate: Fate = ""
    reason: str = ""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """All calls of a scenario, and objects of the store that no metadata names."""

    calls: tuple[CallOutcome, ...]
    orphans: tuple[str, ...] = ()


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one question: what was `expected`, what was `found`, and whether it is good.

    `problems` are sentences about single recordings, a few of them.
    """

    question: str
    expected: str
    found: str
    good: bool
    problems: tuple[str, ...] = ()

"""Are a scenario's expectations met? One judgement for each question; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from reclab.faults.expectation import Amount, Expectation
from reclab.faults.outcome import CallOutcome, Judgement, Outcome

_MOST_PROBLEMS: Final = 5
_ON_ITS_WAY: Final = ("capturing", "rendering", "ready")

#: What each question asks of one call. `taken` and `refused` are asked of all, others of the taken.
_TRUE_OF: Final[dict[str, Callable[[CallOutcome], bool]]] = {
    "taken": lambda call: call.taken,
    "refused": lambda call: bool(call.refusal),
    "recorded": lambda call: call.recorded > 0,
    "waiting": lambda call: call.spool in _ON_ITS_WAY,
    "put_aside": lambda call: call.spool == "failed",
    "lost": lambda call: not call.recorded and not call.spool,
    "doubled": lambda call: call.recorded > 1,
    "verified": lambda call: call.verified,
    "recovered": lambda call: call.recovered,
    "playable": lambda call: call.playable,
    "recoverable": lambda call: call.fate == "recoverable",
    "unrecoverable": lambda call: call.fate == "unrecoverable",
}
_OF_ALL: Final = ("taken", "refused")


def check(expected: Expectation, outcome: Outcome) -> list[Judgement]:
    """Return a judgement for each question that `expected` asks, in its order."""
    return [_judge(expected, key, outcome) for key in expected.keys]


def check_struck(struck: Mapping[str, int]) -> list[Judgement]:
    """Judge that each fault did something: one that struck nothing proved nothing.

    `struck` counts the operations that each fault struck, by its name.
    """
    return [
        Judgement(
            question=f"fault {name} struck", expected="some", found=str(count), good=count > 0
        )
        for name, count in struck.items()
    ]


def fits(amount: Amount, count: int, among: int) -> bool:
    """Return whether `count` of `among` is the expected amount. Of nothing, nothing is all."""
    match amount:
        case "all":
            return among > 0 and count == among
        case "none":
            return count == 0
        case "some":
            return count > 0
        case _:
            return count == amount


def _judge(expected: Expectation, key: str, outcome: Outcome) -> Judgement:
    if key == "orphans":
        return _judge_orphans(expected, outcome)
    if key in ("refusal", "reason"):
        return _judge_word(expected, key, outcome)
    asked = [call for call in outcome.calls if key in _OF_ALL or call.taken]
    holds = _TRUE_OF[key]
    amount: Amount = getattr(expected, key)
    count = sum(holds(call) for call in asked)
    good = fits(amount, count, len(asked))
    return Judgement(
        question=key,
        expected=str(amount),
        found=f"{count} of {len(asked)}",
        good=good,
        problems=() if good else _problems(key, asked, holds, too_many=_too_many(amount, count)),
    )


def _judge_orphans(expected: Expectation, outcome: Outcome) -> Judgement:
    count = len(outcome.orphans)
    good = count == expected.orphans
    return Judgement(
        question="orphans",
        expected=str(expected.orphans),
        found=str(count),
        good=good,
        problems=() if good else outcome.orphans[:_MOST_PROBLEMS],
    )


def _judge_word(expected: Expectation, key: str, outcome: Outcome) -> Judgement:
    """Judge that what was refused, or lost, was so for the expected reason, each of them."""
    wanted: str = getattr(expected, key)
    if key == "refusal":
        words = [call.refusal for call in outcome.calls if call.refusal]
    else:
        words = [call.reason for call in outcome.calls if call.fate]
    return Judgement(
        question=key,
        expected=wanted,
        found=", ".join(sorted(set(words))) or "none",
        good=bool(words) and set(words) == {wanted},
    )


def _too_many(amount: Amount, count: int) -> bool:
    return amount == "none" or (isinstance(amount, int) and count > amount)


def _problems(
    key: str,
    asked: Sequence[CallOutcome],
    holds: Callable[[CallOutcome], bool],
    *,
    too_many: bool,
) -> tuple[str, ...]:
    """Say what became of a few calls that are not as expected."""
    wrong = [call for call in asked if holds(call) is too_many]
    return tuple(f"{call.identity}: {_describe(key, call)}" for call in wrong[:_MOST_PROBLEMS])


def _describe(key: str, call: CallOutcome) -> str:
    if key == "verified" and call.problems:
        return call.problems[0]
    state = f"in the spool's {call.spool}" if call.spool else "not in the spool"
    recorded = f"recorded {call.recorded} times" if call.recorded != 1 else "recorded"
    parts = [recorded if call.taken else f"refused ({call.refusal or 'no answer'})", state]
    if call.fate:
        parts.append(f"{call.fate}: {call.reason}")
    return ", ".join(parts)

"""Each expectation is met by what it asks for, and fails when the lab did otherwise."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from reclab.faults.checking import check, check_struck, fits
from reclab.faults.expectation import Amount, Expectation
from reclab.faults.outcome import CallOutcome, Outcome
from reclab.faults.result import Result

GOOD = CallOutcome(
    identity="A" * 32, taken=True, recorded=1, verified=True, playable=True, recovered=True
)
#: For each question: what is expected, and an outcome of every call for which that is not true.
WRONG: dict[str, tuple[Any, dict[str, Any]]] = {
    "taken": ("all", {"taken": False}),
    "refused": ("none", {"taken": False, "refusal": "limit"}),
    "refusal": ("limit", {"taken": False, "refusal": "spool-full"}),
    "recorded": ("all", {"recorded": 0}),
    "waiting": ("none", {"spool": "ready"}),
    "put_aside": ("none", {"spool": "failed"}),
    "lost": (0, {"recorded": 0}),
    "doubled": (0, {"recorded": 2}),
    "verified": ("all", {"verified": False, "problems": ("customer: 20 ms missing",)}),
    "recovered": ("all", {"recovered": False}),
    "playable": ("all", {"playable": False}),
    "recoverable": ("none", {"fate": "recoverable", "reason": "storage-down"}),
    "unrecoverable": ("none", {"fate": "unrecoverable", "reason": "key-gone"}),
    "reason": ("key-gone", {"fate": "unrecoverable", "reason": "media-missing"}),
}
#: Words need the number that they are about.
_NUMBERS: dict[str, dict[str, Any]] = {
    "refusal": {"refused": "some"},
    "reason": {"unrecoverable": "some"},
}
_MET: dict[str, dict[str, Any]] = {
    "refusal": {"taken": False, "refusal": "limit"},
    "reason": {"fate": "unrecoverable"},
}


def expecting(key: str, value: Any) -> Expectation:
    return msgspec.convert({key: value, **_NUMBERS.get(key, {})}, Expectation)


def judged(expected: Expectation, key: str, *calls: CallOutcome) -> tuple[bool, tuple[str, ...]]:
    [judgement] = [one for one in check(expected, Outcome(calls=calls)) if one.question == key]
    return judgement.good, judgement.problems


def test_every_question_is_tried_here() -> None:
    """The table has each key that a scenario may have; `orphans` has a test of its own."""
    assert {*WRONG, "orphans"} == set(Expectation.__struct_fields__)


@pytest.mark.parametrize("key", WRONG)
def test_question_is_answered_well_and_badly(key: str) -> None:
    """What is expected passes; a lab in which it is otherwise fails, in one call of two too."""
    value, wrong = WRONG[key]
    met = {**_MET.get(key, {}), **({"reason": value} if key == "reason" else {})}
    good = msgspec.structs.replace(GOOD, **met)
    bad = msgspec.structs.replace(GOOD, **wrong)
    expected = expecting(key, value)
    assert judged(expected, key, good, good)[0]
    assert not judged(expected, key, bad, bad)[0]
    assert not judged(expected, key, good, bad)[0]


def test_orphans_are_counted_and_named() -> None:
    """An object that no metadata names fails, and is told."""
    expected = Expectation(orphans=0)
    assert check(expected, Outcome(calls=(GOOD,)))[0].good
    [judgement] = check(expected, Outcome(calls=(GOOD,), orphans=("one.wav.bin",)))
    assert not judgement.good
    assert judgement.problems == ("one.wav.bin",)


@pytest.mark.parametrize(
    ("amount", "count", "among", "good"),
    [
        ("all", 3, 3, True), ("all", 2, 3, False), ("all", 0, 0, False),
        ("none", 0, 3, True), ("none", 1, 3, False),
        ("some", 1, 3, True), ("some", 3, 3, True), ("some", 0, 3, False),
        (2, 2, 3, True), (2, 3, 3, False), (2, 1, 3, False),
    ],
)  # fmt: skip
def test_amounts(amount: Amount, count: int, among: int, good: bool) -> None:
    """Words and numbers say how many; of no calls at all, `all` is not true."""
    assert fits(amount, count, among) is good


def test_calls_that_were_refused_are_not_lost() -> None:
    """What follows `taken` is asked of the calls that the platform took."""
    refused = CallOutcome(identity="B" * 32, refusal="limit")
    outcome = Outcome(calls=(GOOD, refused))
    expected = Expectation(taken=1, refused=1, refusal="limit", recorded="all", lost=0)
    assert all(one.good for one in check(expected, outcome))


def test_problems_name_the_calls() -> None:
    """A judgement that fails says which calls, and what is known of them."""
    deaf = msgspec.structs.replace(GOOD, verified=False, problems=("agent: 40 ms missing",))
    assert judged(Expectation(verified="all"), "verified", GOOD, deaf)[1] == (
        f"{GOOD.identity}: agent: 40 ms missing",
    )
    gone = msgspec.structs.replace(GOOD, recorded=0, fate="unrecoverable", reason="key-gone")
    assert judged(Expectation(lost=0), "lost", GOOD, gone)[1] == (
        f"{GOOD.identity}: recorded 0 times, not in the spool, unrecoverable: key-gone",
    )


def test_fault_that_struck_nothing_proved_nothing() -> None:
    """Every fault of a plan must have done something."""
    found = {one.question: one.good for one in check_struck({"store-1": 4, "store-2": 0})}
    assert found == {"fault store-1 struck": True, "fault store-2 struck": False}


def test_a_result_passes_only_whole() -> None:
    """Nothing judged, one bad judgement, or a run that broke off: none of them has passed."""
    (well,) = check(Expectation(lost=0), Outcome(calls=(GOOD,)))
    (bad,) = check(Expectation(lost=1), Outcome(calls=(GOOD,)))
    bare = Result(scenario="a", title="b", seed=1, seconds=1.0)
    assert msgspec.structs.replace(bare, expect=(well,)).passed
    assert not bare.passed
    assert not msgspec.structs.replace(bare, expect=(well, bad)).passed
    assert not msgspec.structs.replace(bare, during=(bad,), expect=(well,)).passed
    assert not msgspec.structs.replace(bare, expect=(well,), problem="not within 3 s").passed

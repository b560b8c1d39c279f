"""The kills in short; that the judge sees what is wrong; and that a seed gives the same kills."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mcp_sim.load.report import CallReport
from mcp_sim.load.signature import Leg
from tests.faults.calls import SentLeg, Spoken
from tests.faults.campaign import run_campaign
from tests.faults.expectation import Expected, expect
from tests.faults.judge import Case, Verdict, judge
from tests.faults.kills import Kill, Kind, PlannedKill, plan_kills
from tests.mcp_sim.load.sounds import stereo, uuid_of
from tests.reclab.fake_lab import PACKETS, FakeLab, fake_lab

SECOND = 1_000_000_000
KILLS, CALLS, SEED = 5, 12, 20_261_122


@pytest.mark.slow
def test_nothing_is_lost_by_kills(tmp_path: Path) -> None:
    """Every kind of kill under calls: none lost, none doubled, at most a second missing."""
    told: list[str] = []
    outcome = run_campaign(tmp_path, kills=KILLS, calls=CALLS, seed=SEED, say=told.append)
    assert not outcome.problems
    assert (outcome.lost, outcome.doubled) == (0, 0)
    assert outcome.kills.total() == KILLS
    assert set(outcome.kills) == {"main", "capture", "render", "all"}
    assert outcome.cut >= CALLS
    assert outcome.recovered >= outcome.cut // 2
    assert outcome.worst_missing_ms <= 1000


def test_a_seed_gives_the_same_kills() -> None:
    """Kinds, pauses and choices are the seed's; each kind comes among the first four."""
    plans = list(plan_kills(5, 40))
    assert plans == list(plan_kills(5, 40))
    assert plans != list(plan_kills(6, 40))
    assert {plan.kind for plan in plans[:4]} == {"main", "capture", "render", "all"}
    assert any(plan.hasty for plan in plans)


# What is expected of a call


def a_kill(seconds: float, kind: Kind = "all") -> Kill:
    plan = PlannedKill(1, kind, 0.0, hasty=False, linger=0.0, choice=0.0)
    return Kill(plan, round(seconds * SECOND))


def a_call(
    start: float = 10.0, end: float = 16.0, *, packets: int = 300, unreachable: int = 0
) -> Spoken:
    report = CallReport(
        identity="CALL", number=1, caller="", dialed="", agent="", connection_id="",
        result="completed",
    )  # fmt: skip
    leg = SentLeg(0, packets, round(start * SECOND), unreachable)
    times = (round((start - 0.1) * SECOND), round((start - 0.04) * SECOND), round(end * SECOND))
    return Spoken(report, *times, {"customer": leg})


def test_what_arrived_before_the_kill_is_expected() -> None:
    """Packets are counted up to the kill; later ones reached nobody."""
    expected = expect(a_call(), [a_kill(12.0)])
    assert expected.cut is not None
    assert expected.arrived == {"customer": 101}
    assert expected.recovered is True
    assert not expected.may_be_absent


def test_the_last_second_may_be_gone() -> None:
    """Of a call that had sent less than a second nothing need be there."""
    assert expect(a_call(), [a_kill(10.9)]).may_be_absent
    assert not expect(a_call(), [a_kill(11.1)]).may_be_absent


def test_other_kills_change_nothing() -> None:
    """Kills before and after a call, and those of render workers, cost it no packet."""
    for kills in ([], [a_kill(5.0)], [a_kill(30.0)], [a_kill(12.0, "render")]):
        expected = expect(a_call(), kills)
        assert expected.cut is None
        assert expected.arrived == {"customer": 300}
        assert expected.recovered is False


def test_a_kill_just_behind_the_end_counts() -> None:
    """What had arrived last may not be on disk yet, and the end may be: both are right."""
    expected = expect(a_call(), [a_kill(16.3)])
    assert expected.cut is None
    assert expected.arrived == {"customer": 300}
    assert expected.recovered is None
    assert expected.may_miss_ms == 1000


def test_a_call_answered_by_the_dead_is_not_expected() -> None:
    """Killed between its question and its answer: all that was sent found nobody."""
    asked = a_kill(9.95)
    assert expect(a_call(unreachable=3), [asked]).arrived == {"customer": 0}
    assert expect(a_call(), [asked]).arrived == {"customer": 300}


def test_the_first_kill_counts() -> None:
    """What comes after it was sent to nobody."""
    assert expect(a_call(), [a_kill(14.0), a_kill(12.0)][::-1]).arrived == {"customer": 101}


# What the judge says


IDENTITY = uuid_of(7)


def expected(cut_at: int | None = None) -> Expected:
    """Both legs sent `PACKETS`; with `cut_at` the recorder was killed after so many of them."""
    arrived = PACKETS if cut_at is None else cut_at
    cut = None if cut_at is None else a_kill(1.0)
    legs: dict[Leg, int] = {"customer": arrived, "agent": arrived}
    return Expected(IDENTITY, cut, legs, cut is not None, 0 if cut is None else 1000)


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[FakeLab]:
    """A lab without recordings."""
    async with fake_lab(tmp_path) as made:
        yield made


def verdict_on(lab: FakeLab, want: Expected, *documents: dict[str, Any]) -> Verdict:
    """Judge a call that sent `PACKETS` on each leg, by these media files of it."""
    keys = {alias: Path(path) for alias, path in lab.lab.keys.items()}
    stored = [lab.objects[f"/recordings/{one['mediaId']}.bin"] for one in documents]
    sent = dict.fromkeys(want.arrived, (0, PACKETS))
    return judge(Case(want, sent, documents, stored, keys))


def recovered(lab: FakeLab, cut_at: int) -> dict[str, Any]:
    """A recording that ends after `cut_at` packets, and says that it was recovered."""
    document = lab.add(IDENTITY, stereo(IDENTITY, cut_at))
    document["lab"]["recovered"] = True
    for leg in document["lab"]["legs"]:
        leg["packets"] = cut_at
    return document


def test_a_whole_recording_is_right(lab: FakeLab) -> None:
    """Nothing is missing of a call that nobody cut off."""
    verdict = verdict_on(lab, expected(), lab.add(IDENTITY))
    assert verdict.problems == []
    assert verdict.missing_ms == 0


@pytest.mark.parametrize(("kept", "right"), [(PACKETS - 40, True), (PACKETS - 55, False)])
def test_a_second_is_the_limit(lab: FakeLab, kept: int, right: bool) -> None:
    """Of a call cut off 0.8 s may be missing, 1.1 s may not."""
    verdict = verdict_on(lab, expected(PACKETS), recovered(lab, kept))
    assert verdict.missing_ms == 20 * (PACKETS - kept)
    assert (not verdict.problems) is right


def test_a_packet_missing_of_a_whole_call_is_seen(lab: FakeLab) -> None:
    """Where nothing was killed, nothing may be missing."""
    sound = stereo(IDENTITY, PACKETS)
    sound[0, 8000:8160] = 0
    verdict = verdict_on(lab, expected(), lab.add(IDENTITY, sound))
    assert any("ms missing" in problem for problem in verdict.problems)


def test_an_absent_recording_is_lost(lab: FakeLab) -> None:
    """Not found at all: lost, unless it had hardly begun."""
    assert verdict_on(lab, expected()).lost
    assert verdict_on(lab, expected(PACKETS)).lost
    young = verdict_on(lab, expected(45))
    assert young.absent
    assert not young.lost


def test_a_mark_that_is_wrong_is_seen(lab: FakeLab) -> None:
    """Recovered or not: the recording has to say what is true."""
    unmarked = lab.add(IDENTITY, stereo(IDENTITY, PACKETS - 10))
    assert "it is not marked as recovered" in verdict_on(lab, expected(PACKETS), unmarked).problems
    marked = recovered(lab, PACKETS)
    assert "it is marked as recovered" in verdict_on(lab, expected(), marked).problems


def test_foreign_packets_are_seen(lab: FakeLab) -> None:
    """More packets than were sent are somebody else's."""
    document = lab.add(IDENTITY)
    document["lab"]["legs"][0]["packets"] = PACKETS + 3
    problems = verdict_on(lab, expected(), document).problems
    assert problems == [f"customer: {PACKETS + 3} packets recorded, {PACKETS} sent"]


def test_the_same_sound_twice_is_doubled(lab: FakeLab) -> None:
    """Two files of a call may follow each other, not hold the same."""
    first = recovered(lab, PACKETS)
    verdict = verdict_on(lab, expected(PACKETS), first, first)
    assert verdict.doubled
    assert any("are there twice" in problem for problem in verdict.problems)


def test_a_changed_object_is_seen(lab: FakeLab) -> None:
    """What the store holds is proven before it is listened to."""
    document = lab.add(IDENTITY)
    name = f"/recordings/{document['mediaId']}.bin"
    lab.objects[name] = lab.objects[name][:-16] + bytes(16)
    assert verdict_on(lab, expected(), document).problems

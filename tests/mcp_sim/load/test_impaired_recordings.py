"""Each impairment, recorded by the real timeline: whole where it was sent, silent where it was not.

And the other way round: a recording that is not what was sent is not accepted, whatever was done
to the call on purpose.
"""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from mcp_sim.load.impairments import Impairments
from mcp_sim.load.report import CallReport
from mcp_sim.rtp.impairment import Impairment
from recording_format.lab import LegReport as Counted
from tests.mcp_sim.load.impaired_call import SentLeg, judge, play, record, report_of, send

SECONDS = 12.0
KINDS = {
    "nothing": Impairment(),
    "loss": Impairment(loss=0.05),
    "burst": Impairment(burst_loss=0.01, burst_length=12),
    "duplicate": Impairment(duplicate=0.1),
    "reorder": Impairment(reorder=0.1, reorder_by=7),
    "jitter": Impairment(jitter_ms=60),
    "ssrc": Impairment(ssrc_change_at=4.2),
    "fast": Impairment(drift_ppm=200),
    "slow": Impairment(drift_ppm=-200),
    "one way": Impairment(one_way=True),
    "silence": Impairment(talk=1.5, silence=1),
    "long silence": Impairment(talk=2, silence=6),
    "all": Impairment(
        loss=0.05, burst_loss=0.002, duplicate=0.05, reorder=0.05, jitter_ms=30,
        ssrc_change_at=7, drift_ppm=-100, talk=2, silence=1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_each_kind_is_recorded_and_proven(kind: str, seed: int) -> None:
    """Verified, on either leg, with the metadata's counts equal to the generator's."""
    customer_only = Impairments(customer=KINDS[kind])
    agent_too = Impairments(customer=KINDS["loss"], agent=KINDS[kind])
    assert play(customer_only, SECONDS, seed=seed) == ()
    assert play(agent_too, SECONDS, seed=seed) == ()


@pytest.mark.parametrize("ppm", [100, -100, 200])
def test_minutes_of_drift_are_proven(ppm: float) -> None:
    """Five minutes against a steady clock: followed sample by sample, with loss and jitter."""
    wrong = Impairment(drift_ppm=ppm, loss=0.02, jitter_ms=20)
    assert play(Impairments(agent=wrong), 300) == ()


def test_both_legs_may_be_mute() -> None:
    """A call in which nobody sends anything is a recording of silence, and proven to be one."""
    mute = Impairment(one_way=True)
    assert play(Impairments(customer=mute, agent=mute), 3) == ()


def test_the_counts_are_the_generators() -> None:
    """Lost, duplicate and silent stand in the metadata as what they are, to the packet."""
    wrong = Impairment(loss=0.05, duplicate=0.1, reorder=0.1, talk=3, silence=1)
    leg = send("customer", wrong, 60)
    _, (counted, _) = record([leg, send("agent", Impairment(), 60)], 60)
    done = leg.account
    assert min(done.lost, done.duplicated, done.reordered, done.silent) > 50
    assert (counted.lost, counted.duplicate, counted.late) == (done.lost, done.duplicated, 0)
    assert counted.silent_ms == done.silent * 20
    assert counted.packets == len(leg.packets) - done.duplicated


Call = tuple[npt.NDArray[np.int16], list[Counted], CallReport]


def recorded(customer: Impairment, agent: Impairment | None = None) -> Call:
    """A recording that is right, to be made wrong."""
    legs: list[SentLeg] = [
        send("customer", customer, SECONDS),
        send("agent", agent or Impairment(), SECONDS),
    ]
    sound, counted = record(legs, SECONDS)
    return sound, counted, report_of(legs)


def test_concealed_loss_is_not_accepted() -> None:
    """A recorder that repeats the packet before a lost one invents what nobody sent."""
    sound, counted, call = recorded(KINDS["loss"])
    assert call.legs[0].impaired is not None
    lost = call.legs[0].impaired.unsent[0][0]
    begin = 320 + lost * 160
    sound[0, begin : begin + 160] = sound[0, begin - 160 : begin]
    _, problems = judge(sound, counted, call)
    assert problems == ("customer: something is heard in 20 ms that were never sent",)


def test_more_missing_than_left_out_is_not_accepted() -> None:
    """A packet that was sent is missing, however many others were left out."""
    sound, counted, call = recorded(KINDS["loss"])
    sound[0, 320 + 160 : 320 + 320] = 0
    _, problems = judge(sound, counted, call)
    assert problems == ("customer: 20 ms missing, first at 0.060 s",)


def test_a_doubled_packet_must_not_be_heard_twice() -> None:
    """A copy that is added to its original is too loud, and that is noticed."""
    sound, counted, call = recorded(KINDS["duplicate"])
    sound[0, 320 + 1600 : 320 + 1760] *= 2
    _, problems = judge(sound, counted, call)
    assert problems == ("customer: 20 ms are heard twice as loud as they were sent",)


@pytest.mark.parametrize("field", ["lost", "duplicate", "late", "packets", "silent_ms"])
def test_a_wrong_count_is_not_accepted(field: str) -> None:
    """Each count of the metadata is held against what was done."""
    sound, counted, call = recorded(KINDS["all"])
    wrong = {field: getattr(counted[0], field) + (500 if field == "silent_ms" else 1)}
    counted[0] = msgspec.structs.replace(counted[0], **wrong)
    _, problems = judge(sound, counted, call)
    assert len(problems) == 1
    assert field.removesuffix("_ms")[:5] in problems[0] or field == "packets"


def test_sound_on_a_mute_leg_is_not_accepted() -> None:
    """A leg that sent nothing has to be silent in the recording."""
    sound, counted, call = recorded(KINDS["one way"])
    sound[0, 8000:16_000] = 1000
    _, problems = judge(sound, counted, call)
    assert problems == ("unexpected sound on the left channel (1000 RMS)",)


def test_an_uncorrected_drift_is_not_accepted() -> None:
    """Where a recorder trusts the timestamps of a fast clock, the legs part, and that is seen."""
    seconds = 120.0
    legs = [send("customer", Impairment(), seconds), send("agent", KINDS["fast"], seconds)]
    call = report_of(legs)
    at_their_numbers = [(n * 20_000_000, data) for n, (_, data) in enumerate(legs[1].packets)]
    legs[1] = SentLeg(at_their_numbers, legs[1].account)
    sound, counted = record(legs, seconds)
    finding, problems = judge(sound, counted, call)
    assert finding.offset_ms == pytest.approx(24, abs=0.2)
    assert [problem.split(" off ")[1] for problem in problems] == ["the customer"]


def test_silence_that_hides_a_drift_is_proven() -> None:
    """Where a party is silent half of the time, the place is corrected in the silences."""
    wrong = Impairment(drift_ppm=200, talk=2, silence=2.5)
    legs = [send("customer", wrong, 90), send("agent", Impairment(), 90)]
    sound, counted = record(legs, 90)
    finding, problems = judge(sound, counted, report_of(legs))
    assert problems == ()
    assert abs(finding.offset_ms or 99) < 10
    unsent = legs[0].account.unsent
    heard = [jump.at_ms for jump in finding.legs[0].jumps]
    ends = [40 + 20 * (first + count) for first, count in unsent]
    assert all(min(abs(at - end) for end in ends) < 2000 for at in heard)


def test_a_torn_change_of_source_is_not_accepted() -> None:
    """A new source that is put 30 ms off its place has torn the leg."""
    sound, counted, call = recorded(KINDS["ssrc"])
    seam = 320 + 210 * 160
    sound[0, seam:] = np.roll(sound[0, seam:], 240)
    _, problems = judge(sound, counted, call)
    assert any("jumps by +30.0 ms" in problem for problem in problems)

"""Scenarios: the same seed gives the same calls, and a bad option is one sentence."""

from __future__ import annotations

import msgspec
import pytest

from mcp_sim.load.impairments import Impairments
from mcp_sim.load.offers import build_invites
from mcp_sim.load.report import Percentiles, ReportError, read_report
from mcp_sim.load.scenario import Scenario, ScenarioError, fill_number, plan_calls
from mcp_sim.rtp.impairment import Impairment
from mcp_sim.sip.siprec import RecordingSession


def test_the_same_seed_gives_the_same_calls() -> None:
    """Identities, times, numbers and order of legs follow from the seed."""
    one = list(plan_calls(Scenario(calls=50, seed=3, arrivals="poisson")))
    again = list(plan_calls(Scenario(calls=50, seed=3, arrivals="poisson")))
    other = list(plan_calls(Scenario(calls=50, seed=4, arrivals="poisson")))
    assert one == again
    assert not {call.identity for call in one} & {call.identity for call in other}
    assert {call.legs[0] for call in one} == {"customer", "agent"}


def test_arrivals_keep_the_rate() -> None:
    """Even calls come exactly, Poisson calls on average at the rate."""
    even = [call.at for call in plan_calls(Scenario(calls=10, rate=4))]
    assert even == pytest.approx([0.25 * n for n in range(10)])
    calls = list(plan_calls(Scenario(calls=4000, rate=50, arrivals="poisson")))
    assert calls[-1].at == pytest.approx(80, rel=0.1)


@pytest.mark.parametrize(
    ("pattern", "number", "filled"),
    [
        ("+1617555####", 42, "+16175550042"),
        ("800555####", 123456, "8005553456"),
        ("7##1", 5, "7051"),
        ("112", 9, "112"),
    ],
)
def test_patterns_take_the_running_number(pattern: str, number: int, filled: str) -> None:
    """Each # is a digit of the call's number, the last digits where there are too few #."""
    assert fill_number(pattern, number) == filled


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"rate": 0.0}, "--rate must be above 0"),
        ({"rate": -1.0}, "--rate must be above 0"),
        ({"calls": 0}, "--calls must be"),
        ({"hold": 0.0}, "--hold must be"),
        ({"hold": float("nan")}, "--hold must be"),
        ({"concurrency": 0}, "--concurrency"),
        ({"stagger": -1.0}, "--stagger"),
        ({"stagger": 1.0}, "--stagger is for --signalling gir"),
        ({"caller": "sip:x@y"}, "--caller 'sip:x@y' is not a number"),
        ({"dialed": ""}, "--dialed"),
        ({"profile_dbid": 0}, "--profile-dbid"),
        (
            {"impairments": Impairments(agent=Impairment(loss=2))},
            "--impair agent: loss must be between 0 and 1, not 2",
        ),
        (
            {"impairments": Impairments(agent=Impairment()), "signalling": "plain"},
            "--impair agent: a call of --signalling plain has no agent",
        ),
    ],
)
def test_senseless_options_are_refused(change: dict[str, object], sentence: str) -> None:
    """What makes no sense is named with its option."""
    scenario = msgspec.structs.replace(Scenario(), **change)
    with pytest.raises(ScenarioError, match=sentence):
        scenario.check()


def test_siprec_says_who_is_heard_where() -> None:
    """The metadata's participant on each label is the party that speaks on that stream."""
    for call in plan_calls(Scenario(calls=20)):
        media = [("127.0.0.1", 4000), ("127.0.0.1", 4002)]
        (invite,) = build_invites(call, Scenario(), ("127.0.0.1", 5060), media)
        document = invite.body[invite.body.index(b"<?xml") : invite.body.index(b"</recording>")]
        session = RecordingSession.parse(document + b"</recording>")
        speakers = {label: who[0].aor for label, who in session.speakers().items()}
        for index, leg in enumerate(call.legs):
            number = call.caller if leg == "customer" else call.agent
            assert number in speakers[str(index + 1)]
            assert invite.offer.media[index].port == media[index][1]


def test_percentiles_of_nothing_are_zero() -> None:
    """A run without answers has a report all the same."""
    assert Percentiles.of([]) == Percentiles()
    assert Percentiles.of([5.0] * 9 + [100.0]).p50 == 5


def test_a_foreign_report_is_refused(tmp_path: object) -> None:
    """A file that is no report is named."""
    from pathlib import Path

    path = Path(str(tmp_path)) / "x.json"
    path.write_text("{}")
    with pytest.raises(ReportError, match=r"x\.json is not the report"):
        read_report(path)
    with pytest.raises(ReportError, match=r"y\.json cannot be read"):
        read_report(path.with_name("y.json"))

"""Calls that are impaired on purpose, each kind once: recorded by a lab, and proven by `verify`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.end_to_end.lab_under_test import RECLAB, LabUnderTest, lab_up

HOLD = 9
CALLS = {
    "loss": ("customer:loss=0.05", "agent:burst_loss=0.02,burst_length=6"),
    "order": ("customer:duplicate=0.08", "agent:reorder=0.08,reorder_by=5"),
    "time": ("customer:jitter=30", "agent:drift=200"),
    "source": ("customer:ssrc_change_at=4", "agent:nat_rebinding_at=4"),
    "silence": ("customer:one_way", "agent:talk=2,silence=1"),
    "all": ("loss=0.03,duplicate=0.03,reorder=0.03,jitter=20,talk=3,silence=1,drift=-100",),
}


@dataclass(frozen=True)
class Played:
    """One call: what the generator says it did, what was stored, and what `verify` says of it."""

    call: dict[str, Any]
    recording: dict[str, Any]
    verdict: dict[str, Any]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabUnderTest]:
    """One lab for all calls."""
    with lab_up(tmp_path_factory.mktemp("impaired") / "lab") as running:
        yield running


@pytest.fixture(scope="module")
def played(lab: LabUnderTest) -> dict[str, Played]:
    """All calls, placed at once by a generator each, and verified."""
    files = {kind: lab.folder / f"impaired-{kind}.json" for kind in CALLS}
    running = []
    for seed, (kind, options) in enumerate(CALLS.items()):
        command = ["load", "--target", lab.sip, "--calls", "1", "--hold", str(HOLD)]
        command += ["--seed", str(seed), "--report", str(files[kind])]
        command += [f"--impair={option}" for option in options]
        running.append(subprocess.Popen([*RECLAB, *command], stdout=subprocess.PIPE))
    told = [process.communicate(timeout=120)[0] for process in running]
    assert {process.returncode for process in running} == {0}
    assert all(b"impaired on purpose" in text for text in told)
    reports = {kind: json.loads(file.read_text()) for kind, file in files.items()}
    calls = {kind: report["calls"][0] for kind, report in reports.items()}
    together = lab.folder / "impaired.json"
    together.write_text(json.dumps(reports["loss"] | {"calls": list(calls.values())}))
    verified = lab.reclab("verify", "--report", together, "--json")
    verdicts = {verdict["id"]: verdict for verdict in json.loads(verified.stdout)}
    stored = {recording["id"]: recording for recording in lab.wait_for_recordings(len(CALLS))}
    return {
        kind: Played(call, stored[call["identity"]], verdicts[call["identity"]])
        for kind, call in calls.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", CALLS)
def test_an_impaired_call_is_proven(played: dict[str, Played], kind: str) -> None:
    """Each leg is verified, and the metadata counts what the generator did, to the packet."""
    one = played[kind]
    assert one.verdict["problems"] == []
    assert one.verdict["verified"]
    (media,) = one.recording["mediaFiles"]
    counted = {leg["channel"]: leg for leg in media["lab"]["legs"]}
    for leg in one.call["legs"]:
        done, here = leg["impaired"], counted[leg["channel"]]
        assert here["packets"] == leg["packets"]
        assert here["lost"] == done["lost"]
        assert here["duplicate"] == done["duplicated"]
        assert here["late"] == 0
        assert here["silentMs"] == pytest.approx(20 * done["silent"], abs=40)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "place", "what"),
    [
        ("loss", 0, "lost"),
        ("loss", 1, "bursts"),
        ("order", 0, "duplicated"),
        ("order", 1, "reordered"),
        ("time", 0, "delayed"),
        ("time", 1, "drift_ppm"),
        ("source", 0, "ssrc_changes"),
        ("source", 1, "rebindings"),
        ("silence", 0, "one_way"),
        ("silence", 1, "silent"),
    ],
)
def test_something_was_done(played: dict[str, Played], kind: str, place: int, what: str) -> None:
    """None of the kinds passes because nothing happened."""
    name = ("customer", "agent")[place]
    (leg,) = (leg for leg in played[kind].call["legs"] if leg["leg"] == name)
    assert leg["impaired"][what]

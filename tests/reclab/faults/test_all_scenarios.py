"""Every scenario that comes with the lab passes, in its short form, with real services."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from reclab.faults.shipped import shipped
from tests.end_to_end.lab_under_test import RECLAB

#: A lab in which all goes well, and nobody expected that.
WRONG = """
title = "Nothing is recorded"
about = "It is, so this fails."
seed = 99
[load]
calls = 1
hold = 1.0
[[faults]]
on = "crypto"
kind = "down"
[expect]
recorded = "none"
lost = 0
"""
NAMES = [one.name for one in shipped()]
_SECONDS = 280.0
#: Most of their time they wait: for calls to end, and for the next try.
_AT_ONCE = 3


@pytest.fixture(scope="module")
def results(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """What became of each scenario of this session, by name; several labs play at a time."""
    asked = {
        item.callspec.params["name"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.function is test_scenario_passes
        and hasattr(item, "callspec")
    }  # fmt: skip
    labs = tmp_path_factory.mktemp("labs")
    wrong = tmp_path_factory.mktemp("files") / "wrong.toml"
    wrong.write_text(WRONG)
    wanted = [*(name for name in NAMES if name in asked), str(wrong)]
    runs = [
        _start(wanted[first::_AT_ONCE], labs, labs / f"results-{first}")
        for first in range(min(_AT_ONCE, len(wanted)))
    ]
    found: dict[str, dict[str, Any]] = {}
    try:
        for number, run in enumerate(runs):
            assert run.wait(timeout=_SECONDS) in (0, 1), f"see {labs}/results-{number}.log"
            said = json.loads((labs / f"results-{number}").read_text())
            found |= {result["scenario"]: result for result in said}
    finally:
        for run in runs:
            run.terminate()
            run.wait(timeout=60)
    return found


def _start(names: Sequence[str], labs: Path, results: Path) -> subprocess.Popen[bytes]:
    """Play `names` one after the other; failed labs are kept in `labs`."""
    command = [*RECLAB, "faults", "run", "--short", "--json", *names]
    environment = {**os.environ, "TMPDIR": str(labs)}
    with results.open("wb") as out, results.with_suffix(".log").open("wb") as log:
        return subprocess.Popen(command, stdout=out, stderr=log, env=environment)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_scenario_passes(results: dict[str, dict[str, Any]], name: str) -> None:
    """What the scenario expects is so, before the healing and after it."""
    result = results[name]
    judgements = (*result["during"], *result["expect"])
    wrong = [one for one in judgements if not one["good"]]
    assert result["passed"], json.dumps([result["problem"], result["lab"], *wrong], indent=1)


@pytest.mark.slow
def test_scenario_fails_where_it_should(results: dict[str, dict[str, Any]]) -> None:
    """What is not as expected, and a fault that struck nothing, fail; the lab is kept."""
    result = results["wrong"]
    judgements = {one["question"]: one for one in (*result["during"], *result["expect"])}
    assert not result["passed"]
    assert not result["problem"]
    assert not judgements["recorded"]["good"]
    assert judgements["recorded"]["found"] == "1 of 1"
    assert not judgements["fault crypto-1 struck"]["good"]
    assert judgements["lost"]["good"]
    assert (Path(result["lab"]) / "wrong-sent.json").is_file()

"""The scenarios that come with the lab: found, described, and one for each documented cause."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from reclab.faults.scenario import ScenarioFileError
from reclab.faults.shipped import FOLDER, find, shipped

ROOT = Path(__file__).parent.parent.parent.parent
#: Why operators of such platforms lose recordings, as its documents tell it.
CAUSES = {
    "storage down",
    "wrong storage credentials",
    "RPS down",
    "wrong RPS URI",
    "wrong RPS credentials",
    "indexer refused",
    "metadata unparsable or incomplete",
    "metadata missing",
    "media missing",
    "encrypted media whose key is gone",
}


def test_each_documented_cause_has_a_scenario() -> None:
    """Every cause is played by one at least, and no scenario invents another."""
    assert {one.scenario.cause for one in shipped()} - {""} == CAUSES


def test_every_scenario_has_a_seed_of_its_own() -> None:
    """Two scenarios in one lab never place calls of the same identities."""
    seeds = [one.scenario.seed for one in shipped()]
    assert len(set(seeds)) == len(seeds) > 20


def test_installation_brings_them_along() -> None:
    """The folder of scenarios is part of what is installed, beside the package that looks there."""
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert "faults" in setuptools["packages"]["find"]["include"]
    assert "*.toml" in setuptools["package-data"]["*"]
    assert FOLDER == ROOT / "faults"


def test_documentation_lists_them() -> None:
    """docs/scenarios.md has one row for each scenario, with its title."""
    text = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
    rows = [row.split("|") for row in text.splitlines() if row.startswith("| `")]
    listed = {row[1].strip(" `"): row[2].strip() for row in rows if len(row) == 5}
    assert listed == {one.name: one.scenario.title for one in shipped()}


def test_scenario_is_found_by_name_and_by_file(tmp_path: Path) -> None:
    """A shipped one has a name; a file of that name in this folder goes before it."""
    assert find("store-down").scenario.title == "The store is down"
    own = tmp_path / "store-down.toml"
    own.write_text((FOLDER / "store-down.toml").read_text().replace("is down", "is away"))
    assert find(str(own)).scenario.title == "The store is away"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("store-dawn", "there is no scenario store-dawn: see `reclab faults list`"),
        ("none.toml", "the scenario none.toml cannot be read: no such file or directory"),
        ("/nowhere/store-down", "the scenario /nowhere/store-down cannot be read"),
    ],
)
def test_unknown_scenario_is_told(text: str, sentence: str) -> None:
    """What is neither a file nor a shipped scenario is one sentence."""
    with pytest.raises(ScenarioFileError) as refused:
        find(text)
    assert sentence in str(refused.value)

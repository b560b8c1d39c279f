"""The scenarios that come with the lab: ``faults/*.toml`` beside the packages, installed or not."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import reclab
from reclab.faults.scenario import FaultScenario, ScenarioFileError, read_scenario

#: In a checkout the repository's folder; an installation has it at the same place beside `reclab`.
FOLDER: Final = Path(reclab.__file__).parent.parent / "faults"
_SUFFIX: Final = ".toml"


class NamedScenario(NamedTuple):
    """A scenario and its name: that of its file."""

    name: str
    scenario: FaultScenario


def shipped() -> list[NamedScenario]:
    """Return all shipped scenarios, by name. Raises `ScenarioFileError`."""
    return [read_named(file) for file in sorted(FOLDER.glob(f"*{_SUFFIX}"))]


def find(text: str) -> NamedScenario:
    """Return the scenario that a person means: a file, or the name of a shipped one.

    Raises `ScenarioFileError`.
    """
    file = Path(text)
    own = FOLDER / f"{text}{_SUFFIX}"
    if not file.is_file() and file.name == text and own.is_file():
        file = own
    elif not file.exists() and file.name == text and file.suffix != _SUFFIX:
        raise ScenarioFileError(f"there is no scenario {text}: see `reclab faults list`")
    return read_named(file)


def read_named(file: Path) -> NamedScenario:
    """Return the scenario of a file. Raises `ScenarioFileError`."""
    return NamedScenario(file.stem, read_scenario(file))

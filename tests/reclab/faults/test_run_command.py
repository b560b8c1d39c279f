"""``reclab faults run``: what is wrong with the wish is told before any lab comes up."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from reclab.commands import app
from reclab.faults.shipped import FOLDER, shipped
from service_shell.settings import SettingsError


def refused(*arguments: str) -> str:
    """The sentence for which the command is refused, which `reclab` answers with exit code 2."""
    with pytest.raises(SettingsError) as error:
        CliRunner().invoke(app, ["faults", *arguments], catch_exceptions=False)
    return str(error.value)


def test_bad_wishes_are_told(tmp_path: Path) -> None:
    """Nothing named, too much named, an unknown name, a file that is no scenario."""
    broken = tmp_path / "broken.toml"
    broken.write_text("title = 1")
    assert "name a scenario's file" in refused("run")
    assert "name scenarios, or say --all" in refused("run", "store-down", "--all")
    assert "there is no scenario store-dawn" in refused("run", "store-down", "store-dawn")
    assert "named store-down" in refused("run", "store-down", str(FOLDER / "store-down.toml"))
    assert "broken.toml is no scenario" in refused("run", str(broken))
    assert "say what shall be wrong" in refused("certificates")
    assert "say what shall be wrong" in refused("certificates", "expired", "--heal")


def test_lab_is_not_kept_among_other_files(tmp_path: Path) -> None:
    """A folder in which something lies already takes no labs."""
    (tmp_path / "mine").touch()
    assert "is not empty" in refused("run", "store-down", "--keep", str(tmp_path))


def test_list_shows_names_and_titles() -> None:
    """Every shipped scenario is one line; `run --list` shows those that would be played."""
    shown = CliRunner().invoke(app, ["faults", "list"])
    assert shown.exit_code == 0
    rows = dict(line.split("  ", 1) for line in shown.output.splitlines())
    assert rows["store-down"].strip() == "The store is down"
    assert len(rows) == len(shipped())
    chosen = CliRunner().invoke(app, ["faults", "run", "--list", "store-down"])
    assert chosen.output == "store-down  The store is down\n"

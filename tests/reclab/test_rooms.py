"""The command line as a whole: every command is there, and holds only what it needs."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from reclab.commands import ROOMS, app


@pytest.mark.parametrize("name", ROOMS)
def test_every_command_explains_itself(name: str) -> None:
    """Each command has a help of its own, and is listed with it in the help of the whole."""
    shown = CliRunner().invoke(app, [name, "-h"])
    assert shown.exit_code == 0
    assert f"reclab {name}" in shown.output
    assert "completion" not in shown.output
    assert f" {name} " in CliRunner().invoke(app, ["-h"]).output


def test_unknown_command_is_named() -> None:
    """A command that does not exist is a usage error that names it."""
    shown = CliRunner().invoke(app, ["achive"])
    assert shown.exit_code == 2
    assert "No such command 'achive'" in shown.output


@pytest.mark.parametrize(
    ("name", "unneeded"),
    [("archive", "numpy av mcp_sim crypto_server sqlalchemy"), ("decrypt", "numpy av aiohttp")],
)
def test_a_command_loads_no_others(name: str, unneeded: str) -> None:
    """A command that runs for hours, or a thousand times, does not load what only others need."""
    probe = (
        f"import sys; sys.argv[1:] = [{name!r}, '-h']\n"
        "from reclab.commands import app\n"
        "try: app()\n"
        "except SystemExit: pass\n"
        f"print(sorted(set({unneeded!r}.split()) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"

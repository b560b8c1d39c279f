"""The command line ``reclab``: one room per command, registered here.

Exit codes: 0 all is well, 1 something was found wrong, 2 the input or the surroundings are.
"""

from __future__ import annotations

import sys

import typer

from reclab.demo_command import demo
from reclab.export_command import export
from reclab.load_command import load
from reclab.prepare_command import prepare
from reclab.up_command import up
from reclab.verify_command import verify
from service_shell.settings import SettingsError

app = typer.Typer(
    name="reclab",
    help="The recording lab: take calls, record, encrypt, store, find, decrypt, and prove it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (up, demo, load, verify, export, prepare):
    app.command()(command)


def main() -> None:
    """Run the command line; what is wrong with the input is one sentence and exit code 2."""
    try:
        app()
    except SettingsError as error:
        sys.stderr.write(f"reclab: {error}\n")
        sys.exit(2)

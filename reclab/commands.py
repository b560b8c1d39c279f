"""The commands of ``reclab``: one room per command, registered here."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from reclab.demo_command import demo
from reclab.export_command import export
from reclab.load_command import load
from reclab.prepare_command import prepare
from reclab.up_command import up
from reclab.verify_command import verify

app = typer.Typer(
    name="reclab",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (up, demo, load, verify, export, prepare):
    app.command()(command)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"reclab {version('reclab')}")
        raise typer.Exit


@app.callback()
def reclab(
    shown: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Say the version."),
    ] = False,
) -> None:
    """The recording lab: take calls, record, encrypt, store, find, decrypt, and prove it."""

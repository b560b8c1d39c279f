"""The commands of ``reclab``: one room per command, named here, imported when it is asked for.

A command holds only what it needs: `archive` runs beside others at night, `decrypt` on a desk.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

#: Where each command is, in the order of the help.
ROOMS: Final = {
    "up": "reclab.up_command",
    "demo": "reclab.demo_command",
    "load": "reclab.load_command",
    "verify": "reclab.verify_command",
    "recover": "reclab.recover.command",
    "export": "reclab.export_command",
    "archive": "reclab.archive.command",
    "decrypt": "reclab.decrypt_command",
    "rewrap": "reclab.rewrap_command",
    "cert": "reclab.cert.commands",
    "keystore": "reclab.keystore_command",
    "catalogue": "reclab.catalogue_command",
    "onward": "reclab.onward_command",
    "prepare": "reclab.prepare_command",
    "faults": "reclab.faults.commands",
}
_OPTIONS: Final[dict[str, Any]] = {
    "add_completion": False,
    "pretty_exceptions_enable": False,
    "rich_markup_mode": "markdown",
    "context_settings": {"help_option_names": ["-h", "--help"]},
}


class Rooms(TyperGroup):
    """A group that imports a command's room when the command is looked at."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands."""
        return list(ROOMS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command, or None when there is none of that name."""
        if cmd_name not in ROOMS:
            return None
        found = getattr(import_module(ROOMS[cmd_name]), cmd_name)
        # A room has one command as a function, or a group of its own.
        alone = typer.Typer(**_OPTIONS)
        if isinstance(found, typer.Typer):
            alone = found
        else:
            alone.command(cmd_name)(found)
        return typer.main.get_command(alone)


app = typer.Typer(name="reclab", cls=Rooms, no_args_is_help=True, **_OPTIONS)


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

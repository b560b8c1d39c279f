"""``reclab faults``: its commands, registered here."""

from __future__ import annotations

import typer

from reclab.faults.certificates_command import certificates
from reclab.faults.changing import add, clear, set_
from reclab.faults.run_command import list_scenarios, run
from reclab.faults.showing import show

faults = typer.Typer(
    name="faults",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Break a running lab on purpose, and heal it (`reclab up --faults`).",
)
for name, command in (
    ("show", show),
    ("set", set_),
    ("add", add),
    ("clear", clear),
    ("certificates", certificates),
    ("list", list_scenarios),
    ("run", run),
):
    faults.command(name)(command)

"""Passwords for commands: from a file, or typed unseen; never from the command line."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from crypto_server.keystore.password_files import PasswordFileError, read_password_file
from service_shell.settings import SettingsError


def password_from(file: Path | None, what: str, option: str, *, new: bool = False) -> str:
    """Return the password in `file`; else ask for it at the terminal, twice for a new one.

    Raises `SettingsError` naming `option` when there is neither a file nor a terminal.
    """
    if file is not None:
        try:
            return read_password_file(file)
        except PasswordFileError as error:
            raise SettingsError(str(error)) from None
    if not at_terminal():
        raise SettingsError(f"there is no terminal to ask for {what}: name a file by {option}")
    typed = typer.prompt(
        what[:1].upper() + what[1:], hide_input=True, confirmation_prompt=new, err=True
    )
    return str(typed)


def at_terminal() -> bool:
    """Return whether a person can be asked."""
    return sys.stdin.isatty()

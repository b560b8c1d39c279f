"""Running ``reclab keystore`` in this process, and files for it."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner, Result

from reclab.keystore_command import keystore
from service_shell.settings import SettingsError


def run(*arguments: str | Path, typed: str | None = None) -> Result:
    """Run a command; what it raises is kept in the result. `typed` are lines at the terminal."""
    return CliRunner().invoke(keystore, [str(argument) for argument in arguments], input=typed)


def done(*arguments: str | Path, typed: str | None = None) -> Result:
    """Run a command that has to succeed."""
    result = run(*arguments, typed=typed)
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def refused(*arguments: str | Path) -> str:
    """Run a command that has to be refused with exit code 1; return the sentence."""
    result = run(*arguments)
    assert result.exit_code == 1, (result.output, result.exception)
    assert result.stderr.startswith("reclab: ")
    return result.stderr.removeprefix("reclab: ").strip()


def bad_input(*arguments: str | Path) -> str:
    """Run a command whose input is bad (exit code 2); return the sentence."""
    result = run(*arguments)
    assert isinstance(result.exception, SettingsError), (result.output, result.exception)
    return str(result.exception)


def secret(folder: Path, name: str, password: str) -> Path:
    """Write a password file and return it."""
    file = folder / name
    file.write_text(password + "\n")
    return file

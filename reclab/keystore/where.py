"""The options by which every command says which keystore it is about."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec

import msgspec
import typer

from reclab.cert.server import UrlOption, UserOption, UserPasswordOption, find_server
from reclab.keystore.folder_place import FolderPlace
from reclab.keystore.passwords import password_from
from reclab.keystore.place import Place
from reclab.keystore.progress import doing
from reclab.keystore.server_place import ServerPlace
from reclab.lab import DEFAULT_FOLDER, DataOption
from service_shell.log import LogSettings, configure_logging
from service_shell.settings import SettingsError

FolderOption = Annotated[
    Path | None, typer.Option("--folder", help="A keystore's folder, instead of a running server.")
]
PasswordOption = Annotated[
    Path | None,
    typer.Option("--password-file", help="With --folder: the file with the keystore's password."),
]
P = ParamSpec("P")


class Where(msgspec.Struct, frozen=True):
    """What the options said."""

    data: Path
    folder: Path | None
    password_file: Path | None
    url: str
    user: str
    user_password_file: Path | None

    def open(self) -> Place:
        """Return the keystore. Raises `SettingsError`; a refusal ends the command."""
        if self.folder is None:
            if self.password_file is not None:
                raise SettingsError("--password-file belongs to --folder")
            return ServerPlace(find_server(self.data, self.url, self.user, self.user_password_file))
        if self.url:
            raise SettingsError("say --folder or --url, not both")
        password = password_from(self.password_file, "the keystore's password", "--password-file")
        configure_logging("reclab", LogSettings(level="warning"))
        with doing("Opening the keystore …"):
            return FolderPlace.open(self.folder, password, self.password_file)


def with_where(command: Callable[Concatenate[Where, P], None]) -> Callable[..., None]:
    """Give a command these options behind its own; its first argument is what they said."""
    options = inspect.signature(_where, eval_str=True).parameters
    _, *own = inspect.signature(command, eval_str=True).parameters.values()

    @functools.wraps(command)
    def run(*args: Any, **given: Any) -> None:
        said = _where(**{name: given.pop(name) for name in options})
        command(said, *args, **given)

    shown = inspect.Signature([*own, *options.values()])
    setattr(run, "__signature__", shown)  # noqa: B010 - where Typer looks for a command's options
    return run


def _where(
    data: DataOption = DEFAULT_FOLDER,  # type: ignore[assignment]  # typer converts it
    folder: FolderOption = None,
    password_file: PasswordOption = None,
    url: UrlOption = "",
    user: UserOption = "",
    user_password_file: UserPasswordOption = None,
) -> Where:
    return Where(data, folder, password_file, url, user, user_password_file)

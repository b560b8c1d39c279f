"""Files that hold keys: always 0600, whole or not at all, never in another's place."""

from __future__ import annotations

import os
from pathlib import Path

from crypto_server.keystore.private_files import sync_folder
from service_shell.settings import SettingsError


def check_free(path: Path, *, force: bool) -> None:
    """Raise `SettingsError` when something lies at `path` already and may not be replaced."""
    if path.is_dir():
        raise SettingsError(f"{path} is a folder: name the file to write")
    if not force and os.path.lexists(path):
        raise SettingsError(f"{path} is there already: say --force to replace it")


def write_new(path: Path, data: bytes, *, force: bool) -> None:
    """Write `path` at once; without `force` it must not be there, even when it came meanwhile.

    Raises `SettingsError`.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    try:
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if force:
                temporary.replace(path)
            else:
                os.link(temporary, path)
            sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except FileExistsError:
        check_free(path, force=force)
        raise SettingsError(f"{path} cannot be written: it is there already") from None
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise SettingsError(f"{path} cannot be written: {reason}") from None

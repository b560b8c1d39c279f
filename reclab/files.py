"""Files of a lab's folder: private ones are never readable by others, and appear whole."""

from __future__ import annotations

import os
from pathlib import Path

from service_shell.settings import SettingsError


def make_private_folder(folder: Path) -> None:
    """Make `folder` (0700) where it is missing. Raises `SettingsError` when that cannot be."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise SettingsError(f"the folder {folder} cannot be made: {reason}") from None


def write_private(path: Path, content: bytes | str) -> None:
    """Write a file of mode 0600 under a temporary name and move it in place.

    Raises `SettingsError` when the folder cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.new")
    make_private_folder(path.parent)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        temporary.replace(path)
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise SettingsError(f"{path} cannot be written: {reason}") from None

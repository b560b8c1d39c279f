"""Files that hold a password: their one line, or a key of a Java properties file.

They are rewritten whole or not at all. No error text holds a password.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from pathlib import Path

from crypto_server.errors import CryptoServerError
from crypto_server.keystore.private_files import write_whole
from crypto_server.properties import PropertiesError, parse_properties, replace_property

_MOST = 1 << 20
PROPERTIES = ".properties"
KEYSTORE_KEY = "keystorepassword"


class PasswordFileError(CryptoServerError):
    """A password file cannot be read or written; the text names it."""


def read_password_file(file: Path, key: str = KEYSTORE_KEY) -> str:
    """Return the password in `file`: its one line, or the value of `key` in ``x.properties``.

    Raises `PasswordFileError` when there is none.
    """
    data = _read(file)
    if file.suffix == PROPERTIES:
        password = _property(file, data, key)
    else:
        try:
            password = data.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise PasswordFileError(f"the password file {file} is not UTF-8 text") from None
        if "\n" in password or "\r" in password:
            raise PasswordFileError(f"the password file {file} has more than one line")
    if not password:
        raise PasswordFileError(f"the password file {file} is empty")
    return password


def replace_password(file: Path, password: str) -> None:
    """Put `password` into `file` at once; its mode stays, and so does the rest of properties.

    Raises `PasswordFileError`.
    """
    real = Path(os.path.realpath(file))
    if file.suffix == PROPERTIES:
        data = _replaced(file, _read(file), password)
    elif "\n" in password or "\r" in password:
        raise PasswordFileError("a password in a file cannot have line ends")
    else:
        data = password.encode() + b"\n"
    try:
        mode = stat.S_IMODE(real.stat().st_mode) if real.exists() else 0o600
        write_whole(real, data, mode=mode)
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise PasswordFileError(f"the password file {file} cannot be written: {reason}") from None


def file_says(file: Path, password: str) -> bool:
    """Return whether `file` holds `password`."""
    try:
        return read_password_file(file) == password
    except PasswordFileError:
        return False


def drop_half_written(file: Path) -> None:
    """Remove what a process left that was killed while it rewrote `file`: it may hold a password.

    Only for one who keeps others from rewriting it.
    """
    real = Path(os.path.realpath(file))
    half = re.compile(rf"\.{re.escape(real.name)}\.[0-9a-f]{{12}}")
    with contextlib.suppress(OSError):
        for found in real.parent.iterdir():
            if half.fullmatch(found.name):
                found.unlink(missing_ok=True)


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            data = opened.read(_MOST + 1)
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise PasswordFileError(f"the password file {file} cannot be read: {reason}") from None
    if len(data) > _MOST:
        raise PasswordFileError(f"the password file {file} is too large to be one")
    return data


def _property(file: Path, data: bytes, key: str) -> str:
    try:
        return parse_properties(data).get(key, "")
    except PropertiesError as error:
        raise PasswordFileError(f"{file}: {error}") from None


def _replaced(file: Path, data: bytes, password: str) -> bytes:
    try:
        return replace_property(data, KEYSTORE_KEY, password)
    except PropertiesError as error:
        raise PasswordFileError(f"{file}: {error}") from None

"""Settings of the crypto server. Its two passwords come from files or the environment only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from service_shell.accounts import Account
from service_shell.log import LogSettings
from service_shell.settings import SettingsError

KEYSTORE_PASSWORD = "RECLAB_KEYSTORE_PASSWORD"  # noqa: S105 - the variable's name, not a password
PROCESSOR_PASSWORD = "RECLAB_PROCESSOR_PASSWORD"  # noqa: S105 - the variable's name, not a password


Seconds = Annotated[float, msgspec.Meta(gt=0)]


class KeystoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[keystore]``: its folder, and the file that holds its password."""

    folder: str = "keystore"
    password_file: str = ""


class ProcessorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[processor]``: where recordings are asked for, as whom (role crypto), and how patiently."""

    url: str = "http://127.0.0.1:8802"
    user: str = "crypto"
    password_file: str = ""
    connect_seconds: Seconds = 5.0
    read_seconds: Seconds = 10.0


class AuditSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[audit]``: the append-only file of playbacks."""

    file: str = "audit.jsonl"


class PlaybackSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[playback]``: how many at once, and how long the first byte and the listener may take."""

    concurrent: Annotated[int, msgspec.Meta(ge=1)] = 32
    first_byte_seconds: Seconds = 20.0
    listener_seconds: Seconds = 120.0


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of the crypto server."""

    listen: str = "127.0.0.1:8803"
    grace_seconds: Annotated[float, msgspec.Meta(ge=0)] = 10.0
    accounts: list[Account] = []
    keystore: KeystoreSettings = KeystoreSettings()
    processor: ProcessorSettings = ProcessorSettings()
    audit: AuditSettings = AuditSettings()
    playback: PlaybackSettings = PlaybackSettings()
    log: LogSettings = LogSettings()


def read_password(file: str, variable: str, what: str, environ: Mapping[str, str]) -> str:
    """Return the password in `variable`, else the first line of `file`.

    Raises `SettingsError` when neither has one.
    """
    if environ.get(variable):
        return environ[variable]
    if not file:
        raise SettingsError(f"{what} needs a password_file, or {variable} in the environment")
    try:
        password = Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise SettingsError(f"{what}: the password file {file} cannot be read") from None
    if not password:
        raise SettingsError(f"{what}: the password file {file} is empty")
    return password

"""Settings of the crypto server. Its passwords come from files or the environment only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from crypto_server.keystore.password_files import (
    KEYSTORE_KEY,
    PasswordFileError,
    read_password_file,
)
from service_shell.accounts import Account
from service_shell.faults.settings import FaultSettings
from service_shell.log import LogSettings
from service_shell.settings import SettingsError
from service_shell.sign_in import SignInSettings
from service_shell.tls import TlsSettings
from service_shell.trust import TrustSettings

KEYSTORE_PASSWORD = "RECLAB_KEYSTORE_PASSWORD"  # noqa: S105 - the variable's name, not a password
PROCESSOR_PASSWORD = "RECLAB_PROCESSOR_PASSWORD"  # noqa: S105 - the variable's name, not a password
CA_PASSWORD = "RECLAB_CA_PASSWORD"  # noqa: S105 - the variable's name, not a password
PROPERTY_OF = {
    KEYSTORE_PASSWORD: KEYSTORE_KEY,
    PROCESSOR_PASSWORD: "processorpassword",
    CA_PASSWORD: "cacertstorepassword",
}
"""The key of each password in a properties file that is given as its password_file."""

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


class ValidationSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[validation]``: the CA file of uploads, and what a recording certificate needs.

    The CA file is a PEM bundle, or a Java trust store (PKCS#12, JKS) with its password.
    """

    ca_file: str = ""
    ca_password_file: str = ""
    minimum_key_bits: Annotated[int, msgspec.Meta(ge=512, le=16384)] = 2048
    allow_sha1: bool = False


class AdministrationSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[administration]``: how long a session lasts, and when a certificate expires soon."""

    session_minutes: Annotated[int, msgspec.Meta(ge=1, le=1440)] = 30
    expiring_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 30


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of the crypto server."""

    listen: str = "127.0.0.1:8803"
    rcs_properties: str = ""
    grace_seconds: Annotated[float, msgspec.Meta(ge=0)] = 10.0
    accounts: list[Account] = []
    keystore: KeystoreSettings = KeystoreSettings()
    processor: ProcessorSettings = ProcessorSettings()
    audit: AuditSettings = AuditSettings()
    validation: ValidationSettings = ValidationSettings()
    administration: AdministrationSettings = AdministrationSettings()
    playback: PlaybackSettings = PlaybackSettings()
    tls: TlsSettings = TlsSettings()
    trust: TrustSettings = TrustSettings()
    faults: FaultSettings = FaultSettings()
    sign_in: SignInSettings = SignInSettings()
    log: LogSettings = LogSettings()


def read_password(file: str, variable: str, what: str, environ: Mapping[str, str]) -> str:
    """Return the password in `variable`, else the one line of `file`.

    A file ``x.properties`` is Java properties: the value of the key in `PROPERTY_OF` counts.

    Raises `SettingsError` when neither has one.
    """
    if environ.get(variable):
        return environ[variable]
    if not file:
        raise SettingsError(f"{what} needs a password_file, or {variable} in the environment")
    try:
        return read_password_file(Path(file), PROPERTY_OF.get(variable, ""))
    except PasswordFileError as error:
        raise SettingsError(f"{what}: {error}") from None

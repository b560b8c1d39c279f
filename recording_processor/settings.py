"""The processor's settings: one TOML file, see `docs`; the types are what `service_shell` reads.

Relative paths start at the working folder of the process.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from recording_processor.location import parse_location
from recording_processor.storages import Storage, Storages
from service_shell.accounts import Account
from service_shell.faults.settings import FaultSettings
from service_shell.log import LogSettings
from service_shell.settings import SettingsError
from service_shell.sign_in import SignInSettings
from service_shell.tls import TlsSettings
from service_shell.trust import TrustSettings

Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Size = Annotated[int, Meta(ge=1024, le=1 << 30)]
Seconds = Annotated[float, Meta(gt=0, le=3600)]


class ContactCenterSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[contact_center]``: the one contact centre whose recordings are kept here."""

    domain: Annotated[str, Meta(min_length=1, pattern=r"^[A-Za-z0-9._-]+$")]
    ccid: Annotated[str, Meta(min_length=1, pattern=r"^[A-Za-z0-9._-]+$")]
    region: str = "1"


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[limits]``: what the processor does at most; beyond it a request is refused."""

    metadata_bytes: Size = 8 << 20
    profile_bytes: Size = 1 << 20
    page: Count = 100
    page_maximum: Count = 1000
    writes_waiting: Count = 256
    posts_together: Count = 64
    readers: Count = 4
    plays: Count = 256
    long_polls: Count = 256
    search_seconds: Seconds = 10.0
    store_seconds: Seconds = 30.0


class OnwardSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[onward]``: the recording web services that hear of every recording; off without `url`.

    `failed` is the folder for what could not be delivered; empty: ``failed`` beside the catalogue.
    """

    url: str = ""
    user: str = ""
    password_file: str = ""
    csrf: bool = False
    failed: str = ""
    concurrency: Annotated[int, Meta(ge=1, le=64)] = 4
    tries: Annotated[int, Meta(ge=1, le=1000)] = 12
    first_retry: Seconds = 1.0
    longest_retry: Seconds = 300.0
    timeout: Seconds = 10.0
    replay_minutes: Annotated[float, Meta(ge=0, le=100_000)] = 15.0


class InternalApiSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[internal_api]``: recordings from another processor, as the web services take them."""

    csrf: bool = False


class ProcessorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of the processor.

    `public_url` is how answers name this processor; empty: as the request did. `provision` names
    TOML files with tenants and profiles. `node_path` is this node's own location: it decides which
    ``decrypt-uri-prefix`` the console's sounds come from; where none is set it is `crypto_url`.
    """

    contact_center: ContactCenterSettings
    listen: str = "127.0.0.1:8802"
    catalogue: str = "catalogue.sqlite3"
    public_url: str = ""
    crypto_url: str = ""
    node_path: str = "/"
    provision: list[str] = []
    storages: list[Storage] = []
    accounts: list[Account] = []
    limits: Limits = Limits()
    tls: TlsSettings = TlsSettings()
    trust: TrustSettings = TrustSettings()
    onward: OnwardSettings = OnwardSettings()
    internal_api: InternalApiSettings = InternalApiSettings()
    sign_in: SignInSettings = SignInSettings()
    log: LogSettings = LogSettings()
    drain_seconds: Seconds = 10.0
    faults: FaultSettings = FaultSettings()

    def __post_init__(self) -> None:
        try:
            parse_location(self.node_path)
        except ValueError as error:
            raise ValueError(f"`node_path`: {error}") from None


def storages_of(settings: ProcessorSettings) -> Storages:
    """Return the storages with their passwords read. Raises `SettingsError`."""
    try:
        return Storages([_with_password(storage) for storage in settings.storages])
    except ValueError as error:
        raise SettingsError(f"storages: {error}") from None


def _with_password(storage: Storage) -> Storage:
    if not storage.password_file:
        return storage
    try:
        password = Path(storage.password_file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        message = f"storages: `{storage.url}`: the password file cannot be read"
        raise SettingsError(message) from None
    return msgspec.structs.replace(storage, password=password)

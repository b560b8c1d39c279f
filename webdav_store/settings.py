"""The store's settings: one TOML file, checked before anything starts.

Every limit has a default that fits a small lab; the reason behind each stands beside it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from service_shell.accounts import Account
from service_shell.faults.settings import FaultSettings
from service_shell.log import LogSettings
from service_shell.sign_in import SignInSettings
from service_shell.tls import TlsSettings

Positive = Annotated[int, msgspec.Meta(ge=1)]
NotNegative = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(gt=0.0)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[limits]``: what one client may take, so that the others go on."""

    body_bytes: Positive = 16 * 1024**3
    """The largest upload; more is answered 413."""
    uploads: Positive = 256
    """Uploads under way at once, each with less than 1 MiB in memory; more are answered 503."""
    xml_bytes: Positive = 64 * 1024
    """The largest body of PROPFIND, PROPPATCH and LOCK; more is answered 413."""
    idle_seconds: Seconds = 20.0
    """How long a client may send, or take, nothing within a request."""
    reserved_bytes: NotNegative = 64 * 1024**2
    """Free space that uploads leave on the disk; an upload that would not is answered 507."""
    digests: Positive = 2
    """Files read at once for a digest that a reader asked for; more wait."""
    properties: NotNegative = 1000
    """Dead properties kept in memory, over all files; more are answered 507."""
    locks: NotNegative = 1000
    """WebDAV locks held at once; more are answered 507."""


class Threads(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[threads]``: disk work at once. Clients never hold a thread, only the disk does."""

    read: Positive = 4
    write: Positive = 4
    """Apart from `read`, so that a slow fsync never holds up a reader."""


class StoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. `root` is the folder that is served as ``/<collection>``."""

    root: str
    listen: str = "127.0.0.1:8801"
    collection: Name = "recordings"
    grace_seconds: Seconds = 10.0
    """At the end, how long running requests may still take."""
    accounts: list[Account] = []
    limits: Limits = Limits()
    threads: Threads = Threads()
    tls: TlsSettings = TlsSettings()
    faults: FaultSettings = FaultSettings()
    sign_in: SignInSettings = SignInSettings()
    log: LogSettings = LogSettings()

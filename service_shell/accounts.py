"""Who may use a service: named accounts with roles, and passwords kept as scrypt hashes.

A check costs the same for a known and an unknown name. Verified passwords are remembered for a
minute as a keyed digest, because a scrypt check at every request caps a service at tens per second.
An account that could not be checked, or that anybody could use, is refused at the start.
"""

from __future__ import annotations

import base64
import hmac
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from service_shell.passwords import COST, DIGEST_SIZE, Verifier, hash_password
from service_shell.settings import SettingsError

__all__ = [
    "EVERY_TENANT",
    "Account",
    "Accounts",
    "basic_credentials",
    "basic_header",
    "hash_password",
]

EVERY_TENANT = "*"
_REMEMBERED_SECONDS = 60.0
_REMEMBERED_LIMIT = 1024
_MAXIMUM_HEADER = 2048
# Name and password, so that they fit into a header of that length.
_MAXIMUM_CREDENTIALS = 1024


class Account(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A name, its roles, and its password: as a hash, or in a file that only we can read.

    `tenants` names the tenants whose recordings, keys and profiles it may reach; ``"*"`` is every
    tenant.
    """

    name: str
    roles: list[str]
    password_hash: str = ""
    password_file: str = ""
    tenants: list[str] = msgspec.field(default_factory=lambda: [EVERY_TENANT])

    def __repr__(self) -> str:
        return f"Account(name={self.name!r}, roles={self.roles!r}, tenants={self.tenants!r})"

    @property
    def every_tenant(self) -> bool:
        """Whether no tenant is closed to it."""
        return EVERY_TENANT in self.tenants

    def may_reach(self, tenant: str) -> bool:
        """Return whether what belongs to `tenant` (its name, exactly) is open to this account."""
        return self.every_tenant or tenant in self.tenants


def basic_credentials(authorization: str | None) -> tuple[str, str] | None:
    """Return (name, password) of a Basic ``Authorization`` header (RFC 7617), or None."""
    if authorization is None or len(authorization) > _MAXIMUM_HEADER:
        return None
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except ValueError:  # neither ASCII, nor base64, nor UTF-8 inside
        return None
    return (name, password) if colon else None


def basic_header(name: str, password: str) -> str:
    """Return the Basic ``Authorization`` value (RFC 7617) of a name and a password."""
    return "Basic " + _text(f"{name}:{password}".encode())


class Accounts:
    """The accounts of one service. `clock` is monotonic seconds.

    A service that cannot keep tenants apart says so (`tenants_apart`), and takes no account that is
    limited to some.

    Raises `SettingsError`, naming the account, when one cannot be used safely.
    """

    def __init__(
        self,
        accounts: Sequence[Account],
        *,
        tenants_apart: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._accounts: dict[str, tuple[Account, Verifier]] = {}
        for account in accounts:
            if account.name in self._accounts:
                raise SettingsError(f"account {account.name!r} is named twice")
            _check_name(account.name)
            _check_tenants(account, tenants_apart)
            self._accounts[account.name] = (account, _verifier(account))
        self._stranger = _stranger([verifier for _, verifier in self._accounts.values()])
        self._key = os.urandom(32)
        self._remembered: dict[bytes, float] = {}
        self._clock = clock

    def check_header(self, authorization: str | None) -> Account | None:
        """Return the account of a Basic ``Authorization`` header, or None. May take 50 ms."""
        credentials = basic_credentials(authorization)
        return None if credentials is None else self.check(*credentials)

    def remembered(self, authorization: str | None) -> Account | None:
        """Return the account when this header was verified less than a minute ago. Never slow."""
        credentials = basic_credentials(authorization)
        if credentials is None:
            return None
        account, stored = self._accounts.get(credentials[0], (None, self._stranger))
        known = self._remembered.get(self._mark(*credentials, stored), 0.0) > self._clock()
        return account if known else None

    def check(self, name: str, password: str) -> Account | None:
        """Return the account when name and password fit, else None."""
        account, stored = self._accounts.get(name, (None, self._stranger))
        mark = self._mark(name, password, stored)
        now = self._clock()
        if account is not None and self._remembered.get(mark, 0.0) > now:
            return account
        fits = hmac.compare_digest(stored.derive(password), stored.digest)
        if not fits or account is None:
            return None
        if len(self._remembered) >= _REMEMBERED_LIMIT:
            self._remembered.clear()
        self._remembered[mark] = now + _REMEMBERED_SECONDS
        return account

    def _mark(self, name: str, password: str, stored: Verifier) -> bytes:
        fields = msgspec.msgpack.encode((name, password, stored))
        return hmac.digest(self._key, fields, "sha256")


def _check_name(name: str) -> None:
    if not name or ":" in name or not name.isprintable():
        raise SettingsError(f"account {name!r}: a name has characters, and no colon, among them")


def _check_tenants(account: Account, tenants_apart: bool) -> None:
    if not account.tenants:
        raise SettingsError(f"account {account.name!r}: `tenants` is empty; say which, or leave it")
    if not tenants_apart and not account.every_tenant:
        raise SettingsError(
            f"account {account.name!r} is limited to tenants, but this service does not know them"
        )


def _verifier(account: Account) -> Verifier:
    if account.password_file:
        return Verifier.parse(hash_password(_password(account)))
    if not account.password_hash:
        raise SettingsError(f"account {account.name!r} has neither password_hash nor password_file")
    try:
        return Verifier.parse(account.password_hash)
    except ValueError:
        message = f"account {account.name!r}: the password_hash is not one of this program"
        raise SettingsError(message) from None


def _password(account: Account) -> str:
    try:
        password = Path(account.password_file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        message = f"account {account.name!r}: the password file cannot be read"
        raise SettingsError(message) from None
    if not password:
        raise SettingsError(f"account {account.name!r}: the password file is empty")
    if len(f"{account.name}{password}".encode()) > _MAXIMUM_CREDENTIALS:
        raise SettingsError(f"account {account.name!r}: the password is too long to be sent")
    return password


def _stranger(known: Sequence[Verifier]) -> Verifier:
    """Return what unknown names are checked against: never true, as dear as any account."""
    dearest = max(known, key=lambda verifier: verifier.work, default=Verifier(*COST, b"", b""))
    return dearest._replace(salt=os.urandom(16), digest=os.urandom(DIGEST_SIZE))


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()

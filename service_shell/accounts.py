"""Who may use a service: named accounts with roles, and passwords kept as scrypt hashes.

A check costs the same for a known and an unknown name. Verified passwords are remembered for a
minute as a keyed digest, because a scrypt check at every request caps a service at tens per second.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from service_shell.settings import SettingsError

_REMEMBERED_SECONDS = 60.0
_REMEMBERED_LIMIT = 1024
_MAXIMUM_HEADER = 2048
_COST, _BLOCK, _LANES = 16384, 8, 1


class Account(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A name, its roles, and its password: as a hash, or in a file that only we can read."""

    name: str
    roles: list[str]
    password_hash: str = ""
    password_file: str = ""

    def __repr__(self) -> str:
        return f"Account(name={self.name!r}, roles={self.roles!r})"


def hash_password(password: str) -> str:
    """Return ``scrypt$n$r$p$salt$hash`` (salt and hash in base64) with a new salt."""
    salt = os.urandom(16)
    digest = _scrypt(password, salt, _COST, _BLOCK, _LANES)
    fields = (str(_COST), str(_BLOCK), str(_LANES), _text(salt), _text(digest))
    return "$".join(("scrypt", *fields))


def basic_credentials(authorization: str | None) -> tuple[str, str] | None:
    """Return (name, password) of a Basic ``Authorization`` header (RFC 7617), or None."""
    if authorization is None or len(authorization) > _MAXIMUM_HEADER:
        return None
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (name, password) if colon else None


def basic_header(name: str, password: str) -> str:
    """Return the Basic ``Authorization`` value (RFC 7617) of a name and a password."""
    return "Basic " + _text(f"{name}:{password}".encode())


class Accounts:
    """The accounts of one service. `clock` is monotonic seconds."""

    def __init__(
        self, accounts: Sequence[Account], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._accounts: dict[str, tuple[Account, str]] = {}
        for account in accounts:
            if account.name in self._accounts:
                raise SettingsError(f"account {account.name!r} is named twice")
            self._accounts[account.name] = (account, _stored_hash(account))
        self._stranger = hash_password(secrets.token_hex(16))
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
        if not _verify(password, stored) or account is None:
            return None
        if len(self._remembered) >= _REMEMBERED_LIMIT:
            self._remembered.clear()
        self._remembered[mark] = now + _REMEMBERED_SECONDS
        return account

    def _mark(self, name: str, password: str, stored: str) -> bytes:
        fields = msgspec.msgpack.encode((name, password, stored))
        return hmac.digest(self._key, fields, "sha256")


def _stored_hash(account: Account) -> str:
    if account.password_file:
        try:
            password = Path(account.password_file).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError):
            message = f"account {account.name!r}: the password file cannot be read"
            raise SettingsError(message) from None
        return hash_password(password)
    if account.password_hash.count("$") != 5 or not account.password_hash.startswith("scrypt$"):
        raise SettingsError(f"account {account.name!r} has neither password_hash nor password_file")
    return account.password_hash


def _verify(password: str, stored: str) -> bool:
    _, cost, block, lanes, salt, digest = stored.split("$")
    tried = _scrypt(password, base64.b64decode(salt), int(cost), int(block), int(lanes))
    return hmac.compare_digest(tried, base64.b64decode(digest))


def _scrypt(password: str, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    return hashlib.scrypt(
        password.encode(), salt=salt, n=cost, r=block, p=lanes, maxmem=64 * 1024 * 1024, dklen=32
    )


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()

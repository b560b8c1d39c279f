"""Where a keystore is reached: what both ways of reaching one can do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec


class Row(msgspec.Struct, frozen=True, rename="camel"):
    """One key, as a list shows it. `expires` is a day, ``YYYY-MM-DD``."""

    tenant: str
    alias: str
    id: str
    issued_to: str
    issued_by: str
    expires: str


class Counts(msgspec.Struct, frozen=True):
    """What a restore or an import did."""

    added: int
    kept: int
    replaced: int = 0


class Changed(msgspec.Struct, frozen=True):
    """What a change of the password did, and what is left for a person to do."""

    keys: int
    note: str | None = None


class ForeignFile(NamedTuple):
    """Another keystore's file, as `import` takes it. `only` names aliases; empty is all.

    With `replace` its keys take the place of others that they could be confused with.
    """

    name: str
    data: bytes
    password: str
    key_password: str = ""
    only: Sequence[str] = ()
    replace: bool = False

    def __repr__(self) -> str:
        return f"ForeignFile({self.name!r})"


class Place(Protocol):
    """A keystore. Methods raise `KeystoreError` or `Refused` for what is refused."""

    def rows(self) -> list[Row]:
        """Return all keys, by tenant and alias."""

    def backup(self, password: str) -> bytes:
        """Return everything as one encrypted file."""

    def restore(self, data: bytes, password: str, *, replace: bool) -> Counts:
        """Take what a backup has."""

    def change_password(self, new: str) -> Changed:
        """Encrypt everything with `new`."""

    def import_file(self, file: ForeignFile, tenant: str, dbid: int | None) -> Counts:
        """Take the keys of another keystore's file for one tenant."""

"""A keystore in a folder, without a server: the same locks, the same rules."""

from __future__ import annotations

import re
from pathlib import Path

from crypto_server.errors import KeystoreError
from crypto_server.keystore import KeyEntry, Keystore
from crypto_server.keystore.backup import backup, restore
from crypto_server.keystore.import_entries import import_entries, import_into
from reclab.keystore.place import Changed, Counts, ForeignFile, Row
from service_shell.settings import SettingsError


class FolderPlace:
    """The keystore in one folder; held open, shared with a running server, until the end."""

    def __init__(self, keystore: Keystore) -> None:
        self._keystore = keystore

    @classmethod
    def open(cls, folder: Path, password: str, password_file: Path | None) -> FolderPlace:
        """Open the keystore in `folder`, which has to be there.

        Raises `SettingsError` where there is none, and `KeystoreError`.
        """
        if not folder.is_dir():
            raise SettingsError(f"there is no keystore folder {folder}")
        return cls(Keystore.open(folder, password, password_file=password_file))

    def rows(self) -> list[Row]:
        """Return all keys, by tenant and alias."""
        return [
            _row(tenant, entry)
            for tenant in self._keystore.tenants()
            for entry in self._keystore.entries(tenant)
        ]

    def backup(self, password: str) -> bytes:
        """Return everything as one encrypted file."""
        return backup(self._keystore, password)

    def restore(self, data: bytes, password: str, *, replace: bool) -> Counts:
        """Take what a backup has."""
        report = restore(self._keystore, data, password, replace=replace)
        return Counts(report.added, report.kept, report.replaced)

    def change_password(self, new: str) -> Changed:
        """Encrypt everything with `new`, and put it into the password file where there is one."""
        keys = self._keystore.change_password(new)
        file = self._keystore.password_file
        if file is None:
            return Changed(keys, "Give the new password to the crypto server before it starts.")
        return Changed(keys, f"{file} holds the new password.")

    def import_file(self, file: ForeignFile, tenant: str, dbid: int | None) -> Counts:
        """Take the keys of another keystore's file for one tenant."""
        if not tenant:
            raise SettingsError("say the tenant by --tenant")
        found = import_entries(
            file.data, file.password, key_password=file.key_password, name=file.name, only=file.only
        )
        known = dbid if dbid is not None else self._dbid(tenant)
        report = import_into(self._keystore, tenant, known, found, replace=file.replace)
        return Counts(report.added, report.kept, report.replaced)

    def _dbid(self, tenant: str) -> int:
        """Return the DBID that the aliases of the tenant's keys tell."""
        start = re.compile(re.escape(f"rcs_{tenant}:") + r"(\d+):")
        matches = [start.match(entry.alias) for entry in self._keystore.entries(tenant)]
        found = {int(match[1]) for match in matches if match}
        if len(found) != 1:
            raise KeystoreError(f"no alias tells the DBID of tenant {tenant}: say it by --dbid")
        return found.pop()


def _row(tenant: str, entry: KeyEntry) -> Row:
    certificate = entry.certificate
    return Row(
        tenant=tenant,
        alias=entry.alias,
        id=certificate.fingerprint,
        issued_to=certificate.subject,
        issued_by=certificate.issuer,
        expires=certificate.not_after.date().isoformat(),
    )

"""The keystore: a folder per tenant, in it one encrypted PKCS#12 file per key.

Tenants are apart: a key is looked for in one tenant's folder only. Folders are looked at again at
each look-up, so that a key added, changed or removed while the server runs counts at once. Changes
of several entries, and of the password, are whole or not at all, also when the process is killed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from crypto_server.errors import KeystoreError
from crypto_server.keystore.additions import PutReport, check_addition, plan_additions
from crypto_server.keystore.folder_change import FolderChange, drop_remains
from crypto_server.keystore.folder_lock import FolderInUse, FolderLock
from crypto_server.keystore.key_entry import KeyEntry, password_bytes
from crypto_server.keystore.password_change import PasswordChange, settle
from crypto_server.keystore.password_files import drop_half_written
from crypto_server.keystore.private_files import (
    make_folder,
    read_plain,
    sync_folder,
    unusable,
    write_whole,
)
from crypto_server.keystore.tenant_folders import KeystoreCount, TenantFolders, folder_name
from recording_format.certificates import RecordingCertificate
from recording_format.envelope import Envelope


class Keystore:
    """The keys of all tenants. Every method may block for disk and key derivation; thread-safe."""

    def __init__(self, folder: Path, password: str, password_file: Path | None = None) -> None:
        """Use `folder`, which exists; `open` also creates it and tries the password."""
        self._folder = folder
        self._password_file = password_file
        self._lock = threading.Lock()
        self._tenants = TenantFolders(folder, password)
        self._users = FolderLock(folder)

    @classmethod
    def open(cls, folder: Path, password: str, *, password_file: Path | None = None) -> Keystore:
        """Create `folder` when it is missing, settle a change that was cut, load every entry.

        `password_file` is where the password came from; it is rewritten when the password changes.

        Raises `KeystoreError` when the folder cannot be used, when the password is empty, or when
        there are entries and the password opens none of them.
        """
        if not password:
            raise KeystoreError("the keystore password is empty")
        password_bytes(password)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise unusable(folder, error) from None
        keystore = cls(folder, password, password_file)
        with keystore._writing():
            keystore._users.share()
            if password_file is not None:
                drop_half_written(password_file)
        count = keystore.reload()
        if count.unusable and not count.keys:
            message = (
                f"the keystore password opens none of the {count.unusable} entries in {folder}"
            )
            raise KeystoreError(message)
        return keystore

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self._folder

    @property
    def password_file(self) -> Path | None:
        """The file that `change_password` rewrites; None where the password came otherwise."""
        return self._password_file

    def close(self) -> None:
        """Let others change the password; this object is not used again."""
        self._users.close()

    def reload(self) -> KeystoreCount:
        """Look at every tenant's folder and load what changed."""
        with self._lock:
            self._tenants.refresh_all()
            return self._tenants.count()

    def count(self) -> KeystoreCount:
        """Return how many entries are loaded, without looking at the disk."""
        with self._lock:
            return self._tenants.count()

    def tenants(self) -> list[str]:
        """Return the names of the tenants that have a folder, sorted."""
        with self._lock:
            self._tenants.refresh_all()
            return self._tenants.names()

    def entries(self, tenant: str) -> list[KeyEntry]:
        """Return the usable entries of `tenant`, sorted by alias; empty for an unknown tenant."""
        with self._lock:
            found = self._tenants.entries(tenant)
        return sorted(found.values(), key=lambda entry: entry.alias)

    def everything(self) -> dict[str, list[KeyEntry]]:
        """Return all entries by tenant, as they are at one moment.

        Raises `KeystoreError` while there are files that cannot be used: not all would be here.
        """
        with self._lock:
            self._tenants.refresh_all()
            unusable_files = self._tenants.count().unusable
            found = self._tenants.all_entries()
        if unusable_files:
            raise KeystoreError(f"{unusable_files} files of the keystore cannot be used")
        return found

    def find(self, tenant: str, envelope: Envelope) -> KeyEntry | None:
        """Return an entry of `tenant` that is a recipient (issuer and serial), never by trial."""
        for entry in self.entries(tenant):
            if envelope.has_recipient(entry.certificate):
                return entry
        return None

    def entry(self, tenant: str, fingerprint: str) -> KeyEntry | None:
        """Return the entry of the certificate with this id (SHA-256 of its DER, hex), if any."""
        for entry in self.entries(tenant):
            if entry.certificate.fingerprint == fingerprint:
                return entry
        return None

    def add(
        self,
        tenant: str,
        alias: str,
        certificate: RecordingCertificate,
        private_key: RSAPrivateKey,
    ) -> Path:
        """Write an entry and return its file. The same certificate again replaces its entry.

        Raises `KeystoreError` when key and certificate do not belong together, when another
        certificate of the tenant has the same alias or the same issuer and serial (which key would
        open an envelope could not be told), or the disk says no.
        """
        entry = KeyEntry(alias, certificate, private_key)
        with self._writing():
            check_addition(tenant, entry, self.entries(tenant))
            folder = self._folder / folder_name(tenant)
            try:
                make_folder(folder)
                write_whole(folder / entry.file_name, entry.to_pkcs12(self._password))
                sync_folder(self._folder)
            except OSError as error:
                raise unusable(folder, error) from None
            self._learn(f"{folder.name}/{entry.file_name}", entry)
        return folder / entry.file_name

    def put(self, entries: Mapping[str, Iterable[KeyEntry]], *, replace: bool = False) -> PutReport:
        """Add entries of several tenants (by name), all or none; those already there are kept.

        With `replace` an entry takes the place of one that it could be confused with. Without, and
        for whatever is wrong with any of them, raises `KeystoreError` and changes nothing.
        """
        with self._writing():
            present = {tenant: self._files(tenant) for tenant in entries}
            plan = plan_additions(entries, present, replace=replace)
            if plan.before or plan.after:
                self._change(plan.before, dict(plan.after))
        self.reload()
        return plan.report

    def remove(self, tenant: str, fingerprint: str) -> KeyEntry:
        """Remove the entry of a certificate and return it; `KeystoreError` when there is none."""
        with self._writing():
            files = {
                name: entry
                for name, entry in self._files(tenant).items()
                if entry.certificate.fingerprint == fingerprint
            }
            if not files:
                message = f"tenant {tenant} has no key of the certificate {fingerprint[:64]}"
                raise KeystoreError(message)
            folder = self._folder / folder_name(tenant)
            try:
                for name in files:
                    (folder / name).unlink(missing_ok=True)
                sync_folder(folder)
            except OSError as error:
                raise unusable(folder, error) from None
        return next(iter(files.values()))

    def change_password(self, new: str) -> int:
        """Encrypt every entry with the password `new`; return how many there are.

        The password file is rewritten too. Killed at any moment, the keystore opens with the old
        password, then nothing was changed, and with the new one, then everything was.

        Raises `KeystoreError` when another process has the keystore open, when there are files that
        cannot be used (they would stay under a password that nobody keeps), or the disk says no:
        then nothing was changed.
        """
        if not new:
            raise KeystoreError("the new keystore password is empty")
        password_bytes(new)
        with self._writing(), self._alone():
            change = PasswordChange(
                self._folder, self._password_file, self._use_passwords, self._learn
            )
            with self._lock:
                self._tenants.refresh_all()
                entries, count = self._tenants.files(), self._tenants.count()
            if count.unusable:
                raise KeystoreError(
                    f"{count.unusable} files of the keystore cannot be used, and would stay under"
                    " the old password: repair them, or move them away"
                )
            change.run(entries, self._password, new)
        self.reload()
        return len(entries)

    @property
    def _password(self) -> str:
        return self._tenants.passwords[0]

    def _use_passwords(self, *passwords: str) -> None:
        with self._lock:
            self._tenants.passwords = passwords

    def _learn(self, name: str, entry: KeyEntry) -> None:
        with self._lock:
            self._tenants.learn(name, entry)

    def _files(self, tenant: str) -> dict[str, KeyEntry]:
        with self._lock:
            return self._tenants.entries(tenant)

    def _change(self, before: Iterable[str], entries: Mapping[str, KeyEntry]) -> None:
        """Change several files as one: those of `before` go, those of `entries` come."""
        after = {name: entry.to_pkcs12(self._password) for name, entry in entries.items()}
        try:
            # What lies where an entry comes to, usable or not: undoing brings it back.
            found = {
                name: read_plain(self._folder / name)
                for name in {*before, *after}
                if os.path.lexists(self._folder / name)
            }
            change = FolderChange.begin(self._folder, found, after)
            try:
                change.apply("after", lambda name: self._learn(name, entries[name]))
            except OSError:
                change.apply("before")
                change.close()
                raise
            change.close()
        except OSError as error:
            raise unusable(self._folder, error) from None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Keep other writers away; first settle what a killed one left."""
        with self._users.writing():
            try:
                drop_remains(self._folder)
                settle(self._folder, self._tenants.passwords)
            except OSError as error:
                raise unusable(self._folder, error) from None
            yield

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            with self._users.alone():
                yield
        except FolderInUse:
            raise FolderInUse(
                f"the keystore {self._folder} is in use by another process: change its password"
                " there, or stop that process first"
            ) from None

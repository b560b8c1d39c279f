"""The keystore: a folder per tenant, in it one encrypted PKCS#12 file per key.

Tenants are apart: a key is looked for in one tenant's folder only. Folders are looked at again at
each look-up, so that a key added, changed or removed while the server runs counts at once. Files
are 0600 and appear whole or not at all; one that cannot be read is reported and stops no other.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from crypto_server.errors import KeystoreError
from crypto_server.key_entry import KeyEntry
from recording_format.certificates import RecordingCertificate
from recording_format.envelope import Envelope
from recording_format.private_keys import key_matches

_SUFFIX = ".p12"
_LARGEST_FILE = 1 << 20
_LONGEST_NAME = 255
_log = structlog.get_logger()


class _State(NamedTuple):
    """What tells that a file has changed: its content, its name or its permissions."""

    changed_ns: int
    size: int
    inode: int


class _Loaded(NamedTuple):
    """A file as it was last read: `entry` is None when it could not be used."""

    state: _State
    entry: KeyEntry | None


class KeystoreCount(NamedTuple):
    """How many keys stand ready, and how many files could not be used."""

    keys: int
    unusable: int


class Keystore:
    """The keys of all tenants. Every method may block for disk and key derivation; thread-safe."""

    def __init__(self, folder: Path, password: str) -> None:
        """Use `folder`, which exists; `open` also creates it and tries the password."""
        self._folder = folder
        self._password = password
        self._tenants: dict[str, dict[str, _Loaded]] = {}
        self._lock = threading.Lock()

    @classmethod
    def open(cls, folder: Path, password: str) -> Keystore:
        """Create `folder` when it is missing, and load every entry.

        Raises `KeystoreError` when the folder cannot be used, when the password is empty, or when
        there are entries and the password opens none of them.
        """
        if not password:
            raise KeystoreError("the keystore password is empty")
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise _unusable(folder, error) from None
        keystore = cls(folder, password)
        count = keystore.reload()
        if count.unusable and not count.keys:
            message = (
                f"the keystore password opens none of the {count.unusable} entries in {folder}"
            )
            raise KeystoreError(message)
        return keystore

    def reload(self) -> KeystoreCount:
        """Look at every tenant's folder and load what changed."""
        try:
            names = [entry.name for entry in os.scandir(self._folder) if entry.is_dir()]
        except OSError as error:
            raise _unusable(self._folder, error) from None
        with self._lock:
            for gone in self._tenants.keys() - set(names):
                del self._tenants[gone]
            for name in names:
                self._refresh(name)
        return self.count()

    def count(self) -> KeystoreCount:
        """Return how many entries are loaded, without looking at the disk."""
        with self._lock:
            loaded = [file for files in self._tenants.values() for file in files.values()]
        keys = sum(file.entry is not None for file in loaded)
        return KeystoreCount(keys, len(loaded) - keys)

    def tenants(self) -> list[str]:
        """Return the names of the tenants that have a folder, sorted."""
        self.reload()
        with self._lock:
            return sorted(unquote(name) for name in self._tenants)

    def entries(self, tenant: str) -> list[KeyEntry]:
        """Return the usable entries of `tenant`, sorted by alias; empty for an unknown tenant."""
        name = _folder_name(tenant)
        with self._lock:
            loaded = self._refresh(name)
            found = [file.entry for file in loaded.values() if file.entry is not None]
        return sorted(found, key=lambda entry: entry.alias)

    def find(self, tenant: str, envelope: Envelope) -> KeyEntry | None:
        """Return an entry of `tenant` that is a recipient (issuer and serial), never by trial."""
        for entry in self.entries(tenant):
            if envelope.has_recipient(entry.certificate):
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
        if not alias:
            raise KeystoreError("a keystore entry needs an alias")
        if not key_matches(certificate, private_key):
            raise KeystoreError(f"the private key does not belong to the certificate {alias}")
        entry = KeyEntry(alias, certificate, private_key)
        for other in self.entries(tenant):
            if other.file_name != entry.file_name and _confusable(other, entry):
                message = f"tenant {tenant} has another certificate under the alias {other.alias}"
                raise KeystoreError(message)
        folder = self._folder / _folder_name(tenant)
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            _write_whole(folder / entry.file_name, entry.to_pkcs12(self._password))
        except OSError as error:
            raise _unusable(folder, error) from None
        return folder / entry.file_name

    def _refresh(self, name: str) -> dict[str, _Loaded]:
        """Load the new and changed files of one tenant's folder, forget the ones that are gone."""
        known = self._tenants.get(name, {})
        folder = self._folder / name
        fresh: dict[str, _Loaded] = {}
        try:
            for file in os.scandir(folder):
                if file.name.endswith(_SUFFIX) and not file.name.startswith("."):
                    fresh[file.name] = self._current(Path(file.path), known.get(file.name))
        except FileNotFoundError:
            self._tenants.pop(name, None)
            return {}
        except OSError as error:
            raise _unusable(folder, error) from None
        self._tenants[name] = fresh
        return fresh

    def _current(self, path: Path, known: _Loaded | None) -> _Loaded:
        try:
            found = path.stat()
        except OSError:
            return _Loaded(_State(0, 0, 0), None)  # gone meanwhile; looked at again next time
        state = _State(found.st_ctime_ns, found.st_size, found.st_ino)
        if known is not None and known.state == state:
            return known
        try:
            return _Loaded(state, self._load(path, found.st_size))
        except (OSError, KeystoreError) as error:
            _log.warning("A keystore file could not be used", file=str(path), reason=str(error))
            return _Loaded(state, None)

    def _load(self, path: Path, size: int) -> KeyEntry:
        if size > _LARGEST_FILE:
            raise KeystoreError(f"{path.name} is too large for a keystore entry")
        return KeyEntry.from_pkcs12(path.read_bytes(), self._password, name=path.name)


def _confusable(one: KeyEntry, other: KeyEntry) -> bool:
    first, second = one.certificate, other.certificate
    same_recipient = (first.issuer_der, first.serial) == (second.issuer_der, second.serial)
    return same_recipient or one.alias == other.alias


def _folder_name(tenant: str) -> str:
    """Return the folder of a tenant: its name, percent-encoded, so that any name is a safe one."""
    name = quote(tenant, safe="")
    if name.startswith("."):
        name = "%2E" + name[1:]
    if not name or len(name) > _LONGEST_NAME:
        raise KeystoreError("the tenant's name is empty or too long for a keystore folder")
    return name


def _write_whole(path: Path, data: bytes) -> None:
    """Put `data` under `path` at once: temporary file, fsync, rename, fsync of the folder."""
    temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    try:
        with open(temporary, "xb", opener=_private_opener) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _private_opener(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _unusable(folder: Path, error: OSError) -> KeystoreError:
    reason = os.strerror(error.errno or 0).lower()
    return KeystoreError(f"the keystore folder {folder} cannot be used: {reason}")

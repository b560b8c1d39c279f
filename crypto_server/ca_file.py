"""The CA file of uploads: a PEM bundle, or a Java trust store with its password.

It is read again when it changes, so that a new root counts at once. A change that cannot be read
leaves what was read before in force, and is logged once.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import structlog
from cryptography import x509

from crypto_server.errors import CaFileError, KeystoreError
from crypto_server.keystore.import_entries import MAX_IMPORT, check_form
from crypto_server.keystore.java_keystore import JKS_MAGIC, read_jks
from crypto_server.keystore.pkcs12_reading import read_pkcs12
from crypto_server.settings import CA_PASSWORD, ValidationSettings, read_password
from recording_format.certificates import read_x509
from recording_format.errors import CertificateError
from recording_format.trust import TrustStore
from service_shell.settings import SettingsError

_log = structlog.get_logger()
_State = tuple[int, int, int]


class CaFile:
    """A CA file and what was last read from it. `load` may block for the disk; thread-safe."""

    def __init__(self, path: Path | None, password: str = "") -> None:
        """Use the file at `path`; None is an empty trust store."""
        self._path = path
        self._password = password
        self._lock = threading.Lock()
        self._state: _State | None = None
        self._trust = TrustStore.empty() if path is None else None

    def load(self) -> TrustStore:
        """Return the certificates of the file, as it is now or was when it could last be read.

        Raises `CaFileError` when it never could be.
        """
        with self._lock:
            state = None if self._path is None else _state(self._path)
            if self._path is not None and (self._trust is None or state != self._state):
                self._trust = self._read(self._path)
                self._state = state
            assert self._trust is not None
            return self._trust

    def _read(self, path: Path) -> TrustStore:
        try:
            trust = read_trust(path, self._password)
        except CaFileError as error:
            if self._trust is None:
                raise
            _log.error("The changed CA file could not be used", reason=str(error))
            return self._trust
        if self._trust is not None:
            _log.info("The CA file was read again", certificates=trust.count)
        return trust


def open_ca_file(settings: ValidationSettings, environ: Mapping[str, str]) -> CaFile:
    """Return the CA file of these settings, read once; without one, an empty trust store.

    Raises `SettingsError` when it, or the file of its password, cannot be used.
    """
    if not settings.ca_file:
        return CaFile(None)
    password = ""
    if settings.ca_password_file or environ.get(CA_PASSWORD):
        password = read_password(settings.ca_password_file, CA_PASSWORD, "the CA file", environ)
    found = CaFile(Path(settings.ca_file), password)
    try:
        found.load()
    except CaFileError as error:
        raise SettingsError(f"`validation.ca_file`: {error}") from None
    return found


def read_trust(path: Path, password: str = "") -> TrustStore:
    """Read the CA file at `path`; `password` opens a PKCS#12 or JKS trust store.

    Raises `CaFileError`.
    """
    name = f"the CA file {path}"
    try:
        with path.open("rb") as file:
            data = file.read(MAX_IMPORT + 1)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise CaFileError(f"{name} cannot be read: {reason}") from None
    if len(data) > MAX_IMPORT:  # half a bundle would be read without a word
        raise CaFileError(f"{name} has more than the {MAX_IMPORT} bytes of one")
    try:
        if b"-----BEGIN " in data:
            return TrustStore.from_pem(data.decode("latin-1"), name=name)
        return TrustStore(_certificates(data, password, path), name=name)
    except CertificateError as error:
        raise CaFileError(str(error)) from None
    except KeystoreError as error:
        raise CaFileError(f"the CA file {error}") from None


def _certificates(data: bytes, password: str, path: Path) -> list[x509.Certificate]:
    name = str(path)
    check_form(data, name)
    if data.startswith(JKS_MAGIC):
        trusted = read_jks(data, password, name=name).trusted
    else:
        trusted = tuple(one.der for one in read_pkcs12(data, password, name=name).certificates)
    if not trusted:
        raise KeystoreError(f"{name} holds no certificate")
    return [
        read_x509(der, f"certificate {at} of the CA file {name}")
        for at, der in enumerate(trusted, 1)
    ]


def _state(path: Path) -> _State | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino

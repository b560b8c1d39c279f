"""Certificates and keys in files: which key belongs to a certificate, and whether it is good."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from crypto_server.administration.description import describe
from crypto_server.administration.validation import Validation
from crypto_server.ca_file import read_trust
from crypto_server.errors import CaFileError
from reclab.cert.server import JsonDict, Wanted
from reclab.pki import utc_now
from recording_format.certificates import MAX_CERTIFICATE_TEXT, RecordingCertificate
from recording_format.errors import CertificateError, PrivateKeyError
from recording_format.private_keys import key_matches, load_private_key
from recording_format.trust import CertificatePolicy
from service_shell.settings import SettingsError

_KEY = b"PRIVATE KEY-----"
_ENCRYPTED = (b"BEGIN ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED")
_CERTIFICATE = b"BEGIN CERTIFICATE-----"
_SHORTEST_ID = 4
_REQUEST = b"CERTIFICATE REQUEST-----"


class PairOfFiles(NamedTuple):
    """A certificate's file and the file of its key."""

    certificate: Path
    key: Path

    @property
    def key_is_encrypted(self) -> bool:
        """Whether the key needs a password."""
        return any(mark in read_small(self.key) for mark in _ENCRYPTED)


def find_pair(path: Path, key: Path | None) -> PairOfFiles:
    """Return the pair that `path` means: a certificate, or a folder with one pair in it.

    Without `key` the key is looked for beside the certificate. Raises `SettingsError`.
    """
    if path.is_dir():
        path = find_certificate(path, key)
    if key is not None and _KEY not in read_small(key):
        raise SettingsError(f"{key} holds no private key in PEM")
    return PairOfFiles(path, key or _key_beside(path))


def find_certificate(folder: Path, key: Path | None = None) -> Path:
    """Return the one recording certificate of a folder. Raises `SettingsError`."""
    found = [file for file in _texts(folder) if _CERTIFICATE in read_small(file)]
    certificates = [file for file in found if _is_no_authority(file, folder, key)]
    if len(certificates) != 1:
        names = ", ".join(file.name for file in found) or "no certificate"
        raise SettingsError(f"{folder} holds {names}: name the certificate's file")
    return certificates[0]


def read_certificate_text(path: Path) -> str:
    """Return the text of a certificate's file. Raises `SettingsError` for a request."""
    content = read_small(path)
    if _REQUEST in content and _CERTIFICATE not in content:
        raise SettingsError(f"{path} is a signing request: a CA makes a certificate of it")
    return content.decode("latin-1")


def read_small(path: Path) -> bytes:
    """Return a file's bytes. Raises `SettingsError` for what is no small file."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_CERTIFICATE_TEXT + 1)
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({(error.strerror or '').lower()})") from None
    if len(content) > MAX_CERTIFICATE_TEXT:
        raise SettingsError(f"{path} is too long for a certificate or a key")
    return content


def named_by(text: str) -> Wanted:
    """Return the certificate that a person names: by its file, its id, or the id's beginning.

    Raises `SettingsError`.
    """
    path = Path(text)
    if is_path(text):
        if path.is_dir():
            path = find_certificate(path)
        try:
            read = RecordingCertificate.load(read_certificate_text(path), name=str(path))
        except CertificateError as error:
            raise SettingsError(str(error)) from None
        return Wanted(read.fingerprint, f"certificate of {text}")
    beginning = text.strip().lower()
    if len(beginning) < _SHORTEST_ID:
        raise SettingsError(f"{text!r} is too short for an id: give {_SHORTEST_ID} characters")
    return Wanted(beginning, f"certificate whose id begins with {text}")


def is_path(text: str) -> bool:
    """Return whether a person means a file or a folder, not an id."""
    path = Path(text)
    return bool(text) and (path.exists() or path.suffix != "" or "/" in text)


def judge_file(path: Path, ca: Path) -> JsonDict:
    """Return what the upload form would show of a certificate, by this CA file."""
    try:
        certificate = RecordingCertificate.load(read_certificate_text(path), name=str(path))
        trust = read_trust(ca)
    except (CertificateError, CaFileError) as error:
        raise SettingsError(str(error)) from None
    judgement = Validation(lambda: trust, CertificatePolicy()).judge(certificate, utc_now())
    shown: JsonDict = msgspec.to_builtins(describe(certificate, judgement))
    return shown


def _key_beside(certificate: Path) -> Path:
    """Return the key's file in the certificate's folder: the one that fits, else the only one."""
    text = read_certificate_text(certificate)
    try:
        read = RecordingCertificate.load(text, name=str(certificate))
    except CertificateError as error:
        raise SettingsError(str(error)) from None
    keys = [file for file in _texts(certificate.parent) if _KEY in read_small(file)]
    fitting = [file for file in keys if _fits(read, file)]
    encrypted = [file for file in keys if any(mark in read_small(file) for mark in _ENCRYPTED)]
    found = fitting or encrypted
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(file.name for file in found)
        raise SettingsError(f"several keys lie beside {certificate}, choose by --key: {names}")
    raise SettingsError(f"no key of {certificate} lies beside it: name it by --key")


def _is_no_authority(file: Path, folder: Path, key: Path | None) -> bool:
    """Return whether a key of the folder fits, which is not so for a CA's certificate there."""
    try:
        read = RecordingCertificate.load(read_small(file).decode("latin-1"), name=str(file))
    except CertificateError:
        return False
    keys = [key] if key else [other for other in _texts(folder) if _KEY in read_small(other)]
    return any(_fits(read, other) for other in keys) or not any(_readable(other) for other in keys)


def _readable(key: Path) -> bool:
    return not any(mark in read_small(key) for mark in _ENCRYPTED)


def _fits(certificate: RecordingCertificate, key: Path) -> bool:
    try:
        return key_matches(certificate, load_private_key(read_small(key), name=key.name))
    except PrivateKeyError:
        return False


def _texts(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.iterdir()):
        small = file.is_file() and file.stat().st_size <= MAX_CERTIFICATE_TEXT
        if small and file.suffix in (".pem", ".key", ".crt", ".cer"):
            yield file

"""The certificate authority that signs: its certificate, found by its key, and the key itself."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from reclab.cert.files import read_small
from reclab.pki import Pair
from recording_format.errors import PrivateKeyError
from recording_format.private_keys import load_private_key
from service_shell.settings import SettingsError


def lab_authority(certificate: Path, key: Path) -> Pair:
    """Return the lab's CA. Raises `SettingsError`, saying what else there is."""
    if not certificate.exists():
        raise SettingsError(
            f"{certificate} is not there: start a lab, name a CA by --ca and --ca-key, or choose"
            " --self-signed or --csr"
        )
    if not key.exists():
        raise SettingsError(
            f"{key} is not there: this lab did not keep its CA's key. Name a CA by --ca and"
            " --ca-key, or prepare a new folder"
        )
    return read_authority(certificate, key, "")


def read_authority(certificates: Path, key: Path, password: str) -> Pair:
    """Return a CA from its files; a bundle's certificate of that key is meant.

    Raises `SettingsError`.
    """
    try:
        private_key = load_private_key(read_small(key), password or None, name=str(key))
    except PrivateKeyError as error:
        raise SettingsError(str(error)) from None
    try:
        known = x509.load_pem_x509_certificates(read_small(certificates))
    except ValueError:
        raise SettingsError(f"{certificates} holds no certificate in PEM") from None
    for certificate in known:
        public = certificate.public_key()
        if (
            isinstance(public, rsa.RSAPublicKey)
            and public.public_numbers() == private_key.public_key().public_numbers()
        ):
            return Pair(certificate, private_key)
    raise SettingsError(f"{key} is not the key of a certificate in {certificates}")

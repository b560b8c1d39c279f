"""Certificates by which a lab's services prove themselves over TLS: one for each, and their CA.

It is apart from the CA of recordings: who believes a service's certificate encrypts nothing for it.
The CA is made once; each start issues the certificates anew, for the addresses that they are for.
"""

from __future__ import annotations

import ipaddress
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from reclab.files import write_private
from reclab.pki import certificate_builder, lab_name
from service_shell.listening import split_address
from service_shell.settings import SettingsError

_CA_DAYS: Final = 3650
_DAYS: Final = 397
"""The longest that browsers take."""
_LOOPBACK: Final = "localhost"


class _Issuer(NamedTuple):
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def __repr__(self) -> str:
        return f"_Issuer({self.certificate.subject.rfc4514_string()!r})"


class ServiceCertificates:
    """The files in a lab's folder: the CA, its key, and a pair for each service by its name."""

    def __init__(self, root: Path) -> None:
        self.ca_file = root / "services-ca.pem"
        self._ca_key = root / "keys" / "services-ca.key.pem"
        self._folder = root / "tls"

    def settings(self, name: str) -> dict[str, str]:
        """Return the ``[tls]`` settings of a service."""
        return {"certificate": str(self._file(name)), "key": str(self._key_file(name))}

    def issue(self, addresses: dict[str, str], now: datetime) -> None:
        """Make a pair for each service at its ``host:port``. Raises `SettingsError`."""
        issuer = self._issuer(now)
        for name, address in addresses.items():
            host, _ = split_address(address)
            key = ec.generate_private_key(ec.SECP256R1())
            certificate = _service_certificate(f"reclab {name}", host, key, issuer, now)
            write_private(self._key_file(name), _key_pem(key))
            write_private(self._file(name), certificate.public_bytes(Encoding.PEM))

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.pem"

    def _key_file(self, name: str) -> Path:
        return self._folder / f"{name}.key.pem"

    def _issuer(self, now: datetime) -> _Issuer:
        if not self.ca_file.exists():
            self._make_issuer(now)
        try:
            certificate = x509.load_pem_x509_certificate(self.ca_file.read_bytes())
            key = load_pem_private_key(self._ca_key.read_bytes(), None)
        except (OSError, ValueError):
            raise SettingsError(
                f"{self.ca_file} and {self._ca_key} cannot be read: remove both"
            ) from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise SettingsError(f"{self._ca_key} is not the key that this lab made: remove both")
        return _Issuer(certificate, key)

    def _make_issuer(self, now: datetime) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = lab_name("Recording Lab Services CA")
        usage = _usage(signs_certificates=True)
        certificate = (
            certificate_builder(name, name, key.public_key(), now, _CA_DAYS)
            .add_extension(_key_id(key), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(key, SHA256())
        )
        write_private(self._ca_key, _key_pem(key))
        write_private(self.ca_file, certificate.public_bytes(Encoding.PEM))


def _service_certificate(
    common_name: str,
    host: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: _Issuer,
    now: datetime,
) -> x509.Certificate:
    public = issuer.key.public_key()
    subject, signer = lab_name(common_name), issuer.certificate.subject
    return (
        certificate_builder(subject, signer, key.public_key(), now, _DAYS)
        .add_extension(_key_id(key), critical=False)
        .add_extension(x509.SubjectAlternativeName(_names(host)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(issuer.key, SHA256())
    )


def _names(host: str) -> list[x509.GeneralName]:
    """Return whom a certificate has to name so that clients of `host` take it."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return [x509.DNSName(host)]
    names: list[x509.GeneralName] = [x509.IPAddress(address)]
    return [*names, x509.DNSName(_LOOPBACK)] if address.is_loopback else names


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False,
        key_cert_sign=signs_certificates, crl_sign=signs_certificates,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _key_id(key: ec.EllipticCurvePrivateKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

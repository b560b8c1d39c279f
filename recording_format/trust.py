"""Whether a recording certificate may be used now: its key, its dates and its chain.

Chains have the meaning of ``openssl verify``: good signatures up to a self-signed root of the CA
file, every certificate valid at the time. Recording certificates are not TLS certificates: neither
version 3 nor any name or usage extension is asked for.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable
from datetime import UTC, datetime

from cryptography import x509
from OpenSSL import crypto

from . import pem
from .certificates import (
    LABELS,
    RecordingCertificate,
    certificate_identity,
    read_certificate_block,
    read_x509,
)
from .chains import issuer_chains, rolled_over, signed_by
from .distinguished_name import readable_name
from .errors import (
    CertificateExpired,
    CertificateKeyTooSmall,
    CertificateNotYetValid,
    CertificateRefused,
    CertificateUnreadable,
    CertificateUntrusted,
)

MINIMUM_KEY_BITS = 2048
MAX_BUNDLE_TEXT = 4 * 1024 * 1024
# X509_V_ERR_… of OpenSSL's x509_vfy.h
_NOT_YET_VALID = 9
_EXPIRED = 10
_MAX_OTHER_CHAINS = 16
_NO_ISSUER_FOUND = {2, 18, 19, 20, 21}


class TrustStore:
    """The certificates of one CA file. Building it is slow, a check takes under a millisecond."""

    def __init__(self, certificates: Iterable[x509.Certificate], *, name: str = "the CA file"):
        self._name = name
        self._lock = threading.Lock()  # the time of a check is set on the store
        self._roots: list[x509.Certificate] = []
        self._between: list[x509.Certificate] = []
        rolled: list[x509.Certificate] = []
        for certificate in certificates:
            if not _self_issued(certificate):
                self._between.append(certificate)
            elif signed_by(certificate, certificate) is not False:
                self._roots.append(certificate)
            else:
                rolled.append(certificate)
        # What is left is a CA's new key under its old one, a link; or else a root whose own
        # signature is broken: that one could only hide its good twin.
        self._between += rolled_over(rolled, self._roots)
        self._store = _anchors(self._roots)
        self._links = [crypto.X509.from_cryptography(one) for one in self._between]

    @classmethod
    def from_pem(cls, bundle: str, *, name: str = "the CA file") -> TrustStore:
        """Read a bundle of roots and intermediates in any order, with any text between them.

        `CertificateUnreadable` names the file, and which of its certificates is ruined.
        """
        if len(bundle) > MAX_BUNDLE_TEXT:
            raise CertificateUnreadable(f"{name} has {len(bundle)} characters, too many")
        try:
            blocks = [block for block in pem.find_blocks(bundle) if block.label in LABELS]
        except ValueError as error:
            raise CertificateUnreadable(f"{name} is ruined: {error}") from error
        if not blocks:
            raise CertificateUnreadable(f"{name} holds no certificate in PEM")
        try:
            return cls(
                (
                    _read(bundle, block, f"certificate {number} of {name}")
                    for number, block in enumerate(blocks, start=1)
                ),
                name=name,
            )
        except crypto.Error as error:
            raise CertificateUnreadable(f"{name} holds a certificate that is broken") from error

    def check(
        self,
        certificate: RecordingCertificate,
        now: datetime,
        minimum_bits: int = MINIMUM_KEY_BITS,
    ) -> None:
        """Raise a `CertificateRefused` unless `certificate` may encrypt a recording at `now`.

        `now` is aware. Dates come first, then the key's size, then the chain.
        """
        _check_dates(certificate, now)
        if certificate.key_bits < minimum_bits:
            raise CertificateKeyTooSmall(
                f"{certificate.described} has a key of {certificate.key_bits} bits,"
                f" fewer than {minimum_bits}; it is valid until {_date(certificate.not_after)}"
            )
        leaf = read_x509(certificate.der, certificate.name)
        try:
            with self._lock:
                error = _verify(self._store, leaf, self._links, now)
            if error is None or self._has_other_chain(leaf, now):
                return
        except crypto.Error as broken:
            raise CertificateUnreadable(f"{certificate.described} is broken") from broken
        raise self._refusal(certificate, error) from error

    def _has_other_chain(self, leaf: x509.Certificate, now: datetime) -> bool:
        """Return whether a chain is good that OpenSSL did not look at."""
        chains = issuer_chains(leaf, self._roots, self._between)
        for *links, root in itertools.islice(chains, _MAX_OTHER_CHAINS):
            above = [crypto.X509.from_cryptography(link) for link in links]
            if _verify(_anchors([root]), leaf, above, now) is None:
                return True
        return False

    def _refusal(
        self, certificate: RecordingCertificate, error: crypto.X509StoreContextError
    ) -> CertificateRefused:
        code, depth, words = error.errors
        der = crypto.dump_certificate(crypto.FILETYPE_ASN1, error.certificate)
        culprit = read_x509(der, certificate.name)
        who = f"{_name(culprit)} (serial {_serial(culprit)})"
        whose = certificate.described
        if depth:
            whose += f" cannot be used: {who} above it"
        if code == _EXPIRED:
            return CertificateExpired(f"{whose} expired on {_date(culprit.not_valid_after_utc)}")
        if code == _NOT_YET_VALID:
            since = _date(culprit.not_valid_before_utc)
            return CertificateNotYetValid(f"{whose} is not valid before {since}")
        if code in _NO_ISSUER_FOUND:
            fault = f"no chain leads from {_name(culprit)} to a root of {self._name}"
        else:
            fault = f"{who}: {words}"
        return CertificateUntrusted(
            f"{certificate.described}, valid until {_date(certificate.not_after)},"
            f" is not trusted: {fault}"
        )


def _anchors(roots: Iterable[x509.Certificate]) -> crypto.X509Store:
    store = crypto.X509Store()
    store.set_flags(crypto.X509StoreFlags.CHECK_SS_SIGNATURE)
    for root in roots:
        store.add_cert(crypto.X509.from_cryptography(root))
    return store


def _verify(
    store: crypto.X509Store, leaf: x509.Certificate, links: list[crypto.X509], now: datetime
) -> crypto.X509StoreContextError | None:
    """Return what OpenSSL has against `leaf` at `now`, or None."""
    store.set_time(now.astimezone(UTC))
    context = crypto.X509StoreContext(store, crypto.X509.from_cryptography(leaf), links)
    try:
        context.verify_certificate()
    except crypto.X509StoreContextError as error:
        return error
    return None


def _check_dates(certificate: RecordingCertificate, now: datetime) -> None:
    if now < certificate.not_before:
        since = _date(certificate.not_before)
        raise CertificateNotYetValid(f"{certificate.described} is not valid before {since}")
    if now > certificate.not_after:
        until = _date(certificate.not_after)
        raise CertificateExpired(f"{certificate.described} expired on {until}")


def _read(bundle: str, block: pem.Block, which: str) -> x509.Certificate:
    """Read one certificate of a bundle, as far as a message about it could need it."""
    certificate = read_x509(read_certificate_block(bundle, block, which), which)
    try:
        _self_issued(certificate)
        _date(certificate.not_valid_before_utc)
        _date(certificate.not_valid_after_utc)
    except ValueError as error:
        raise CertificateUnreadable(f"{which} is not a whole certificate: {error}") from error
    return certificate


def _self_issued(certificate: x509.Certificate) -> bool:
    identity = certificate_identity(certificate)
    return readable_name(identity.issuer) == readable_name(identity.subject)


def _name(certificate: x509.Certificate) -> str:
    return readable_name(certificate_identity(certificate).subject) or "a certificate without name"


def _serial(certificate: x509.Certificate) -> int:
    return certificate_identity(certificate).serial


def _date(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

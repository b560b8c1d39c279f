"""Whether a recording certificate may be used at a moment: its key, its dates and its chain.

Chains have the meaning of ``openssl verify``: good signatures up to a self-signed root of the CA
file. Every certificate must be valid at the moment (its last second included), and its signature
made over a digest that is still good. Recording certificates are not TLS certificates: neither
version 3 nor any name or usage extension is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from . import pem
from .bundle import MAX_BUNDLE_TEXT, Bundle, Link, read_bundle, read_link
from .certificates import RecordingCertificate, read_x509, readable_date
from .chains import MAX_LENGTH, MAX_SIGNATURES, ChainSearch
from .distinguished_name import readable_name
from .errors import (
    CertificateAlgorithmForbidden,
    CertificateExpired,
    CertificateKeyTooSmall,
    CertificateNotYetValid,
    CertificatePathTooLong,
    CertificateRefused,
    CertificateSignatureWrong,
    CertificateUnreadable,
    CertificateUntrusted,
)
from .openssl_verdict import openssl_verdict, untrusted
from .signatures import forbidden_digest, signed_by

MINIMUM_KEY_BITS = 2048
_MAX_CHAINS = 32


@dataclass(frozen=True, slots=True)
class CertificatePolicy:
    """What is asked of a certificate beside a good chain.

    `minimum_bits` is the floor of the recording certificate's own key. `trust_self_signed` takes a
    self-signed certificate that is in no CA file; its signature must be right and its digest good.
    """

    minimum_bits: int = MINIMUM_KEY_BITS
    allow_sha1: bool = False
    trust_self_signed: bool = False


_USUAL = CertificatePolicy()


class TrustStore:
    """The certificates of one CA file; a check takes about a millisecond and changes nothing."""

    def __init__(self, certificates: Iterable[x509.Certificate], *, name: str = "the CA file"):
        """`name` is how messages call the file; `CertificateUnreadable` for one that is broken."""
        self._name = name
        self._bundle = Bundle(
            read_link(certificate, f"certificate {number} of {name}")
            for number, certificate in enumerate(certificates, start=1)
        )

    @classmethod
    def empty(cls) -> TrustStore:
        """Return the store where there is no CA file: it trusts nothing by itself."""
        return cls(())

    @classmethod
    def from_pem(cls, bundle: str, *, name: str = "the CA file") -> TrustStore:
        """Read a bundle of roots and intermediates in any order, with any text between them.

        `CertificateUnreadable` names the file, and which of its certificates is ruined.
        """
        return cls(read_bundle(bundle, name), name=name)

    @classmethod
    def from_bytes(cls, data: bytes, *, name: str = "the CA file") -> TrustStore:
        """Read a file as `from_pem`, in any encoding that editors write; errors as there."""
        if len(data) > MAX_BUNDLE_TEXT:
            raise CertificateUnreadable(f"{name} has {len(data)} bytes, too many")
        return cls.from_pem(pem.decoded_text(data), name=name)

    @property
    def count(self) -> int:
        """How many different certificates it holds."""
        return len(self._bundle)

    def check(
        self, certificate: RecordingCertificate, now: datetime, policy: CertificatePolicy = _USUAL
    ) -> None:
        """Raise a `CertificateRefused` unless `certificate` may encrypt a recording at `now`.

        `now` is aware. The certificate's own dates come first, then its key's size, then its chain.
        """
        self.chain(certificate, now, policy)

    def chain(
        self, certificate: RecordingCertificate, now: datetime, policy: CertificatePolicy = _USUAL
    ) -> tuple[x509.Certificate, ...]:
        """Return the chain that makes `certificate` good at `now`: itself first, its root last.

        Raises as `check` does.
        """
        _check_itself(certificate, now, policy)
        leaf = read_link(read_x509(certificate.der, certificate.name), certificate.name)
        found = self._good_chain(certificate, leaf, now, policy)
        return tuple(link.certificate for link in found)

    def _good_chain(
        self,
        certificate: RecordingCertificate,
        leaf: Link,
        now: datetime,
        policy: CertificatePolicy,
    ) -> tuple[Link, ...]:
        search = ChainSearch(leaf, self._bundle, lambda link: not _usable(link, now, policy))
        refusal: CertificateRefused | None = None
        for _, chain in zip(range(_MAX_CHAINS), search.chains(), strict=False):
            fault = _fault(certificate, chain, now, policy)
            if fault is None:
                return chain
            refusal = refusal or fault
        if policy.trust_self_signed and _self_signed(leaf):
            fault = _forbidden(certificate, leaf, policy)
            fault = fault or openssl_verdict(certificate, (leaf,), check_root=True)
            if fault is None:
                return (leaf,)
            refusal = refusal or fault
        raise refusal or self._without_chain(certificate, leaf, search)

    def _without_chain(
        self, certificate: RecordingCertificate, leaf: Link, search: ChainSearch
    ) -> CertificateRefused:
        """Return why nothing leads up to a root."""
        whose, end = untrusted(certificate), search.dead_end
        if search.exhausted:
            return CertificateUntrusted(
                f"{whose}: no chain to a root of {self._name} was found in {MAX_SIGNATURES}"
                " signature checks, it holds too many certificates of the same names"
            )
        if end.length >= MAX_LENGTH:
            return CertificatePathTooLong(
                f"{whose}: no chain of {MAX_LENGTH} certificates or fewer leads to a root of"
                f" {self._name}"
            )
        if not self._bundle:
            return CertificateUntrusted(f"{whose}: there is no CA file")
        if end.top == leaf and _self_signed(leaf):
            return CertificateUntrusted(f"{whose}: it is self-signed and not in {self._name}")
        if end.top in end.refuted:
            return CertificateSignatureWrong(
                f"{whose}: {end.top.described} names itself as its issuer, but its signature was"
                " not made by its own key"
            )
        if end.refuted:
            return CertificateSignatureWrong(
                f"{whose}: the signature of {end.top.described} was not made by the key of"
                f" {end.refuted[0].described} in {self._name}"
            )
        fault = f"no chain leads from {end.top.described} to a root of {self._name}"
        if not self._bundle.issuers(end.top):
            issuer = readable_name(end.top.identity.issuer) or "without name"
            fault += f", which lacks its issuer {issuer}"
        return CertificateUntrusted(f"{whose}: {fault}")


def _self_signed(leaf: Link) -> bool:
    """Return whether the certificate's own key has signed it, or might have."""
    return leaf.self_issued and signed_by(leaf.certificate, leaf.certificate) is not False


def _check_itself(
    certificate: RecordingCertificate, now: datetime, policy: CertificatePolicy
) -> None:
    """Check what needs no other certificate: the dates, and the size of the key."""
    if now < certificate.not_before:
        since = readable_date(certificate.not_before)
        raise CertificateNotYetValid(f"{certificate.described} is not valid before {since}")
    if now > certificate.not_after:
        until = readable_date(certificate.not_after)
        raise CertificateExpired(f"{certificate.described} expired on {until}")
    if certificate.key_bits < policy.minimum_bits:
        raise CertificateKeyTooSmall(
            f"{certificate.described}, valid until {readable_date(certificate.not_after)},"
            f" has a key of {certificate.key_bits} bits, fewer than {policy.minimum_bits}"
        )


def _usable(link: Link, now: datetime, policy: CertificatePolicy) -> bool:
    """Return whether nothing speaks against `link` itself in a chain at `now`."""
    if not link.not_before <= now <= link.not_after:
        return False
    return link.self_issued or not forbidden_digest(link.certificate, allow_sha1=policy.allow_sha1)


def _fault(
    certificate: RecordingCertificate,
    chain: tuple[Link, ...],
    now: datetime,
    policy: CertificatePolicy,
) -> CertificateRefused | None:
    """Return what is wrong with a chain of good signatures, or None."""
    for link in chain:
        above = f"{certificate.described} cannot be used: {link.described} above it"
        if now > link.not_after:
            return CertificateExpired(f"{above} expired on {readable_date(link.not_after)}")
        if now < link.not_before:
            since = readable_date(link.not_before)
            return CertificateNotYetValid(f"{above} is not valid before {since}")
    for link in chain[:-1]:  # nobody relies on a root's own signature
        fault = _forbidden(certificate, link, policy)
        if fault is not None:
            return fault
    return openssl_verdict(certificate, chain)


def _forbidden(
    certificate: RecordingCertificate, link: Link, policy: CertificatePolicy
) -> CertificateAlgorithmForbidden | None:
    digest = forbidden_digest(link.certificate, allow_sha1=policy.allow_sha1)
    if digest is None:
        return None
    return CertificateAlgorithmForbidden(
        f"{untrusted(certificate)}: {link.described} is signed with {digest}, which is not allowed"
    )

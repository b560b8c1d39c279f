"""The certificates of a CA file: read from its text, and found by their names.

A bundle has each certificate once, in the file's order. It knows how many names lie between a
certificate and the nearest one that names itself as its issuer, so that a search can look there
first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import crypto

from . import pem
from .certificates import (
    LABELS,
    certificate_identity,
    read_certificate_block,
    read_x509,
    readable_date,
)
from .distinguished_name import comparable_name
from .errors import CertificateUnreadable
from .signatures import signature_weight

MAX_BUNDLE_TEXT = 4 * 1024 * 1024

#: What a certificate counts from which no names lead to a root.
FAR = 1_000_000


class Link:
    """One certificate as a member of chains. Links are equal when their DER is."""

    def __init__(self, certificate: x509.Certificate) -> None:
        """`ValueError` when its fields are not those of a certificate."""
        self.certificate = certificate
        self.der = certificate.public_bytes(Encoding.DER)
        self.identity = certificate_identity(certificate)
        self.subject = comparable_name(self.identity.subject)
        self.issuer = comparable_name(self.identity.issuer)
        self.not_before = certificate.not_valid_before_utc
        self.not_after = certificate.not_valid_after_utc

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Link) and self.der == other.der

    def __hash__(self) -> int:
        return hash(self.der)

    @property
    def self_issued(self) -> bool:
        """Whether it names itself as its issuer."""
        return self.subject == self.issuer

    @property
    def described(self) -> str:
        """How messages call it: subject and serial."""
        return self.identity.described

    @cached_property
    def weight(self) -> int:
        """The cost of checking a signature by its key."""
        return signature_weight(self.certificate)

    @cached_property
    def openssl(self) -> crypto.X509:
        """The certificate as OpenSSL's object; `crypto.Error` when it does not take it."""
        return crypto.X509.from_cryptography(self.certificate)


class Bundle:
    """The links of a CA file by subject."""

    def __init__(self, links: Iterable[Link]) -> None:
        self._links = dict.fromkeys(links)
        self._by_subject: dict[str, list[Link]] = {}
        for link in self._links:
            self._by_subject.setdefault(link.subject, []).append(link)
        self._steps = self._steps_to_roots()

    def __len__(self) -> int:
        return len(self._links)

    def __iter__(self) -> Iterator[Link]:
        return iter(self._links)

    def __contains__(self, link: Link) -> bool:
        return link in self._links

    def issuers(self, link: Link) -> list[Link]:
        """Return those that have the name of the issuer of `link`, other than itself."""
        return [other for other in self._by_subject.get(link.issuer, ()) if other != link]

    def steps(self, link: Link) -> int:
        """Return how many names lie above `link`, at the least; `FAR` when none leads to a root."""
        if link.self_issued:
            return 0
        return self._steps.get(link.issuer, FAR) + 1

    def _steps_to_roots(self) -> dict[str, int]:
        below: dict[str, set[str]] = {}
        for link in self._links:
            below.setdefault(link.issuer, set()).add(link.subject)
        steps = {link.subject: 0 for link in self._links if link.self_issued}
        waiting = deque(steps)
        while waiting:
            issuer = waiting.popleft()
            for subject in below.get(issuer, ()):
                if subject not in steps:
                    steps[subject] = steps[issuer] + 1
                    waiting.append(subject)
        return steps


def read_bundle(text: str, name: str) -> list[x509.Certificate]:
    """Read the certificates of a PEM text in its order; other text between them is passed over.

    `CertificateUnreadable` says by `name` what is wrong, and with which certificate.
    """
    if len(text) > MAX_BUNDLE_TEXT:
        raise CertificateUnreadable(f"{name} has {len(text)} characters, too many")
    try:
        blocks = [block for block in pem.find_blocks(text) if block.label in LABELS]
    except ValueError as error:
        raise CertificateUnreadable(f"{name} is ruined: {error}") from error
    if not blocks:
        raise CertificateUnreadable(f"{name} holds no certificate in PEM")
    found = []
    for number, block in enumerate(blocks, start=1):
        which = f"certificate {number} of {name}"
        found.append(read_x509(read_certificate_block(text, block, which), which))
    return found


def read_link(certificate: x509.Certificate, which: str) -> Link:
    """Return the link, read as far as a message about it could need it; else `which` is named."""
    try:
        link = Link(certificate)
        _ = link.described, readable_date(link.not_before), readable_date(link.not_after)
    except ValueError as error:
        raise CertificateUnreadable(f"{which} is not a whole certificate: {error}") from error
    return link

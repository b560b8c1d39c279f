"""Looking for another chain where several CAs have the same name.

OpenSSL takes the first certificate of an issuer's name and does not come back to try the next. In
a CA file that holds a renewed CA beside the old one, that can be the wrong one. Every link found
here has a good signature; dates and all the rest are OpenSSL's to check. The search is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from .certificates import certificate_identity

MAX_LENGTH = 32
MAX_SIGNATURES = 500


def signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool | None:
    """Return whether `issuer` has signed `certificate`; None when this cannot be computed here."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except InvalidSignature:
        return False
    except UnsupportedAlgorithm:
        return None
    except (ValueError, TypeError):
        return False  # another name, or another kind of key
    return True


def rolled_over(
    certificates: Sequence[x509.Certificate], roots: Sequence[x509.Certificate]
) -> list[x509.Certificate]:
    """Return those that a root of the same name has signed: a CA's change of keys (RFC 4210 §4.4).

    All of `certificates` are self-issued and not self-signed.
    """
    budget = MAX_SIGNATURES
    found: list[x509.Certificate] = []
    for certificate in certificates:
        for root in roots:
            if root.subject != certificate.issuer:
                continue
            budget -= 1
            if budget < 0:
                return found
            if signed_by(certificate, root):
                found.append(certificate)
                break
    return found


def issuer_chains(
    leaf: x509.Certificate,
    roots: Sequence[x509.Certificate],
    between: Sequence[x509.Certificate],
) -> Iterator[list[x509.Certificate]]:
    """Yield chains of issuers above `leaf`, each from its direct issuer up to a root."""
    budget = MAX_SIGNATURES
    waiting: list[list[x509.Certificate]] = [[leaf]]
    while waiting:
        chain = waiting.pop()
        wanted = certificate_identity(chain[-1]).issuer
        for issuer in (*between, *roots):
            if certificate_identity(issuer).subject != wanted or issuer in chain:
                continue
            budget -= 1
            if budget < 0:
                return
            if not signed_by(chain[-1], issuer):
                continue
            if issuer in roots:
                yield [*chain[1:], issuer]
            elif len(chain) < MAX_LENGTH:
                waiting.append([*chain, issuer])

"""What OpenSSL says of one chain: CAs, path lengths, key usage, name constraints, signatures.

Everything but the dates: those are the same everywhere only when they are compared here. A chain
is judged by itself, with its last certificate as the only root.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509
from OpenSSL import crypto

from .bundle import Link
from .certificates import RecordingCertificate, readable_date
from .errors import (
    CertificateIssuerNotCa,
    CertificatePathTooLong,
    CertificateRefused,
    CertificateSignatureWrong,
    CertificateUntrusted,
)

# OpenSSL's x509_vfy.h
_NO_CHECK_TIME = 0x200000
_CHECK_SS_SIGNATURE = 0x4000
_NO_ISSUER = {2, 18, 19, 20, 21, 29, 30, 31}
_NO_CA = {24, 79}
_MAY_NOT_SIGN = 32
_WORDS: dict[int, tuple[type[CertificateRefused], str]] = {
    4: (CertificateSignatureWrong, "has a signature that is wrong"),
    7: (CertificateSignatureWrong, "has a signature that is wrong"),
    22: (CertificatePathTooLong, "is too far up its chain"),
    24: (CertificateIssuerNotCa, "above it is not a CA"),
    25: (CertificatePathTooLong, "above it allows fewer CAs below (path length)"),
    _MAY_NOT_SIGN: (CertificateIssuerNotCa, "above it may not sign certificates (key usage)"),
    34: (CertificateUntrusted, "has a critical extension that is not known here"),
    47: (CertificateUntrusted, "has a name that a CA above it does not permit (name constraints)"),
    48: (CertificateUntrusted, "has a name that a CA above it excludes (name constraints)"),
    79: (CertificateIssuerNotCa, "above it is not a CA"),
}


def openssl_verdict(
    certificate: RecordingCertificate, chain: Sequence[Link], *, check_root: bool = False
) -> CertificateRefused | None:
    """Return what OpenSSL has against `chain` (`certificate` first, its root last), or None.

    The root's own signature counts where `check_root` says so.
    """
    try:
        error = _error(chain, check_root=check_root)
    except crypto.Error:
        return CertificateUntrusted(
            f"{untrusted(certificate)}: OpenSSL cannot read all certificates of its chain"
        )
    return None if error is None else _refusal(certificate, chain, error)


def _error(chain: Sequence[Link], *, check_root: bool) -> crypto.X509StoreContextError | None:
    flags = _NO_CHECK_TIME | (_CHECK_SS_SIGNATURE if check_root else 0)
    error = _verify(chain, flags, anchors=chain[-1:])
    if error is not None and len({link.subject for link in chain}) < len(chain):
        # Where a CA has changed its key, OpenSSL takes the root for the newer CA, unless it finds
        # both of them in the same place.
        error = _verify(chain, flags | _CHECK_SS_SIGNATURE, anchors=chain[1:]) and error
    return error


def _verify(
    chain: Sequence[Link], flags: int, anchors: Sequence[Link]
) -> crypto.X509StoreContextError | None:
    store = crypto.X509Store()
    store.set_flags(flags)
    for anchor in anchors:
        store.add_cert(anchor.openssl)
    between = [link.openssl for link in chain[1:-1]]
    try:
        crypto.X509StoreContext(store, chain[0].openssl, between).verify_certificate()
    except crypto.X509StoreContextError as error:
        return error
    return None


def _refusal(
    certificate: RecordingCertificate,
    chain: Sequence[Link],
    error: crypto.X509StoreContextError,
) -> CertificateRefused:
    code, depth, openssl_words = error.errors
    whose = untrusted(certificate)
    link = chain[min(depth, len(chain) - 1)]
    if code in _NO_ISSUER and depth + 1 < len(chain):
        return _unfit_issuer(whose, link, chain[depth + 1])
    if code in _NO_CA and not _may_sign(link):
        code = _MAY_NOT_SIGN
    kind, words = _WORDS.get(
        code, (CertificateUntrusted, f"is refused by OpenSSL: {openssl_words}")
    )
    return kind(f"{whose}: {link.described} {words}")


def _unfit_issuer(whose: str, link: Link, issuer: Link) -> CertificateRefused:
    """Return why OpenSSL does not take `issuer`, whose key has signed `link`, for its issuer."""
    if not _may_sign(issuer):
        kind, words = _WORDS[_MAY_NOT_SIGN]
        return kind(f"{whose}: {issuer.described} {words}")
    return CertificateUntrusted(
        f"{whose}: {link.described} does not mean {issuer.described} by the identifiers of its"
        " issuer's key, so no chain leads from it to a root"
    )


def untrusted(certificate: RecordingCertificate) -> str:
    """Return how the sentences about a certificate's chain begin."""
    until = readable_date(certificate.not_after)
    return f"{certificate.described}, valid until {until}, is not trusted"


def _may_sign(issuer: Link) -> bool:
    try:
        usage = issuer.certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        return usage.key_cert_sign
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return True

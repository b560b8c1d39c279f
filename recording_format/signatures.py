"""Signatures of certificates: who made one, under which digest, and what it costs to check it.

Whatever cannot be told here (an algorithm or a parameter that the library does not know) is None,
and left to OpenSSL.
"""

from __future__ import annotations

from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import SignatureAlgorithmOID

#: Signature algorithms by OID whose digest may be forged (RFC 8017, RFC 5758, OIW).
_BY_OID = {
    "1.2.840.113549.1.1.2": "MD2",
    "1.2.840.113549.1.1.3": "MD4",
    "1.2.840.113549.1.1.4": "MD5",
    "1.2.840.113549.1.1.5": "SHA-1",
    "1.3.14.3.2.2": "MD4",
    "1.3.14.3.2.3": "MD5",
    "1.3.14.3.2.4": "MD4",
    "1.3.14.3.2.13": "SHA-0",
    "1.3.14.3.2.15": "SHA-0",
    "1.3.14.3.2.27": "SHA-1",
    "1.3.14.3.2.29": "SHA-1",
    "1.3.14.7.2.3.1": "MD2",
    "1.2.840.10040.4.3": "SHA-1",
    "1.2.840.10045.4.1": "SHA-1",
}
_BY_NAME = {"md2": "MD2", "md5": "MD5", "sha1": "SHA-1"}
_BROKEN = {"MD2", "MD4", "MD5", "SHA-0"}
_UNIT_BITS, _UNIT_EXPONENT_BITS = 2048, 17
_OTHER_KEYS_WEIGHT = 10


def forbidden_digest(certificate: x509.Certificate, *, allow_sha1: bool) -> str | None:
    """Return the name of the digest under the signature when it is not good enough, or None."""
    algorithm = certificate.signature_algorithm_oid
    if algorithm == SignatureAlgorithmOID.RSASSA_PSS:
        digest = _pss_digest(certificate)
    else:
        digest = _BY_OID.get(algorithm.dotted_string)
    if digest in _BROKEN or (digest == "SHA-1" and not allow_sha1):
        return digest
    return None


def _pss_digest(certificate: x509.Certificate) -> str | None:
    """Return the digest that the scheme's parameters name (RFC 4055 §3.1: SHA-1 without any)."""
    read = asn1.Certificate.load(certificate.public_bytes(Encoding.DER))
    try:
        native = read["signature_algorithm"]["parameters"]["hash_algorithm"]["algorithm"].native
    except (ValueError, TypeError, KeyError):
        return None
    return _BY_NAME.get(str(native))


def signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool | None:
    """Return whether the key of `issuer` has signed `certificate`; None when it cannot be told.

    Names and everything else are not looked at.
    """
    try:
        return _verified(certificate, issuer.public_key())
    except InvalidSignature:
        return False
    except (UnsupportedAlgorithm, InternalError, ValueError, TypeError):
        return None


def _verified(certificate: x509.Certificate, key: CertificatePublicKeyTypes) -> bool | None:
    """Return whether the kind of `key` fits; `InvalidSignature` when it does in vain."""
    signature, signed = certificate.signature, certificate.tbs_certificate_bytes
    scheme = certificate.signature_algorithm_parameters
    digest = certificate.signature_hash_algorithm
    if isinstance(key, rsa.RSAPublicKey):
        if digest is None or not isinstance(scheme, padding.PKCS1v15 | padding.PSS):
            return None if scheme is None else False
        key.verify(signature, signed, scheme, digest)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(scheme, ec.ECDSA):
            return None if scheme is None else False
        key.verify(signature, signed, scheme)
    elif isinstance(key, dsa.DSAPublicKey):
        if digest is None or scheme is not None:
            return None if scheme is None else False
        key.verify(signature, signed, digest)
    elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        key.verify(signature, signed)
    else:
        return None
    return True


def signature_weight(issuer: x509.Certificate) -> int:
    """Return the cost of a check with the key of `issuer`; RSA of 2048 bits with 65537 is 1."""
    try:
        key = issuer.public_key()
    except (UnsupportedAlgorithm, ValueError):
        return 1
    if not isinstance(key, rsa.RSAPublicKey):
        return _OTHER_KEYS_WEIGHT
    exponent_bits = key.public_numbers().e.bit_length()
    work = key.key_size**2 * exponent_bits
    return max(1, work // (_UNIT_BITS**2 * _UNIT_EXPONENT_BITS))

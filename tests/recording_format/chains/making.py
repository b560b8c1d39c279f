"""Certificates made byte by byte: every version, digest, scheme, serial and extension.

`cryptography` makes no version 1, no MD5 or SHA-1 and no wrong signature; here the part that is
signed is written and signed by hand.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from asn1crypto import algos, core
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from recording_format import der, pem
from recording_format.certificates import RecordingCertificate
from tests.recording_format.authority import NOW, YEAR, name, rsa_key

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
Extension = tuple[x509.ExtensionType, bool]
"""An extension's value, and whether it is critical."""

SECOND = timedelta(seconds=1)
_DIGESTS: dict[str, hashes.HashAlgorithm] = {
    "md5": hashes.MD5(),
    "sha1": hashes.SHA1(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}


@cache
def ec_key(number: int = 0) -> ec.EllipticCurvePrivateKey:
    """Return the test run's EC key of that number."""
    assert number >= 0
    return ec.generate_private_key(ec.SECP256R1())


@cache
def ed_key() -> ed25519.Ed25519PrivateKey:
    """Return the test run's Edwards key."""
    return ed25519.Ed25519PrivateKey.generate()


@dataclass(frozen=True)
class Made:
    """A certificate and its private key."""

    der: bytes
    subject: bytes
    key: Key

    @property
    def pem(self) -> str:
        """The certificate as PEM."""
        return pem.encode("CERTIFICATE", self.der)

    def recording(self, called: str = "c.pem") -> RecordingCertificate:
        """The certificate as the package reads it."""
        return RecordingCertificate.load(self.pem, name=called)


def make(
    subject: str | x509.Name | bytes,
    key: Key | None = None,
    *,
    issuer: Made | None = None,
    issuer_name: bytes | None = None,
    serial: int = 10,
    version: int = 3,
    dates: tuple[datetime, datetime] = (NOW - YEAR, NOW + YEAR),
    digest: str = "sha256",
    pss: bool = False,
    outer_digest: str = "",
    forged_by: Key | None = None,
    ca: bool | None = None,
    path_length: int | None = None,
    may_sign: bool | None = None,
    key_ids: bool = False,
    extensions: Iterable[Extension] = (),
) -> Made:
    """Make a certificate; self-signed without an `issuer`.

    `ca` None leaves out the basic constraints, `may_sign` None the key usage. `forged_by` is the
    key that signs instead of the issuer's; `outer_digest` is told beside the signature, wrongly.
    """
    key = key or rsa_key(1)
    signer = forged_by or (issuer.key if issuer else key)
    own_name = _name(subject)
    given = list(extensions)
    if ca is not None:
        given.append((x509.BasicConstraints(ca, path_length), True))
    if may_sign is not None:
        given.append((_usage(may_sign), True))
    if key_ids:
        given += _identifiers(key, issuer.key if issuer else key)
    algorithm = _algorithm(signer, digest, pss)
    signed = der.value(
        der.SEQUENCE,
        b"" if version == 1 else der.value(0xA0, der.integer(version - 1)),
        der.integer(serial),
        algorithm,
        issuer_name or (issuer.subject if issuer else own_name),
        der.value(der.SEQUENCE, _time(dates[0]), _time(dates[1])),
        own_name,
        key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        _extensions(given) if given and version == 3 else b"",
    )
    outer = _algorithm(signer, outer_digest, pss) if outer_digest else algorithm
    signature = der.value(0x03, b"\0", _sign(signer, signed, digest, pss))
    return Made(der.value(der.SEQUENCE, signed, outer, signature), own_name, key)


def make_ca(subject: str | x509.Name | bytes, key: Key | None = None, **shape: object) -> Made:
    """Make a CA: the same as `make`, with CA:TRUE unless `shape` says otherwise."""
    return make(subject, key, **({"ca": True, "serial": 1} | shape))  # type: ignore[arg-type]  # each test knows its keywords


def _name(subject: str | x509.Name | bytes) -> bytes:
    if isinstance(subject, bytes):
        return subject
    return (name(subject) if isinstance(subject, str) else subject).public_bytes()


def _time(moment: datetime) -> bytes:
    kind = core.UTCTime if moment.year < 2050 else core.GeneralizedTime
    return bytes(kind(moment).dump())


def _algorithm(signer: Key, digest: str, pss: bool) -> bytes:
    if isinstance(signer, ed25519.Ed25519PrivateKey):
        return bytes(algos.SignedDigestAlgorithm({"algorithm": "ed25519"}).dump())
    if isinstance(signer, ec.EllipticCurvePrivateKey):
        return bytes(algos.SignedDigestAlgorithm({"algorithm": f"{digest}_ecdsa"}).dump())
    if not pss:
        algorithm = {"algorithm": f"{digest}_rsa", "parameters": core.Null()}
        return bytes(algos.SignedDigestAlgorithm(algorithm).dump())
    hashed = {"algorithm": digest}
    parameters = {
        "hash_algorithm": hashed,
        "mask_gen_algorithm": {"algorithm": "mgf1", "parameters": hashed},
        "salt_length": _DIGESTS[digest].digest_size,
    }
    scheme = {"algorithm": "rsassa_pss", "parameters": parameters}
    return bytes(algos.SignedDigestAlgorithm(scheme).dump())


def _sign(signer: Key, signed: bytes, digest: str, pss: bool) -> bytes:
    if isinstance(signer, ed25519.Ed25519PrivateKey):
        return signer.sign(signed)
    if digest not in _DIGESTS:
        return bytes(256)  # nothing here computes MD2
    algorithm = _DIGESTS[digest]
    if isinstance(signer, ec.EllipticCurvePrivateKey):
        return signer.sign(signed, ec.ECDSA(algorithm))
    if pss:
        scheme = padding.PSS(padding.MGF1(algorithm), algorithm.digest_size)
        return signer.sign(signed, scheme, algorithm)
    return signer.sign(signed, padding.PKCS1v15(), algorithm)


def _extensions(given: list[Extension]) -> bytes:
    members = [
        der.value(
            der.SEQUENCE,
            bytes(core.ObjectIdentifier(extension.oid.dotted_string).dump()),
            b"\x01\x01\xff" if critical else b"",
            der.value(der.OCTET_STRING, extension.public_bytes()),
        )
        for extension, critical in given
    ]
    return der.value(0xA3, der.value(der.SEQUENCE, *members))


def _usage(may_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=not may_sign,
        data_encipherment=False, key_agreement=False, key_cert_sign=may_sign, crl_sign=may_sign,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _identifiers(key: Key, issuer_key: Key) -> list[Extension]:
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    return [(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False), (issuer, False)]

"""Chains that OpenSSL would accept, and that must be refused: weak digests, and keys of no use."""

from __future__ import annotations

from collections.abc import Iterator

from recording_format.errors import (
    CertificateAlgorithmForbidden,
    CertificateKeyTooSmall,
    CertificateNotRsa,
    CertificateSignatureWrong,
)
from recording_format.trust import CertificatePolicy
from tests.recording_format.authority import rsa_key

from .good_rows import LEAF, ROOT, SELF_SIGNED, SHA1
from .making import ec_key, ed_key, make, make_ca
from .row import Row

OUR_RULE = "OpenSSL does not ask for this"


def weak_rows() -> Iterator[Row]:
    """Digests and keys that are not good enough."""
    forbidden = CertificateAlgorithmForbidden
    for digest, shown in (("md5", "MD5"), ("sha1", "SHA-1")):
        yield Row(
            f"leaf signed with {digest}",
            make("x", issuer=ROOT, digest=digest),
            [ROOT],
            forbidden,
            rf"CN=x \(serial 10\) is signed with {shown}, which",
            differs=OUR_RULE,
        )
        weak = make_ca("weak", rsa_key(2), issuer=ROOT, digest=digest, serial=8)
        yield Row(
            f"intermediate signed with {digest}",
            make("x", issuer=weak),
            [ROOT, weak],
            forbidden,
            rf"CN=weak \(serial 8\) is signed with {shown}",
            differs=OUR_RULE,
        )
        own = make("self", digest=digest)
        yield Row(
            f"self-signed with {digest}, trusted", own, [ROOT], forbidden, shown, policy=SELF_SIGNED
        )
        pss = make("x", issuer=ROOT, digest=digest, pss=True)
        yield Row(f"PSS with {digest}", pss, [ROOT], forbidden, shown, differs=OUR_RULE)
    curve = make_ca("ec", ec_key())
    yield Row(
        "ECDSA with SHA-1",
        make("x", issuer=curve, digest="sha1"),
        [curve],
        forbidden,
        "SHA-1",
        differs=OUR_RULE,
    )
    yield Row(
        "MD5 where SHA-1 is allowed",
        make("x", issuer=ROOT, digest="md5"),
        [ROOT],
        forbidden,
        "MD5",
        policy=SHA1,
        differs=OUR_RULE,
    )
    yield Row(
        "leaf signed with MD2", make("x", issuer=ROOT, digest="md2"), [ROOT], forbidden, "MD2"
    )
    forged = make("x", issuer=ROOT, digest="sha1", forged_by=rsa_key(5))
    yield Row("SHA-1, and a wrong signature", forged, [ROOT], CertificateSignatureWrong, "not made")
    yield Row(
        "1024 bits",
        make("x", rsa_key(1, 1024), issuer=ROOT),
        [ROOT],
        CertificateKeyTooSmall,
        r"valid until 2027-03-01 12:00:00 UTC, has a key of 1024 bits, fewer than 2048$",
        differs=OUR_RULE,
    )
    small = make("small", rsa_key(1, 1024))
    yield Row(
        "1024 bits, self-signed, trusted",
        small,
        [],
        CertificateKeyTooSmall,
        "1024 bits",
        policy=SELF_SIGNED,
    )
    yield Row(
        "a higher floor",
        LEAF,
        [ROOT],
        CertificateKeyTooSmall,
        "2048 bits, fewer than 3072",
        policy=CertificatePolicy(minimum_bits=3072),
        differs=OUR_RULE,
    )
    yield Row(
        "EC leaf",
        make("x", ec_key(), issuer=ROOT),
        [ROOT],
        CertificateNotRsa,
        r"CN=x \(serial 10, c\.pem\), valid until 2027-03-01 .* of the kind EC, not an RSA key",
        differs=OUR_RULE,
    )
    yield Row(
        "Ed25519 leaf",
        make("x", ed_key(), issuer=ROOT),
        [ROOT],
        CertificateNotRsa,
        "of the kind Ed25519",
        differs=OUR_RULE,
    )

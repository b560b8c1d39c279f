"""Chains that must be refused, each with the sentence that says why."""

from __future__ import annotations

from collections.abc import Iterator

from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier

from recording_format.errors import (
    CertificateExpired,
    CertificateIssuerNotCa,
    CertificateNotYetValid,
    CertificatePathTooLong,
    CertificateSignatureWrong,
    CertificateUntrusted,
)
from tests.recording_format.authority import NOW, YEAR, rsa_key

from .good_rows import (
    DEEP,
    EXPIRED,
    LEAF,
    ONE,
    ROOT,
    SELF_SIGNED,
    TWO,
    root_name,
    rooted,
)  # fmt: skip
from .making import SECOND, Made, ec_key, make, make_ca
from .row import Row

EARLY = (NOW + SECOND, NOW + YEAR)
LATE = (NOW - YEAR, NOW - SECOND)
OTHER = make_ca("other_ca", rsa_key(5))


def dates() -> Iterator[Row]:
    """Every certificate of the chain must be valid."""
    expired, early = CertificateExpired, CertificateNotYetValid
    yield Row(
        "expired",
        make("x", issuer=ROOT, dates=LATE),
        [ROOT],
        expired,
        r"^the certificate .*CN=x \(serial 10, c\.pem\) expired on 2026-03-01 11:59:59 UTC$",
    )
    yield Row(
        "not yet valid",
        make("x", issuer=ROOT, dates=EARLY),
        [ROOT],
        early,
        r"^the certificate .*CN=x .* is not valid before 2026-03-01 12:00:01 UTC$",
    )
    own = make("self", dates=LATE)
    yield Row("self-signed and expired, in the CA file", own, [own], expired, "expired on 2026")
    yield Row(
        "self-signed and expired, trusted",
        own,
        [ROOT],
        expired,
        "expired on 2026",
        policy=SELF_SIGNED,
    )
    old_root = make_ca("old_ca", rsa_key(2), serial=4, dates=LATE)
    yield Row(
        "expired root",
        *rooted(old_root),
        expired,
        r"CN=x .* cannot be used: .*CN=old_ca \(serial 4\) above it expired on 2026-03-01 11:59:59",
    )
    young_root = make_ca("young_ca", rsa_key(2), serial=5, dates=EARLY)
    yield Row(
        "root not yet valid",
        *rooted(young_root),
        early,
        r"CN=young_ca \(serial 5\) above it is not valid before 2026-03-01 12:00:01 UTC$",
    )
    for dated, kind, words in (
        (LATE, expired, "expired on"),
        (EARLY, early, "is not valid before"),
    ):
        between = make_ca("between", rsa_key(2), issuer=ROOT, serial=103, dates=dated)
        yield Row(
            f"intermediate {words}",
            make("x", issuer=between),
            [ROOT, between],
            kind,
            rf"between \(serial 103\) above it {words} 2026-03-01",
        )
    twin = make_ca("old_ca", rsa_key(2), serial=6, dates=EXPIRED)
    yield Row(
        "both twins of the root expired",
        make("x", issuer=twin),
        [twin, old_root],
        expired,
        "old_ca .* above it expired on",
    )
    yield Row(
        "expired, and unknown CA",
        make("x", issuer=OTHER, dates=LATE),
        [ROOT],
        expired,
        "expired on",
        differs="",
    )


def lacking() -> Iterator[Row]:
    """No chain leads to a root."""
    untrusted = CertificateUntrusted
    yield Row(
        "unknown CA",
        LEAF,
        [OTHER],
        untrusted,
        r"no chain leads from .*recorder \(serial 10\) to a root of the CA file, which lacks its"
        r" issuer .*CN=example_ca$",
    )
    own = make("self")
    yield Row("self-signed, unknown", own, [ROOT], untrusted, "self-signed and not in the CA file$")
    yield Row(
        "self-signed of a CA's name", make("example_ca"), [ROOT], untrusted, "self-signed and"
    )
    yield Row("no CA file", LEAF, [], untrusted, "there is no CA file$", differs="")
    yield Row("self-signed without a CA file", own, [], untrusted, "there is no CA file$")
    yield Row(
        "an intermediate alone",
        make("x", issuer=ONE),
        [ONE],
        untrusted,
        r"from .*intermediate 1 \(serial 101\) to .* issuer .*CN=example_ca$",
    )
    yield Row(
        "an intermediate lacks",
        DEEP,
        [TWO, ROOT],
        untrusted,
        r"from .*intermediate 2 \(serial 102\) to .* lacks its issuer .*intermediate 1$",
    )
    yield Row(
        "the root lacks", DEEP, [ONE, TWO], untrusted, r"intermediate 1 .* lacks .*example_ca$"
    )
    yield Row("the recording certificate alone", LEAF, [LEAF], untrusted, "lacks its issuer")
    first = make_ca("first", rsa_key(2), issuer_name=root_name("CN=second").public_bytes())
    second = make_ca(root_name("CN=second"), rsa_key(2), issuer=first)
    yield Row(
        "a loop of two", make("x", issuer=first), [first, second], untrusted, "no chain leads"
    )
    trusted = Row(
        "signed by an unknown CA, self-signed trusted",
        LEAF,
        [OTHER],
        untrusted,
        "no chain leads",
        policy=SELF_SIGNED,
    )
    yield trusted
    crossed = make_ca("intermediate 1", rsa_key(2), issuer=OTHER, serial=9)
    yield Row(
        "cross-signed by an unknown root",
        make("x", issuer=crossed),
        [crossed, ROOT],
        untrusted,
        "lacks its issuer .*other_ca$",
    )
    known = make_ca("ids", rsa_key(2), key_ids=True)
    stranger = make_ca("ids", rsa_key(3), key_ids=True)
    confused = make("x", issuer=stranger, forged_by=known.key, key_ids=True)
    yield Row(
        "identifiers of another key",
        confused,
        [known],
        untrusted,
        "does not mean .*CN=ids .* by the identifiers",
    )


def signatures() -> Iterator[Row]:
    """A signature that is not the issuer's."""
    wrong = CertificateSignatureWrong
    forged = make("broken", issuer=ROOT, forged_by=rsa_key(5))
    yield Row(
        "wrong signature",
        forged,
        [ROOT],
        wrong,
        r"CN=broken \(serial 10\) was not made by the key of .*CN=example_ca \(serial 1\) in",
    )
    fake = make_ca("example_ca", rsa_key(5), serial=3)
    yield Row(
        "signed by a fake CA of the same name",
        make("x", issuer=fake),
        [ROOT],
        wrong,
        r"CN=x .* was not made by the key of .*CN=example_ca \(serial 1\)",
    )
    other = make_ca("example_ca", rsa_key(6), serial=5)
    yield Row(
        "only the renewed root of another key", LEAF, [other], wrong, "was not made by the key"
    )
    broken = make_ca("example_ca", rsa_key(0), forged_by=rsa_key(5))
    yield Row(
        "only a root with a broken signature",
        LEAF,
        [broken],
        wrong,
        "example_ca .* names itself as its issuer, but its signature was not made by its own key",
    )
    between = make_ca("between", rsa_key(2), issuer=ROOT, forged_by=rsa_key(5))
    yield Row(
        "intermediate with a wrong signature",
        make("x", issuer=between),
        [between, ROOT],
        wrong,
        r"CN=between \(serial 1\) was not made by the key of .*example_ca",
    )
    own = make("self", forged_by=rsa_key(5))
    yield Row("broken self-signed in the CA file", own, [own], wrong, "not made by its own key")
    yield Row(
        "broken self-signed, trusted",
        own,
        [ROOT],
        CertificateUntrusted,
        "no chain leads",
        policy=SELF_SIGNED,
    )
    data = bytearray(LEAF.der)
    data[LEAF.der.index(b"recorder")] ^= 0x20
    changed = Made(bytes(data), LEAF.subject, LEAF.key)
    yield Row("changed after it was signed", changed, [ROOT], wrong, "CN=Recorder .* was not made")
    lying = make("x", issuer=ROOT, outer_digest="sha512")
    yield Row("another algorithm beside the signature", lying, [ROOT], wrong, "signature|made by")
    new = make_ca("rolling", rsa_key(3), issuer=make_ca("rolling", rsa_key(2)), serial=7)
    yield Row("a CA's new key alone", make("x", issuer=new), [new], wrong, "names itself")
    curve = make("x", issuer=ROOT, forged_by=ec_key())
    yield Row("signed by another kind of key", curve, [ROOT], wrong, "was not made by the key of")


def issuers() -> Iterator[Row]:
    """Issuers that may not issue."""
    not_ca, long = CertificateIssuerNotCa, CertificatePathTooLong
    shapes: dict[str, Made] = {
        "without basic constraints": make("no ca", rsa_key(2), issuer=ROOT, serial=53),
        "CA:FALSE": make("no ca", rsa_key(2), issuer=ROOT, serial=53, ca=False),
        "v1": make("no ca", rsa_key(2), issuer=ROOT, serial=53, version=1),
        "with key usage alone": make("no ca", rsa_key(2), issuer=ROOT, serial=53, may_sign=True),
    }
    for title, issuer in shapes.items():
        yield Row(
            f"intermediate {title}",
            make("x", issuer=issuer),
            [issuer, ROOT],
            not_ca,
            r"CN=no ca \(serial 53\) above it is not a CA$",
        )
    plain_root = make("plain", rsa_key(2))
    yield Row(
        "v3 root without basic constraints", *rooted(plain_root), not_ca, "plain .* not a CA$"
    )
    yield Row("root CA:FALSE", *rooted(make("false", rsa_key(2), ca=False)), not_ca, "not a CA$")
    may_not = make_ca("usage", rsa_key(2), issuer=ROOT, may_sign=False)
    yield Row(
        "intermediate may not sign",
        make("x", issuer=may_not),
        [may_not, ROOT],
        not_ca,
        r"CN=usage .* may not sign certificates \(key usage\)$",
    )
    mute = make_ca("usage", rsa_key(2), may_sign=False)
    yield Row("root may not sign", *rooted(mute), not_ca, "may not sign certificates")
    flat = make_ca("flat", rsa_key(2), issuer=ROOT, path_length=0, serial=104)
    below = make_ca("below", rsa_key(3), issuer=flat)
    yield Row(
        "path too long below an intermediate",
        make("x", issuer=below),
        [ROOT, flat, below],
        long,
        r"CN=flat \(serial 104\) above it allows fewer CAs below \(path length\)$",
    )
    flat_root = make_ca("flat", rsa_key(2), path_length=0)
    between = make_ca("between", rsa_key(3), issuer=flat_root)
    yield Row(
        "path too long below the root",
        make("x", issuer=between),
        [flat_root, between],
        long,
        r"flat .* \(path length\)$",
    )
    unknown = x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
    words = "has a critical extension that is not known here"
    strange = make("x", issuer=ROOT, extensions=[(unknown, True)])
    yield Row("unknown critical extension", strange, [ROOT], CertificateUntrusted, words)
    odd = make_ca("odd", rsa_key(2), issuer=ROOT, extensions=[(unknown, True)])
    yield Row(
        "unknown critical extension above",
        make("x", issuer=odd),
        [odd, ROOT],
        CertificateUntrusted,
        f"CN=odd .* {words}",
    )
    own = make("self", extensions=[(unknown, True)])
    yield Row(
        "unknown critical extension, self-signed trusted",
        own,
        [ROOT],
        CertificateUntrusted,
        words,
        policy=SELF_SIGNED,
    )
    yield from constraints()


def constraints() -> Iterator[Row]:
    """Name constraints that are broken, and an extension that stands there twice."""
    french = [x509.DirectoryName(root_name("C=FR"))]
    american = [x509.DirectoryName(root_name("C=US"))]
    permits = make_ca(
        "permits", rsa_key(2), extensions=[(x509.NameConstraints(french, None), True)]
    )
    yield Row("name that is not permitted", *rooted(permits), CertificateUntrusted, "not permit")
    excludes = x509.NameConstraints(None, american)
    root = make_ca("excludes", rsa_key(2), extensions=[(excludes, True)])
    yield Row("name that is excluded", *rooted(root), CertificateUntrusted, "excludes")
    twice = make_ca("twice", rsa_key(2), extensions=[(x509.BasicConstraints(True, None), True)])
    yield Row(
        "an extension twice", *rooted(twice), CertificateUntrusted, "CN=twice .*OpenSSL|twice"
    )


def bad_rows() -> list[Row]:
    """Return all of them."""
    parts = (dates, lacking, signatures, issuers)
    return [row for part in parts for row in part()]

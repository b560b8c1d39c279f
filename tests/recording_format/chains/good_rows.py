"""Chains that must be accepted: whatever honest administrators and old tools make."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from recording_format.trust import CertificatePolicy
from tests.recording_format.authority import NOW, YEAR, rsa_key

from .making import SECOND, Made, ec_key, ed_key, make, make_ca
from .row import Row

ROOT = make_ca("example_ca", rsa_key(0))
LEAF = make("recorder", issuer=ROOT)
ONE = make_ca("intermediate 1", rsa_key(2), issuer=ROOT, serial=101)
TWO = make_ca("intermediate 2", rsa_key(3), issuer=ONE, serial=102)
DEEP = make("deep", issuer=TWO)
EXPIRED = (NOW - 2 * YEAR, NOW - YEAR)
SHA1 = CertificatePolicy(allow_sha1=True)
SELF_SIGNED = CertificatePolicy(trust_self_signed=True)
OWN_RULE = "only OpenSSL takes the first issuer of a name and no other"
ATTRIBUTE = x509.NameAttribute


def chain_of(length: int) -> list[Made]:
    """Return a root and so many intermediates."""
    chain = [ROOT]
    for number in range(length):
        key = rsa_key(2 + number % 3)
        chain.append(make_ca(f"level {number}", key, issuer=chain[-1], serial=200 + number))
    return chain


def plain() -> Iterator[Row]:
    """Chains as the documents describe them."""
    yield Row("signed by a private CA", LEAF, [ROOT])
    own = make("self", serial=77)
    yield Row("self-signed, in the CA file", own, [own])
    own_ca = make_ca("self ca", rsa_key(1), serial=78)
    yield Row("self-signed CA, in the CA file", own_ca, [ROOT, own_ca])
    yield Row("two intermediates", DEEP, [TWO, ONE, ROOT])
    yield Row("two intermediates, root first", DEEP, [ROOT, ONE, TWO])
    yield Row("two intermediates, mixed", DEEP, [ONE, ROOT, TWO])
    twelve = chain_of(12)
    yield Row("12 intermediates", make("far", issuer=twelve[-1]), twelve)
    forty = chain_of(40)
    yield Row("40 intermediates", make("farther", issuer=forty[-1]), forty[::-1])
    yield Row("root of key usage", *rooted(make_ca("ca", rsa_key(2), may_sign=True)))
    yield Row("path length as long as needed", *rooted(make_ca("ca", rsa_key(2), path_length=0)))
    yield Row("the first second", LEAF, [ROOT], now=NOW - YEAR)
    until = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    yield Row("without an end", make("x", issuer=ROOT, dates=(NOW, until)), [ROOT])
    large = make("x", rsa_key(1, 3072), issuer=ROOT)
    yield Row("a larger key", large, [ROOT])


def rooted(root: Made) -> tuple[Made, list[Made]]:
    """Return a leaf of that root, and the CA file."""
    return make("x", issuer=root), [root]


def versions() -> Iterator[Row]:
    """Version 1, and certificates that are not for TLS."""
    old_root = make("v1 root", rsa_key(2), version=1)
    yield Row("v1 leaf", make("x", issuer=ROOT, version=1), [ROOT])
    yield Row("v1 root", *rooted(old_root))
    yield Row("v1 leaf and root", make("x", issuer=old_root, version=1), [old_root])
    old = make("v1", version=1)
    yield Row("v1 self-signed", old, [old])
    under = make_ca("ca", rsa_key(3), issuer=old_root)
    yield Row("v3 CA under a v1 root", make("x", issuer=under), [under, old_root])
    usage_only = make("usage", rsa_key(2), may_sign=True)
    yield Row("root with key usage alone", *rooted(usage_only))
    yield Row("leaf may only sign", make("x", issuer=ROOT, may_sign=False), [ROOT])
    yield Row("leaf is a CA", make_ca("x", rsa_key(1), issuer=ROOT), [ROOT])
    for purpose in ("SERVER_AUTH", "EMAIL_PROTECTION", "TIME_STAMPING"):
        only = x509.ExtendedKeyUsage([getattr(ExtendedKeyUsageOID, purpose)])
        leaf = make("x", issuer=ROOT, extensions=[(only, True)])
        yield Row(f"leaf is for {purpose}", leaf, [ROOT])
    unknown = x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
    strange = make("x", issuer=ROOT, extensions=[(unknown, False)])
    yield Row("unknown extension that is not critical", strange, [ROOT])
    for serial in (0, -5, 2**159 - 1, 2**167):
        yield Row(f"serial {serial}", make("x", issuer=ROOT, serial=serial), [ROOT])
    zero = make("zero", serial=0)
    yield Row("self-signed with serial 0", zero, [zero])


def algorithms() -> Iterator[Row]:
    """Digests, schemes and keys above the recording certificate."""
    for digest in ("sha384", "sha512"):
        yield Row(f"signed with {digest}", make("x", issuer=ROOT, digest=digest), [ROOT])
    pss_root = make_ca("pss", rsa_key(2), pss=True)
    yield Row("PSS signatures", make("x", issuer=pss_root, pss=True), [pss_root])
    yield Row("PSS with SHA-512", make("x", issuer=ROOT, pss=True, digest="sha512"), [ROOT])
    ec_root = make_ca("ec", ec_key())
    yield Row("EC root above an RSA leaf", *rooted(ec_root))
    ec_between = make_ca("ec between", ec_key(1), issuer=ROOT)
    yield Row("EC CA between", make("x", issuer=ec_between), [ROOT, ec_between])
    yield Row("Ed25519 root", *rooted(make_ca("ed", ed_key())))
    yield Row("CA of 1024 bits", *rooted(make_ca("small", rsa_key(2, 1024))))
    for digest in ("md5", "sha1"):
        weak = make_ca("weak", rsa_key(2), digest=digest)
        yield Row(f"a root's own signature with {digest}", *rooted(weak))
        own = make("weak self", digest=digest)
        yield Row(f"self-signed with {digest}, in the CA file", own, [own])
    unreadable = make_ca("weak", rsa_key(2), digest="md2")
    yield Row("a root's own signature with MD2", *rooted(unreadable),
              differs="OpenSSL cannot compute it, and nobody relies on it")  # fmt: skip
    sha1 = make("x", issuer=ROOT, digest="sha1")
    yield Row("leaf signed with SHA-1, allowed", sha1, [ROOT], policy=SHA1)
    old = make_ca("old", rsa_key(2), issuer=ROOT, digest="sha1")
    yield Row("CA signed with SHA-1, allowed", make("x", issuer=old), [old, ROOT], policy=SHA1)
    for digest in ("md5", "sha1"):
        weak = make_ca("intermediate 1", rsa_key(2), issuer=ROOT, serial=99, digest=digest)
        yield Row(f"a good twin of the CA signed with {digest}", DEEP, [weak, ONE, TWO, ROOT])


def names() -> Iterator[Row]:
    """Names that are equal although their bytes are not, and names that are odd."""
    yield Row("empty subject", make(x509.Name([]), issuer=ROOT), [ROOT])
    printable = x509.Name([ATTRIBUTE(NameOID.COMMON_NAME, "Example CA", _type=kind("Printable"))])
    spaced = x509.Name([ATTRIBUTE(NameOID.COMMON_NAME, " eXample   ca ", _type=kind("UTF8"))])
    wide = x509.Name([ATTRIBUTE(NameOID.COMMON_NAME, "Example CA", _type=kind("BMP"))])
    root = make_ca(printable, rsa_key(2))
    for title, other in (("case and spaces", spaced), ("kind of string", wide)):
        leaf = make("x", issuer=root, issuer_name=other.public_bytes())
        yield Row(f"issuer's name differs in {title}", leaf, [root])
    pair = [ATTRIBUTE(NameOID.COMMON_NAME, "Zwei"), ATTRIBUTE(NameOID.USER_ID, "1")]
    multiple = x509.Name([x509.RelativeDistinguishedName(pair)])
    yield Row("name of two values in one", *rooted(make_ca(multiple, rsa_key(2))))
    inside = x509.NameConstraints([x509.DirectoryName(root_name("C=US"))], None)
    permits = make_ca("permits", rsa_key(2), extensions=[(inside, True)])
    yield Row("name constraints that are kept", *rooted(permits))
    key_ids = make_ca("ids", rsa_key(2), key_ids=True)
    yield Row("key identifiers", make("x", issuer=key_ids, key_ids=True), [key_ids])


def kind(name: str) -> x509.name._ASN1Type:
    """Return the kind of string of that name."""
    return getattr(x509.name._ASN1Type, f"{name}String")  # type: ignore[no-any-return]  # enum by name


def root_name(text: str) -> x509.Name:
    """Return a name of one attribute."""
    return x509.Name.from_rfc4514_string(text)


def beside() -> Iterator[Row]:
    """Certificates in the bundle that must not mislead."""
    fake = make_ca("example_ca", rsa_key(5), serial=3)
    yield Row("a fake root of the same name behind", LEAF, [ROOT, fake])
    yield Row("a fake root of the same name before", LEAF, [fake, ROOT], differs=OWN_RULE)
    fakes = [make_ca("example_ca", rsa_key(5), serial=300 + n) for n in range(60)]
    yield Row("60 fake roots of the same name", LEAF, [*fakes, ROOT], differs=OWN_RULE)
    broken = make_ca("example_ca", rsa_key(0), forged_by=rsa_key(5))
    yield Row("a broken twin of the root before", LEAF, [broken, ROOT], differs=OWN_RULE)
    yield Row("a broken twin of the root behind", LEAF, [ROOT, broken])
    no_ca = make("example_ca", rsa_key(0), ca=False)
    yield Row("a twin of the root that is no CA", LEAF, [no_ca, ROOT], differs=OWN_RULE)
    old = make_ca("example_ca", rsa_key(0), serial=4, dates=EXPIRED)
    yield Row("renewed root of the same key", LEAF, [old, ROOT])
    yield Row("renewed root of the same key, new first", LEAF, [ROOT, old])
    other = make_ca("example_ca", rsa_key(6), serial=5)
    after = make("after", issuer=other)
    yield Row("renewed root of another key, old leaf", LEAF, [other, ROOT], differs=OWN_RULE)
    yield Row("renewed root of another key, new leaf", after, [ROOT, other], differs=OWN_RULE)
    new = make_ca("example_ca", rsa_key(6), issuer=ROOT, serial=6, key_ids=True)
    rolled = make("rolled", issuer=new, key_ids=True)
    with_ids = make_ca("example_ca", rsa_key(0), key_ids=True)
    yield Row("a CA's new key under its old one", rolled, [with_ids, new])
    renewed = make_ca("intermediate 1", rsa_key(6), issuer=ROOT, serial=55)
    yield Row("a renewed intermediate before the old one", DEEP, [ROOT, renewed, ONE, TWO],
              differs=OWN_RULE)  # fmt: skip
    late = make_ca("intermediate 1", rsa_key(2), issuer=ROOT, serial=56, dates=EXPIRED)
    yield Row("an expired twin of the intermediate", DEEP, [late, ONE, TWO, ROOT])
    dead = make_ca("dead", rsa_key(6), dates=EXPIRED)
    yield Row("an expired root beside", LEAF, [dead, ROOT])
    yield Row("other recording certificates beside", LEAF, [DEEP, make("y", issuer=ROOT), ROOT])
    yield Row("the recording certificate beside", LEAF, [LEAF, ROOT])
    yield Row("everything twice", DEEP, [TWO, ONE, ROOT, ROOT, ONE, TWO])


def crossed() -> Iterator[Row]:
    """CAs that two others have signed, and loops beside a way out."""
    other = make_ca("other_ca", rsa_key(5))
    second = make_ca("intermediate 1", rsa_key(2), issuer=other, serial=9)
    yield Row("cross-signed, the first root lacks", DEEP, [ONE, second, TWO, other],
              differs=OWN_RULE)  # fmt: skip
    yield Row("cross-signed, the second root lacks", DEEP, [ONE, second, TWO, ROOT])
    yield Row("cross-signed, both roots", DEEP, [second, ONE, TWO, other, ROOT])
    old = make_ca("example_ca", rsa_key(0), dates=EXPIRED)
    bridge = make_ca("example_ca", rsa_key(0), issuer=other, serial=8)
    yield Row("an expired root that another has signed", LEAF, [old, bridge, other])
    back = make_ca("intermediate 1", rsa_key(2), issuer=TWO, serial=120)
    yield Row("a loop beside the way out", DEEP, [back, TWO, ONE, ROOT], differs=OWN_RULE)


def texts() -> Iterator[Row]:
    """CA files of every style."""
    usual = "".join(made.pem for made in (TWO, ROOT, ONE))
    styles = {
        "CRLF": usual.replace("\n", "\r\n").encode(),
        "text between": usual.replace("-----BEGIN", "subject=/CN=x\ni: y\n\n-----BEGIN").encode(),
        "text around": ("# Ω comment\n" + usual + "\nlast words").encode(),
        "text in Latin-1": b"# M\xfcnchen\n" + usual.encode(),
        "spaces at the ends of lines": usual.replace("\n", "  \n").encode(),
        "a byte order mark": b"\xef\xbb\xbf" + usual.encode(),
        "no line end at its end": usual.strip().encode(),
    }
    for style, file in styles.items():
        yield Row(f"CA file with {style}", DEEP, [], file=file)
    wide = usual.encode("utf-16")
    yield Row("CA file in UTF-16", DEEP, [], file=wide, differs="OpenSSL does not read UTF-16")


def policies() -> Iterator[Row]:
    """What a policy allows beyond the CA file."""
    untrusted = "the policy trusts what is in no CA file"
    own = make("self")
    yield Row("self-signed, trusted", own, [ROOT], policy=SELF_SIGNED, differs=untrusted)
    yield Row("self-signed, trusted without a CA file", own, [], policy=SELF_SIGNED,
              differs=untrusted)  # fmt: skip
    old = make("self", version=1)
    yield Row("v1 self-signed, trusted", old, [ROOT], policy=SELF_SIGNED, differs=untrusted)
    namesake = make("example_ca")
    yield Row("self-signed of a CA's name, trusted", namesake, [ROOT], policy=SELF_SIGNED,
              differs=untrusted)  # fmt: skip
    weak = make("weak", digest="sha1")
    both = CertificatePolicy(trust_self_signed=True, allow_sha1=True)
    yield Row("self-signed with SHA-1, trusted", weak, [ROOT], policy=both, differs=untrusted)
    yield Row("signed by a CA, self-signed trusted", LEAF, [ROOT], policy=SELF_SIGNED)
    small = make("x", rsa_key(1, 1024), issuer=ROOT)
    yield Row("1024 bits, allowed", small, [ROOT], policy=CertificatePolicy(minimum_bits=1024))
    early = make("x", issuer=ROOT, dates=(NOW - SECOND, NOW + SECOND))
    yield Row("valid for two seconds", early, [ROOT])


def good_rows() -> list[Row]:
    """Return all of them."""
    parts = (plain, versions, algorithms, names, beside, crossed, texts, policies)
    return [row for part in parts for row in part()]

"""Distinguished names in the certificate's own order, compared with what OpenSSL prints."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID, ObjectIdentifier
from hypothesis import given, settings
from hypothesis import strategies as st

from recording_format import der
from recording_format.distinguished_name import _NAMES, readable_name
from tests.recording_format.authority import issue, rsa_key
from tests.recording_format.openssl import openssl

# RFC 4514's escapes, but in the certificate's order and with characters instead of UTF-8 bytes.
NAME_OPTIONS = "rfc2253,-dn_rev,-esc_msb,utf8"


def one(value: str, oid: ObjectIdentifier = NameOID.COMMON_NAME) -> x509.Name:
    """Return a name of one attribute."""
    return x509.Name([x509.NameAttribute(oid, value)])


def attribute(oid: bytes, value: bytes) -> bytes:
    """Return the DER of a name of one attribute with any OID contents and any value."""
    pair = der.value(der.SEQUENCE, der.value(der.OBJECT_IDENTIFIER, oid), value)
    return der.value(der.SEQUENCE, der.value(der.SET, pair))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("example_ca", "CN=example_ca"),
        ("Monster & Sons, Inc.", "CN=Monster & Sons\\, Inc."),
        ('a"b+c,d;e<f>g\\h=i', 'CN=a\\"b\\+c\\,d\\;e\\<f\\>g\\\\h=i'),
        (" both ends ", "CN=\\ both ends\\ "),
        ("#1", "CN=\\#1"),
        ("1#", "CN=1#"),
        (" ", "CN=\\ "),
        ("Größe 中 😀", "CN=Größe 中 😀"),
        ("a\x00b\nc\x7f", "CN=a\\00b\\0Ac\\7F"),
        ("a\u0085b", "CN=a\\C2\\85b"),
    ],
)
def test_special_characters_are_escaped(value: str, text: str) -> None:
    """Separators, edges and control characters are escaped; letters of all scripts stay."""
    assert readable_name(one(value).public_bytes()) == text


@pytest.mark.peer
@pytest.mark.parametrize(
    "value",
    [
        "Monster & Sons, Inc.",
        'a"b+c,d;e<f>g\\h=i',
        " both ends ",
        "#1",
        "Größe 中",
        "a\nb\tc",
        "  ",
    ],
)
def test_escapes_are_those_of_openssl(tmp_path: Path, value: str) -> None:
    """OpenSSL prints the same text for the same name."""
    name = x509.Name([*one("US", NameOID.COUNTRY_NAME), *one(value, NameOID.ORGANIZATION_NAME)])
    (tmp_path / "c.pem").write_text(issue(name, rsa_key(1)).pem)
    line = f"x509 -in c.pem -noout -issuer -nameopt {NAME_OPTIONS}"
    printed = openssl(*line.split(), folder=tmp_path).stdout.removesuffix("\n")
    assert f"issuer={readable_name(name.public_bytes())}" == printed


@pytest.mark.peer
def test_attribute_names_are_those_of_openssl(tmp_path: Path) -> None:
    """Every attribute that has a name here has the same one in OpenSSL."""
    attributes = [
        x509.NameAttribute(
            ObjectIdentifier(oid),
            "US" if known in ("C", "jurisdictionC") else f"value of {known}",
            _validate=False,
        )
        for oid, known in _NAMES.items()
    ]
    name = x509.Name(attributes)
    (tmp_path / "c.pem").write_text(issue(name, rsa_key(1)).pem)
    line = f"x509 -in c.pem -noout -subject -nameopt {NAME_OPTIONS}"
    printed = openssl(*line.split(), folder=tmp_path).stdout.removesuffix("\n")
    assert printed == f"subject={readable_name(name.public_bytes())}"


@pytest.mark.peer
def test_multi_valued_names_are_those_of_openssl(tmp_path: Path) -> None:
    """The members of a multi-valued RDN stand in the certificate's order, with a plus between."""
    rdn = x509.RelativeDistinguishedName(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example"),
            x509.NameAttribute(NameOID.COMMON_NAME, "a+b"),
            x509.NameAttribute(NameOID.USER_ID, "u1"),
        ]
    )
    country = x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.COUNTRY_NAME, "US")])
    name = x509.Name([country, rdn])
    (tmp_path / "c.pem").write_text(issue(name, rsa_key(1)).pem)
    line = f"x509 -in c.pem -noout -subject -nameopt {NAME_OPTIONS}"
    printed = openssl(*line.split(), folder=tmp_path).stdout.removesuffix("\n")
    assert printed == f"subject={readable_name(name.public_bytes())}"
    assert printed.count("+") == 3


def test_unknown_attributes_are_hex() -> None:
    """An unknown attribute is its OID and the value's DER in hex (RFC 4514 §2.4)."""
    oid = ObjectIdentifier("1.2.3.4.5678")
    assert readable_name(one("hi", oid).public_bytes()) == "1.2.3.4.5678=#0C026869"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"\x13\x02US", "CN=US"),
        (b"\x14\x03G\xf6d", "CN=Göd"),
        (b"\x1e\x04\x00A\x4e\x2d", "CN=A中"),
        (b"\x1c\x04\x00\x01\xf6\x00", "CN=😀"),
        (b"\x16\x03a@b", "CN=a@b"),
        (b"\x0c\x01\xff", "CN=#0C01FF"),
        (b"\x1e\x03\x00A\x00", "CN=#1E03004100"),
        (b"\x02\x01\x05", "CN=#020105"),
        (b"\x0c\x00", "CN="),
    ],
)
def test_every_string_type_is_read(value: bytes, text: str) -> None:
    """Each ASN.1 string type has its own characters; what is no text is hex."""
    assert readable_name(attribute(b"\x55\x04\x03", value)) == text


def test_string_types_of_the_same_text_read_the_same() -> None:
    """The encoding of a value does not show in the name."""
    for kind in (_ASN1Type.UTF8String, _ASN1Type.PrintableString, _ASN1Type.BMPString):
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "abc", kind)])
        assert readable_name(name.public_bytes()) == "CN=abc"


def test_empty_name_is_empty() -> None:
    """A certificate without a subject has an empty one."""
    assert readable_name(x509.Name([]).public_bytes()) == ""


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x30",
        b"\x31\x00",
        b"\x30\x00\x00",
        b"\x30\x02\x05\x00\x00",
        b"\x30\x04\x31\x02\x30\x00",
    ],
)
def test_what_is_no_name_is_an_error(data: bytes) -> None:
    """Bytes that are not a Name are a ValueError."""
    with pytest.raises(ValueError, match=r"\w"):
        readable_name(data)


@given(st.binary(max_size=60), st.binary(max_size=20))
@settings(max_examples=150, deadline=None)
def test_any_attribute_is_printable_or_an_error(value: bytes, oid: bytes) -> None:
    """Whatever stands in a name, its text has no control characters, or there is a ValueError."""
    try:
        text = readable_name(attribute(oid, value))
    except ValueError:
        return
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in text)


@given(st.text(max_size=30))
@settings(max_examples=100, deadline=None)
def test_escaping_loses_nothing(value: str) -> None:
    """Two different values never read the same: the text can be turned back."""
    text = readable_name(
        attribute(b"\x55\x04\x03", der.value(0x0C, value.encode("utf-8", "replace")))
    )
    raw = bytearray()
    rest = text.removeprefix("CN=")
    while rest:
        if rest[0] == "\\" and rest[1] in "0123456789ABCDEF":
            raw += bytes.fromhex(rest[1:3])
            rest = rest[3:]
        else:
            rest = rest.removeprefix("\\") or rest
            raw += rest[0].encode()
            rest = rest[1:]
    assert raw.decode() == value.encode("utf-8", "replace").decode()

"""Recording certificates: what is read from them, their aliases, and every way to be ruined."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from recording_format import pem
from recording_format.certificates import (
    MAX_CERTIFICATE_TEXT,
    RecordingCertificate,
    certificate_alias,
    distinct_certificates,
)
from recording_format.errors import (
    CertificateError,
    CertificateNotRsa,
    CertificateUnreadable,
)
from tests.recording_format.authority import (
    NOW,
    YEAR,
    issue,
    key_pem,
    name,
    recorder,
    root,
    rsa_key,
)
from tests.recording_format.chains.making import make
from tests.recording_format.openssl import openssl

GOOD = recorder(1).pem


def test_reads_what_an_administrator_sees() -> None:
    """Subject, issuer, serial, dates, key and PEM are those of the certificate."""
    certificate = RecordingCertificate.load(GOOD, name="certificates-1")
    assert certificate.subject == "C=US,ST=CA,L=Example,O=Example,CN=recorder 1"
    assert certificate.issuer == "C=US,ST=CA,L=Example,O=Example,CN=example_ca"
    assert certificate.issuer_der == root().certificate.subject.public_bytes()
    assert certificate.serial == 10
    assert certificate.not_before == NOW - YEAR
    assert certificate.not_after == NOW + YEAR
    assert certificate.not_after.tzinfo is UTC
    assert certificate.key_bits == 2048
    assert certificate.public_key.public_numbers() == rsa_key(1).public_key().public_numbers()
    assert certificate.pem == GOOD
    digest = recorder(1).certificate.fingerprint(hashes.SHA256())
    assert certificate.fingerprint == digest.hex()
    assert certificate.described == (
        "the certificate C=US,ST=CA,L=Example,O=Example,CN=recorder 1 (serial 10, certificates-1)"
    )


def test_alias_is_the_known_one() -> None:
    """The alias has tenant, DBID, issuer in the certificate's own order, and the decimal serial."""
    certificate = recorder(1).recording()
    assert certificate_alias(certificate, "Environment", 1) == (
        "rcs_Environment:1:C=US,ST=CA,L=Example,O=Example,CN=example_ca:10"
    )
    large = issue("x", rsa_key(1), issuer=root(), serial=2**158 + 3).recording()
    assert certificate_alias(large, "Ten ant", 7).endswith(f":{2**158 + 3}")


def test_equality_is_by_content() -> None:
    """The same certificate under two names is one; another is another."""
    first, again = recorder(1).recording("a"), recorder(1).recording("b")
    assert first == again
    assert len({first, again}) == 1
    assert first != recorder(2).recording("a")
    assert distinct_certificates([first, recorder(2).recording(), again]) == (
        first,
        recorder(2).recording(),
    )


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("\n", "\r\n"),
        "Certificate:\n    Data:\n        Version: 3\n" + GOOD + "\nand more text\n",
        "\n\n" + GOOD.strip(),
        "".join(f"  {line}\n" for line in GOOD.splitlines()),
        GOOD.replace("BEGIN CERTIFICATE", "BEGIN X509 CERTIFICATE").replace(
            "END CERTIFICATE", "END X509 CERTIFICATE"
        ),
        key_pem(rsa_key(1)).decode() + GOOD,
    ],
    ids=["crlf", "text around", "no last line end", "indented", "old label", "with its key"],
)
def test_reads_every_honest_text(text: str) -> None:
    """CRLF, text around the block, indentation and a key beside it do not ruin a certificate."""
    assert RecordingCertificate.load(text, name="x") == recorder(1).recording()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "holds no certificate in PEM"),
        ("hello", "holds no certificate in PEM"),
        (GOOD.replace("\n", ""), "line ends of its PEM text are lost"),
        (GOOD.replace("\n", " "), "line ends of its PEM text are lost"),
        (GOOD.replace("\n", "\\n"), "line ends of its PEM text are lost"),
        (GOOD.replace("\n", "\r"), "line ends of its PEM text are lost"),
        (GOOD[:-30], "has no END CERTIFICATE"),
        (GOOD + GOOD, "holds 2 certificates instead of one"),
        (GOOD[:300] + "!" + GOOD[301:], "is not base64"),
        (GOOD[:300] + GOOD[301:], "is not whole base64"),
        (GOOD.replace(GOOD[28:92], ""), "not an X.509 certificate, or its text is ruined"),
        (pem.encode("CERTIFICATE", b"0" * 99), "not an X.509 certificate"),
        (pem.encode("CERTIFICATE", recorder(1).recording().der + b"\0"), "not an X.509"),
        (key_pem(rsa_key(1)).decode(), "holds a PRIVATE KEY, not a certificate"),
        ("x" * (MAX_CERTIFICATE_TEXT + 1), "more than a certificate may have"),
        ("Ω" * 1000, "holds no certificate in PEM"),
        ("\0" * 1000, "holds no certificate in PEM"),
    ],
)
def test_ruined_texts_are_reported_by_name(text: str, fault: str) -> None:
    """Each way of being no certificate has a sentence that begins with its name."""
    with pytest.raises(CertificateUnreadable, match=fault) as caught:
        RecordingCertificate.load(text, name="certificates-7")
    assert str(caught.value).startswith("certificates-7 ")
    assert "\n" not in str(caught.value)
    assert caught.value.reason == "unreadable"


def self_signed(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> str:
    """Return a self-signed certificate of a key that is not RSA."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(name("ec"))
        .issuer_name(name("ec"))
        .public_key(key.public_key())
        .serial_number(5)
        .not_valid_before(NOW)
        .not_valid_after(NOW + YEAR)
    )
    digest = hashes.SHA256() if isinstance(key, ec.EllipticCurvePrivateKey) else None
    return builder.sign(key, digest).public_bytes(Encoding.PEM).decode()


def test_other_keys_are_refused() -> None:
    """An elliptic-curve or Edwards key cannot receive a session key; the refusal says so."""
    for key in (ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()):
        sentence = r"\(serial 5, ec\.pem\), valid until .* of the kind E.*, not an RSA key that"
        with pytest.raises(CertificateNotRsa, match=sentence) as got:
            RecordingCertificate.load(self_signed(key), name="ec.pem")
        assert got.value.reason == "not-rsa"


@dataclass(frozen=True)
class Numbers:
    """A public key that nobody has the private key of."""

    modulus: int
    exponent: int

    def public_key(self) -> rsa.RSAPublicKey:
        return rsa.RSAPublicNumbers(self.exponent, self.modulus).public_key()


@pytest.mark.parametrize(
    ("modulus", "exponent"),
    [(2**2048 - 2, 65537), (2**16400 - 1, 65537), (2**4096 - 1, 2**80 + 1)],
    ids=["even", "too large", "exponent too large"],
)
def test_numbers_that_are_no_key_are_refused(modulus: int, exponent: int) -> None:
    """Numbers with which nothing can be encrypted are found when the text is read."""
    key = cast("rsa.RSAPrivateKey", Numbers(modulus, exponent))
    made = make("x", key, forged_by=rsa_key(1))
    with pytest.raises(CertificateNotRsa, match=r"bits that cannot encrypt a session key$"):
        made.recording()


@pytest.mark.peer
def test_pss_key_is_refused(tmp_path: Path) -> None:
    """An RSA key that may only sign (RSASSA-PSS) is not an RSA key that encrypts."""
    line = "req -x509 -newkey rsa-pss -nodes -keyout k -out c -subj /CN=p"
    openssl(*line.split(), folder=tmp_path)
    with pytest.raises(
        CertificateNotRsa, match="of the kind RSASSA-PSS, not an RSA key that encrypts"
    ):
        RecordingCertificate.load((tmp_path / "c").read_text(), name="c")


@pytest.mark.peer
@pytest.mark.parametrize(
    "serial", ["0", "-5", "127", "128", "0x00ffffffffffffffffffffffffffffffff"]
)
def test_any_serial_is_the_one_openssl_reads(tmp_path: Path, serial: str) -> None:
    """Zero, negative and large serials are read as OpenSSL wrote them, without a warning."""
    line = f"req -x509 -newkey rsa:2048 -nodes -keyout k -out c -subj /CN=s -set_serial {serial}"
    openssl(*line.split(), folder=tmp_path)
    certificate = RecordingCertificate.load((tmp_path / "c").read_text(), name="c")
    assert certificate.serial == int(serial, 0)


@pytest.mark.peer
def test_version_1_and_small_keys_are_readable(tmp_path: Path) -> None:
    """A v1 certificate and a key below the floor can be read; the floor is the trust store's."""
    for line in (
        "req -newkey rsa:1024 -nodes -keyout k -out r -subj /C=US/CN=v1",
        "x509 -req -in r -signkey k -out c -days 10",
    ):
        openssl(*line.split(), folder=tmp_path)
    certificate = RecordingCertificate.load((tmp_path / "c").read_text(), name="c")
    assert certificate.key_bits == 1024
    assert certificate.subject == "C=US,CN=v1"


def test_an_unknown_version_is_unreadable() -> None:
    """A certificate of version 37 is reported like any other that cannot be read."""
    der = recorder(1).recording().der
    version_3 = bytes.fromhex("a003020102")
    assert der.count(version_3) == 1
    with pytest.raises(CertificateUnreadable, match=r"^v37 is not an X\.509 certificate"):
        RecordingCertificate.from_der(der.replace(version_3, version_3[:-1] + b"\x24"), name="v37")


@given(data=st.binary(max_size=400))
@settings(max_examples=50, deadline=None)
def test_junk_is_unreadable(data: bytes) -> None:
    """Any bytes in a certificate's clothes are reported, never a crash."""
    with pytest.raises(CertificateUnreadable, match=r"^junk "):
        RecordingCertificate.load(pem.encode("CERTIFICATE", data), name="junk")


def test_changed_certificates_never_crash() -> None:
    """A certificate with any byte changed is read or reported, and nothing else."""
    der = recorder(1).recording().der
    chance = random.Random(20260301)
    outcomes = []
    for at in range(len(der)):
        data = bytearray(der)
        data[at] ^= chance.randrange(1, 256)
        try:
            certificate = RecordingCertificate.from_der(bytes(data), name="changed")
        except CertificateError as error:
            outcomes.append(str(error))
        else:
            assert isinstance(certificate.not_after, datetime)
            outcomes.append(certificate_alias(certificate, "T", 1))
    assert any(text.startswith("rcs_T:1:") for text in outcomes)
    assert any(text.startswith("changed is not") for text in outcomes)
    assert not any("\n" in text for text in outcomes)

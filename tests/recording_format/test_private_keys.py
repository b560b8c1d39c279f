"""Private keys in their three forms, and a sentence for everything that can be wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from recording_format import pem
from recording_format.errors import PrivateKeyError
from recording_format.private_keys import MAX_KEY_TEXT, key_matches, load_private_key
from tests.recording_format.authority import key_pem, recorder, rsa_key
from tests.recording_format.openssl import openssl

KEY = rsa_key(1)
PLAIN = key_pem(KEY)
PASSWORD = "correct horse Ä"
ENCRYPTED = key_pem(KEY, PrivateFormat.PKCS8, PASSWORD)


def numbers(text: bytes, password: str | None = None) -> object:
    """Return what identifies the key that is read."""
    return load_private_key(text, password, name="key.pem").private_numbers()


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("password", [None, PASSWORD])
@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
def test_all_forms_are_read(form: PrivateFormat, password: str | None, ends: bytes) -> None:
    """PKCS#8 and OpenSSL's RSA form, encrypted or not, with LF or CRLF, are the same key."""
    text = key_pem(KEY, form, password).replace(b"\n", ends)
    assert numbers(text, password) == KEY.private_numbers()


def test_text_and_certificate_around_it_do_not_matter() -> None:
    """A file that also holds the certificate and some words gives its key."""
    text = b"Bag Attributes\n  name: x\n" + recorder(1).pem.encode() + PLAIN + b"the end\n"
    assert numbers(text) == KEY.private_numbers()


def test_an_empty_password_is_none() -> None:
    """A form's empty password field means that there is none."""
    assert numbers(PLAIN, "") == KEY.private_numbers()


EC = ec.generate_private_key(ec.SECP256R1())
EC_PKCS8 = EC.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
EC_SEC1 = EC.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
OPENSSH = KEY.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


@pytest.mark.parametrize(
    ("text", "password", "fault"),
    [
        (ENCRYPTED, None, "is encrypted, and its password is missing"),
        (ENCRYPTED, "", "is encrypted, and its password is missing"),
        (ENCRYPTED, "wrong", "its password is wrong, it is ruined, or"),
        (
            key_pem(KEY, PrivateFormat.TraditionalOpenSSL, PASSWORD),
            None,
            "is encrypted, and its password is missing",
        ),
        (PLAIN, PASSWORD, "is not encrypted, but has a password given"),
        (PLAIN.replace(b"\n", b" "), None, "line ends of its PEM text are lost"),
        (PLAIN.replace(b"\n", b""), None, "line ends of its PEM text are lost"),
        (PLAIN[:-20], None, "is ruined: a block does not end"),
        (PLAIN[:400] + PLAIN[470:], None, "cannot be read: it is ruined"),
        (pem.encode("PRIVATE KEY", b"").encode(), None, "cannot be read: it is ruined"),
        (PLAIN + PLAIN, None, "holds 2 private keys"),
        (recorder(1).pem.encode(), None, "holds 0 private keys"),
        (b"", None, "holds 0 private keys"),
        (b"\x30\x82\x00\xff" * 10, None, "holds 0 private keys"),
        (EC_PKCS8, None, "is not an RSA key"),
        (EC_SEC1, None, "is a EC PRIVATE KEY, but the forms that are read are RSA PRIVATE KEY"),
        (OPENSSH, None, "is a OPENSSH PRIVATE KEY"),
        (b"x" * (MAX_KEY_TEXT + 1), None, "too many for a key"),
    ],
)
def test_each_fault_has_its_sentence(text: bytes, password: str | None, fault: str) -> None:
    """Every fault is one sentence with the key's name, without its contents or password."""
    with pytest.raises(PrivateKeyError, match=fault) as caught:
        load_private_key(text, password, name="key.pem")
    message = str(caught.value)
    assert "key.pem" in message
    assert "\n" not in message
    assert PASSWORD not in message
    assert "wrong " not in message.replace("is wrong", "")
    assert caught.value.__cause__ is None


def test_keys_and_certificates_are_matched() -> None:
    """A key belongs to its own certificate and to no other."""
    assert key_matches(recorder(1).recording(), rsa_key(1))
    assert not key_matches(recorder(1).recording(), rsa_key(2))


@pytest.mark.peer
@pytest.mark.parametrize(
    "line",
    [
        "genrsa -out key.pem 2048",
        "genrsa -traditional -out key.pem 2048",
        "genrsa -aes256 -passout pass:secret -out key.pem 2048",
        "genrsa -aes128 -traditional -passout pass:secret -out key.pem 2048",
        "genrsa -des3 -traditional -passout pass:secret -out key.pem 2048",
        "req -nodes -newkey rsa:2048 -keyout key.pem -out r -subj /CN=x",
        "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out key.pem",
    ],
)
def test_reads_what_openssl_makes(tmp_path: Path, line: str) -> None:
    """The documents' commands, and their variants, make keys that are read."""
    openssl(*line.split(), folder=tmp_path)
    password = "secret" if "secret" in line else None
    key = load_private_key((tmp_path / "key.pem").read_bytes(), password, name="key.pem")
    printed = openssl(
        *["rsa", "-in", "key.pem", "-noout", "-modulus", "-passin", "pass:secret"], folder=tmp_path
    ).stdout
    assert f"Modulus={key.public_key().public_numbers().n:X}\n" == printed


@pytest.mark.peer
@pytest.mark.parametrize(
    "options",
    [
        "-topk8 -nocrypt",
        "-topk8 -passout pass:secret",
        "-topk8 -v2 aes-128-cbc -v2prf hmacWithSHA512 -passout pass:secret",
        "-topk8 -v2 des3 -passout pass:secret",
        "-topk8 -scrypt -passout pass:secret",
        "-topk8 -v1 PBE-SHA1-3DES -passout pass:secret",
        "-topk8 -v2 camellia-256-cbc -passout pass:secret",
        "-topk8 -v2 aria-256-cbc -passout pass:secret",
        "-topk8 -v2 aes-256-ofb -passout pass:secret",
        "-topk8 -provider legacy -provider default -v1 PBE-MD5-DES -passout pass:secret",
    ],
)
def test_pkcs8_under_any_cipher_is_read_or_explained(tmp_path: Path, options: str) -> None:
    """`openssl pkcs8` output is read; under an unusual cipher the refusal says what it may be."""
    (tmp_path / "plain.pem").write_bytes(PLAIN)
    openssl("pkcs8", *options.split(), "-in", "plain.pem", "-out", "key.pem", folder=tmp_path)
    text = (tmp_path / "key.pem").read_bytes()
    password = "secret" if "secret" in options else None
    usual = not any(word in options for word in ("camellia", "aria", "ofb"))
    if usual:
        assert numbers(text, password) == KEY.private_numbers()
        return
    with pytest.raises(PrivateKeyError, match="not supported"):
        load_private_key(text, password, name="key.pem")


@given(st.binary(max_size=300), st.sampled_from(["RSA PRIVATE KEY", "PRIVATE KEY"]))
@settings(max_examples=50, deadline=None)
def test_junk_is_an_error(data: bytes, label: str) -> None:
    """Any bytes in a key's clothes are reported, never a crash."""
    with pytest.raises(PrivateKeyError):
        load_private_key(pem.encode(label, data).encode(), name="junk")

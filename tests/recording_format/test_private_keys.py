"""Private keys in their three forms, and a sentence for everything that can be wrong with them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from asn1crypto import algos, core, keys
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from recording_format import der, pem
from recording_format.errors import PrivateKeyError
from recording_format.key_encryption import key_encryption
from recording_format.private_keys import (
    MAX_KEY_TEXT,
    check_key_matches,
    key_matches,
    load_private_key,
)
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
OTHER_KEYS: dict[
    str, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | dsa.DSAPrivateKey
] = {
    "an EC key": EC,
    "an Ed25519 key": ed25519.Ed25519PrivateKey.generate(),
    "a DSA key": dsa.generate_private_key(1024),
}
EC_PKCS8 = EC.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
EC_SEC1 = EC.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
OLD_FORM = key_pem(KEY, PrivateFormat.TraditionalOpenSSL, PASSWORD)
OPENSSH = KEY.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


@pytest.mark.parametrize(
    ("text", "password", "fault"),
    [
        (ENCRYPTED, None, "is encrypted, and its password is missing (AES-256-CBC)"),
        (ENCRYPTED, "", "is encrypted, and its password is missing (AES-256-CBC)"),
        (ENCRYPTED, "wrong", "cannot be opened: its password is wrong, or it is ruined"),
        (ENCRYPTED, "x" * 1025, "the password of the private key key.pem has over 1024 bytes"),
        (OLD_FORM, None, "is encrypted, and its password is missing (AES-256-CBC)"),
        (OLD_FORM, "wrong", "cannot be opened: its password is wrong, or it is ruined"),
        (re.sub(b"DEK-Info.*\n", b"", OLD_FORM), PASSWORD, "does not say by which cipher"),
        (re.sub(b"AES-256-CBC", b"GOST89", OLD_FORM), PASSWORD, "or GOST89 is not supported"),
        (pem.encode("ENCRYPTED PRIVATE KEY", b"0\x03\x02\x01\x05").encode(), PASSWORD,
         "is ruined: what it says of its encryption cannot be read"),
        (PLAIN, PASSWORD, "is not encrypted, but has a password given"),
        (PLAIN.replace(b"\n", b" "), None, "line ends of its PEM text are lost"),
        (PLAIN.replace(b"\n", b""), None, "line ends of its PEM text are lost"),
        (PLAIN[:-20], None, "is ruined: a block does not end"),
        (PLAIN[:400] + PLAIN[470:], None, "cannot be read: it is ruined"),
        (pem.encode("PRIVATE KEY", b"").encode(), None, "cannot be read: it is ruined"),
        (PLAIN + PLAIN, None, "holds 2 private keys"),
        (recorder(1).pem.encode(), None, "key.pem holds a CERTIFICATE, but no private key"),
        (PUBLIC, None, "key.pem holds a PUBLIC KEY, but no private key"),
        (b"", None, "key.pem holds no private key in PEM"),
        (b"\x30\x82\x00\xff" * 10, None, "key.pem holds no private key in PEM"),
        (EC_SEC1, None, "is an EC key, not an RSA key"),
        (EC_PKCS8.replace(b" PRIVATE", b" ANY PRIVATE"), None,
         "is a ANY PRIVATE KEY, but the forms that are read are RSA PRIVATE KEY"),
        (OPENSSH, None, "is in OpenSSH's form; `ssh-keygen -p -m PEM -f FILE` converts it"),
        (b"x" * (MAX_KEY_TEXT + 1), None, "too many for a key"),
    ],
)  # fmt: skip
def test_each_fault_has_its_sentence(text: bytes, password: str | None, fault: str) -> None:
    """Every fault is one sentence with the key's name, without its contents or password."""
    with pytest.raises(PrivateKeyError, match=re.escape(fault)) as caught:
        load_private_key(text, password, name="key.pem")
    message = str(caught.value)
    assert "key.pem" in message
    assert "\n" not in message
    assert PASSWORD not in message
    assert "wrong " not in message.replace("is wrong", "")
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("kind", OTHER_KEYS)
def test_other_keys_are_named(kind: str) -> None:
    """A key that is not RSA is refused by its kind."""
    text = OTHER_KEYS[kind].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(PrivateKeyError, match=rf"^the private key k is {kind}, not an RSA key$"):
        load_private_key(text, name="k")


@pytest.mark.parametrize("kind", ["utf-8-sig", "utf-16"])
def test_what_editors_put_before_it_does_not_matter(kind: str) -> None:
    """A key that an editor has saved with a byte order mark is read."""
    assert numbers(PLAIN.decode().encode(kind)) == KEY.private_numbers()


def test_absurd_sizes_are_not_begun() -> None:
    """A key larger than OpenSSL's largest is refused before its numbers are checked."""
    body = "\n".join(["A" * 64] * 300)
    text = f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n".encode()
    with pytest.raises(PrivateKeyError, match=r"^the private key k is larger than one of 16,384"):
        load_private_key(text, name="k")


def derived(cost: int, lanes: int) -> keys.EncryptedPrivateKeyInfo:
    """An encrypted key that says its password goes through scrypt with these numbers."""
    made = keys.EncryptedPrivateKeyInfo.load(pem.decode(pem.find_blocks(ENCRYPTED.decode())[0]))
    numbers = b"".join(der.integer(number) for number in (cost, 8, lanes))
    function = der.value(
        der.SEQUENCE,
        bytes(core.ObjectIdentifier("1.3.6.1.4.1.11591.4.11").dump()),
        der.value(der.SEQUENCE, der.value(der.OCTET_STRING, b"salt"), numbers),
    )
    scheme = made["encryption_algorithm"]["parameters"]
    scheme["key_derivation_func"] = algos.KdfAlgorithm.load(function)
    return made


@pytest.mark.parametrize("derivation", ["rounds", "memory", "work"])
def test_absurd_derivations_are_not_begun(derivation: str) -> None:
    """A file that asks for minutes of work, or for all memory, is refused at once."""
    made = derived(2**18, 1) if derivation == "memory" else derived(2**14, 17)
    if derivation == "rounds":
        made = keys.EncryptedPrivateKeyInfo.load(pem.decode(pem.find_blocks(ENCRYPTED.decode())[0]))
        scheme = made["encryption_algorithm"]["parameters"]
        scheme["key_derivation_func"]["parameters"]["iteration_count"] = 2_000_001
    text = pem.encode("ENCRYPTED PRIVATE KEY", made.dump(force=True)).encode()
    with pytest.raises(PrivateKeyError, match="deriving its key would take too long"):
        load_private_key(text, PASSWORD, name="key.pem")


@pytest.mark.parametrize(("cost", "lanes"), [(5, 1), (0, 1), (-16, 1), (16, 0), (16, -1), (1, 1)])
def test_impossible_derivations(cost: int, lanes: int) -> None:
    """Numbers that scrypt cannot have are a sentence, too."""
    text = pem.encode("ENCRYPTED PRIVATE KEY", derived(cost, lanes).dump(force=True)).encode()
    with pytest.raises(PrivateKeyError, match=r"^the private key key\.pem cannot be opened: "):
        load_private_key(text, PASSWORD, name="key.pem")


def test_keys_and_certificates_are_matched() -> None:
    """A key belongs to its own certificate and to no other."""
    assert key_matches(recorder(1).recording(), rsa_key(1))
    assert not key_matches(recorder(1).recording(), rsa_key(2))
    check_key_matches(recorder(1).recording(), rsa_key(1), name="key.pem")
    sentence = (
        r"^the private key key\.pem does not belong to the certificate .*recorder 1 \(serial 10"
    )
    with pytest.raises(PrivateKeyError, match=sentence):
        check_key_matches(recorder(1).recording(), rsa_key(2), name="key.pem")


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


LEGACY = "-provider legacy -provider default"
UNUSUAL = {
    "-v2 aes-128-cbc -v2prf hmacWithSHA512": "AES-128-CBC",
    "-v2 des3": "DES-EDE3-CBC",
    "-scrypt": "AES-256-CBC",
    "-v1 PBE-SHA1-3DES": "triple DES",
    "-v2 camellia-256-cbc": "CAMELLIA-256-CBC",
    "-v2 camellia-128-cbc": "CAMELLIA-128-CBC",
    "-v2 aria-256-cbc": "ARIA-256-CBC",
    "-v2 sm4-cbc": "SM4-CBC",
    "-v2 aes-256-ofb": "AES-256-OFB",
    "-v2 aes-192-cfb": "AES-192-CFB",
    f"{LEGACY} -v2 rc2-cbc": "RC2-CBC",
    f"{LEGACY} -v2 des-cbc": "DES-CBC",
    f"{LEGACY} -v2 bf-cbc": "BF-CBC",
    f"{LEGACY} -v2 cast5-cbc": "CAST5-CBC",
    f"{LEGACY} -v2 seed-cbc": "SEED-CBC",
    f"{LEGACY} -v2 rc4": "RC4",
    f"{LEGACY} -v1 PBE-MD5-DES": "DES with MD5",
    f"{LEGACY} -v1 PBE-SHA1-DES": "DES with SHA-1",
    f"{LEGACY} -v1 PBE-SHA1-RC2-40": "40-bit RC2",
    f"{LEGACY} -v1 PBE-SHA1-RC4-128": "128-bit RC4",
}
OLD_CIPHERS = {
    "des3": "DES-EDE3-CBC", "aes192": "AES-192-CBC", "camellia256": "CAMELLIA-256-CBC",
    "aria256": "ARIA-256-CBC",
}  # fmt: skip


@pytest.mark.peer
@pytest.mark.parametrize("options", UNUSUAL)
def test_pkcs8_under_any_cipher_is_read_or_explained(tmp_path: Path, options: str) -> None:
    """`openssl pkcs8 -topk8` output is opened, or refused with its cipher's name."""
    (tmp_path / "plain.pem").write_bytes(PLAIN)
    line = f"pkcs8 -topk8 {options} -passout pass:secret -in plain.pem -out key.pem"
    openssl(*line.split(), folder=tmp_path)
    check_opened((tmp_path / "key.pem").read_bytes(), UNUSUAL[options])


@pytest.mark.peer
@pytest.mark.parametrize("cipher", OLD_CIPHERS)
def test_the_older_form_under_any_cipher(tmp_path: Path, cipher: str) -> None:
    """`openssl rsa -traditional` output (``Proc-Type: 4,ENCRYPTED``) is treated alike."""
    (tmp_path / "plain.pem").write_bytes(PLAIN)
    line = f"rsa -traditional -{cipher} -passout pass:secret -in plain.pem -out key.pem"
    openssl(*line.split(), folder=tmp_path)
    text = (tmp_path / "key.pem").read_bytes()
    assert b"Proc-Type: 4,ENCRYPTED" in text
    check_opened(text, OLD_CIPHERS[cipher])


def check_opened(text: bytes, cipher: str) -> None:
    """See that the right password opens the key, and that every refusal tells what it can."""
    sentence = ""
    try:
        assert numbers(text, "secret") == KEY.private_numbers()
    except PrivateKeyError as refused:
        sentence = str(refused)
    assert not sentence or f"or {cipher} is not supported" in sentence
    encryption = key_encryption(pem.find_blocks(text.decode())[0])
    assert encryption is not None
    assert encryption.cipher == cipher
    assert not (sentence and encryption.usual)
    with pytest.raises(PrivateKeyError, match="its password is wrong") as wrong:
        numbers(text, "wrong")
    assert encryption.usual or cipher in str(wrong.value)
    with pytest.raises(
        PrivateKeyError, match=re.escape(f"is encrypted, and its password is missing ({cipher})")
    ):
        numbers(text)


@given(st.binary(max_size=300), st.sampled_from(["RSA PRIVATE KEY", "PRIVATE KEY"]))
@settings(max_examples=50, deadline=None)
def test_junk_is_an_error(data: bytes, label: str) -> None:
    """Any bytes in a key's clothes are reported, never a crash."""
    with pytest.raises(PrivateKeyError):
        load_private_key(pem.encode(label, data).encode(), name="junk")

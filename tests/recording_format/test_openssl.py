"""Envelopes and archive files against the real OpenSSL, both ways; contents are compared."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from asn1crypto import cms

from recording_format import pem
from recording_format.archive import archive_prefix, parse_archive_header
from recording_format.cipher import MediaDecryptor, MediaEncryptor
from recording_format.envelope import Envelope, wrap_session_key
from recording_format.session_key import SessionKey
from tests.recording_format.authority import key_pem, recorder
from tests.recording_format.openssl import openssl

pytestmark = pytest.mark.peer

# Around a block, and where a DER length grows by a byte: 64 KiB, 16 MiB.
SIZES = [0, 1, 15, 16, 127, 128, 65_000, 65_536, 100_000, (1 << 24) + 5]
CMS = "cms -decrypt -inform PEM -in envelope.pem -content file.bin -inkey key.pem -binary -out x"
SMIME = "smime -decrypt -inform DER -in archive.bin -inkey key.pem -out x"


def seal(folder: Path, plain: bytes, bits: int = 256, recorders: tuple[int, ...] = (1, 2)) -> None:
    """Write file.bin, envelope.pem and archive.bin as the MCP and the archive would."""
    key = SessionKey.generate(bits)
    encryptor = MediaEncryptor(key)
    ciphertext = encryptor.update(plain) + encryptor.finalize()
    certificates = [recorder(number).recording() for number in recorders]
    envelope = Envelope(wrap_session_key(key, certificates), key.algorithm, encryptor.iv)
    (folder / "file.bin").write_bytes(ciphertext)
    (folder / "envelope.pem").write_text(envelope.to_pem())
    archive = archive_prefix(envelope, len(ciphertext)) + ciphertext
    (folder / "archive.bin").write_bytes(archive)


def opened(folder: Path, command: str, number: int) -> bytes:
    """Return what `command` makes of the folder's files with the key of that recorder."""
    (folder / "key.pem").write_bytes(key_pem(recorder(number).key))
    (folder / "x").unlink(missing_ok=True)
    openssl(*command.split(), folder=folder)
    return (folder / "x").read_bytes()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("command", [CMS, SMIME], ids=["cms", "smime"])
def test_both_recipients_open_both_forms(tmp_path: Path, size: int, command: str) -> None:
    """The documents' command lines give the plaintext back with either recipient's key."""
    plain = os.urandom(size)
    seal(tmp_path, plain)
    assert opened(tmp_path, command, 1) == plain
    assert opened(tmp_path, command, 2) == plain


@pytest.mark.parametrize("command", [CMS, SMIME], ids=["cms", "smime"])
@pytest.mark.parametrize(("bits", "recorders"), [(128, (1, 2)), (256, (1,)), (256, (3, 1, 2))])
def test_other_shapes_are_opened_too(
    tmp_path: Path, command: str, bits: int, recorders: tuple[int, ...]
) -> None:
    """AES-128, one recipient and three recipients are opened as well."""
    plain = os.urandom(5000)
    seal(tmp_path, plain, bits, recorders)
    for number in recorders:
        assert opened(tmp_path, command, number) == plain


def test_crlf_envelope_is_opened(tmp_path: Path) -> None:
    """The same envelope with CRLF line ends is opened by OpenSSL and by us."""
    plain = os.urandom(5000)
    seal(tmp_path, plain)
    text = (tmp_path / "envelope.pem").read_text().replace("\n", "\r\n")
    (tmp_path / "envelope.pem").write_bytes(text.encode())
    assert opened(tmp_path, CMS, 1) == plain
    assert Envelope.from_pem(text).has_recipient(recorder(1).recording())


def test_somebody_elses_key_gives_nothing(tmp_path: Path) -> None:
    """The key of a certificate that is no recipient never gives the plaintext."""
    plain = os.urandom(5000)
    seal(tmp_path, plain, recorders=(1, 2))
    (tmp_path / "key.pem").write_bytes(key_pem(recorder(3).key))
    for command in (CMS, SMIME):
        (tmp_path / "x").unlink(missing_ok=True)
        openssl(*command.split(), folder=tmp_path, check=False)
        got = tmp_path / "x"
        assert not got.exists() or got.read_bytes() != plain


@pytest.mark.parametrize("size", [10, 70_000])
@pytest.mark.parametrize(("cipher", "bits"), [("-aes256", 256), ("-aes-128-cbc", 128)])
def test_reads_what_openssl_smime_makes(tmp_path: Path, size: int, cipher: str, bits: int) -> None:
    """An archive file made by `openssl smime -encrypt` is taken apart and decrypted by us."""
    plain = os.urandom(size)
    (tmp_path / "plain").write_bytes(plain)
    for number in (1, 2):
        (tmp_path / f"{number}.pem").write_text(recorder(number).pem)
    line = f"smime -encrypt {cipher} -binary -outform DER -in plain -out a.bin 1.pem 2.pem"
    openssl(*line.split(), folder=tmp_path)
    data = (tmp_path / "a.bin").read_bytes()
    envelope, offset, length = parse_archive_header(data[:4096])
    assert offset + length == len(data)
    for number in (1, 2):
        key = envelope.unwrap(recorder(number).recording(), recorder(number).key)
        assert len(key.secret) * 8 == bits
        decryptor = MediaDecryptor(key, envelope.iv)
        assert decryptor.update(data[offset:]) + decryptor.finalize() == plain
    # Their envelope and ours differ in nothing: put together again it is the same file.
    assert archive_prefix(envelope, length) + data[offset:] == data


def made_by_cms(folder: Path, options: str) -> bytes:
    """Return a DER file that `openssl cms -encrypt` made with these options."""
    (folder / "plain").write_bytes(b"some words" * 9)
    (folder / "cert.pem").write_text(recorder(1).pem)
    (folder / "other.pem").write_text(recorder(2).pem)
    line = f"cms -encrypt -aes256 -binary -in plain -outform DER -out a.bin {options}"
    openssl(*line.split(), folder=folder)
    return (folder / "a.bin").read_bytes()


def detached(data: bytes) -> bytes:
    """Return an envelope without its ciphertext, as another implementation does it."""
    info = cms.ContentInfo.load(data)
    del info["content"]["encrypted_content_info"]["encrypted_content"]
    encoded: bytes = info.dump(force=True)
    return encoded


def test_foreign_recipient_beside_ours_disturbs_nothing(tmp_path: Path) -> None:
    """Our recipient opens beside one that we cannot read, and the other survives being re-coded."""
    data = made_by_cms(tmp_path, "-recip other.pem -keyopt rsa_padding_mode:oaep -recip cert.pem")
    envelope, offset, size = parse_archive_header(data)
    assert envelope.has_recipient(recorder(1).recording())
    key = envelope.unwrap(recorder(1).recording(), recorder(1).key)
    decryptor = MediaDecryptor(key, envelope.iv)
    assert decryptor.update(data[offset:]) + decryptor.finalize() == b"some words" * 9
    assert len(envelope.foreign) == 1
    assert archive_prefix(envelope, size) + data[offset:] == data


def test_pem_label_of_cms_is_read(tmp_path: Path) -> None:
    """An envelope that calls itself CMS instead of PKCS7 is read too."""
    der = detached(made_by_cms(tmp_path, "cert.pem"))
    envelope = Envelope.from_pem(pem.encode("CMS", der))
    assert envelope.has_recipient(recorder(1).recording())

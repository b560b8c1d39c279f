"""Envelopes that others wrote: opened rightly, or refused in one sentence that says why."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace
from pathlib import Path

import pytest
from asn1crypto import cms
from cryptography.hazmat.primitives.asymmetric import padding

from recording_format import der
from recording_format.archive import archive_prefix, open_archive, parse_archive_header
from recording_format.certificates import RecordingCertificate
from recording_format.cipher import MediaDecryptor
from recording_format.envelope import Envelope, RecipientInfo, wrap_session_key
from recording_format.errors import ArchiveError, EnvelopeError, RecordingFormatError
from recording_format.session_key import SessionKey
from tests.recording_format.authority import Issued, issue, key_pem, recorder, root, rsa_key
from tests.recording_format.openssl import openssl

PLAIN = b"some words" * 9
KEY = SessionKey(bytes(range(32)))
OAEP = "-keyopt rsa_padding_mode:oaep"


def made_by_cms(folder: Path, options: str, *recorders: Issued) -> bytes:
    """Return a DER file of `openssl cms -encrypt`; the recorders are 1.pem, 2.pem, …"""
    (folder / "plain").write_bytes(PLAIN)
    for number, one in enumerate(recorders or (recorder(1), recorder(2)), start=1):
        (folder / f"{number}.pem").write_text(one.pem)
    line = f"cms -encrypt -binary -in plain -outform DER -out a.bin {options}"
    openssl(*line.split(), folder=folder)
    return (folder / "a.bin").read_bytes()


def opened(data: bytes, one: Issued) -> bytes:
    """Return the plaintext of an archive file, with the key of that recorder."""
    envelope, pieces = open_archive(io.BytesIO(data))
    assert envelope.has_recipient(one.recording())
    key = envelope.unwrap(one.recording(), one.key)
    assert envelope.unwrap_blindly(one.recording(), one.key) == key
    decryptor = MediaDecryptor(key, envelope.iv)
    return b"".join([*map(decryptor.update, pieces), decryptor.finalize()])


def refusal(data: bytes, one: Issued) -> str:
    """Return the sentence with which an archive file is not opened for that recorder."""
    with pytest.raises(RecordingFormatError) as caught:
        opened_or_named(data, one)
    sentence = str(caught.value)
    assert sentence
    assert "\n" not in sentence
    return sentence


def opened_or_named(data: bytes, one: Issued) -> None:
    """Open an archive file and its session key."""
    envelope, _ = open_archive(io.BytesIO(data))
    assert not envelope.has_recipient(one.recording())
    envelope.unwrap(one.recording(), one.key)


def with_identifier() -> Issued:
    """A recorder whose certificate states its key identifier."""
    return issue("with identifier", rsa_key(1), issuer=root(), serial=30, key_ids=True)


@pytest.mark.peer
@pytest.mark.parametrize("digest", ["", "sha256", "sha512"])
def test_oaep_is_opened(tmp_path: Path, digest: str) -> None:
    """A key wrapped by OAEP with SHA-1, SHA-256 or SHA-512 is opened, and kept as it stands."""
    more = f"-keyopt rsa_oaep_md:{digest}" if digest else ""
    data = made_by_cms(tmp_path, f"-aes256 -recip 1.pem {OAEP} {more}")
    assert opened(data, recorder(1)) == PLAIN
    envelope, offset, size = parse_archive_header(data)
    assert archive_prefix(envelope, size) + data[offset:] == data


@pytest.mark.peer
def test_oaep_with_other_masks_and_labels_is_opened(tmp_path: Path) -> None:
    """Digest, mask digest and label of OAEP may all be others than the usual."""
    options = f"-aes256 -recip 1.pem {OAEP} -keyopt rsa_oaep_md:sha384 -keyopt rsa_mgf1_md:sha1"
    assert opened(made_by_cms(tmp_path, options), recorder(1)) == PLAIN
    labelled = f"{options} -keyopt rsa_oaep_label:00ff41"
    assert opened(made_by_cms(tmp_path, labelled), recorder(1)) == PLAIN


@pytest.mark.peer
def test_oaep_with_a_foreign_digest_is_refused_by_name(tmp_path: Path) -> None:
    """OAEP with a digest outside SHA-1 and SHA-2 is refused by the digest's name."""
    data = made_by_cms(tmp_path, f"-aes256 -recip 1.pem {OAEP} -keyopt rsa_oaep_md:sha512-256")
    assert "wrapped by OAEP with sha512_256" in refusal(data, recorder(1))


@pytest.mark.peer
def test_key_identifiers_are_opened(tmp_path: Path) -> None:
    """A recipient named by a key identifier is the certificate that states that identifier."""
    one = with_identifier()
    data = made_by_cms(tmp_path, "-aes256 -keyid 1.pem", one, recorder(2))
    assert opened(data, one) == PLAIN
    envelope, offset, size = parse_archive_header(data)
    assert archive_prefix(envelope, size) + data[offset:] == data
    # The same key under a certificate without identifier is not told to be that recipient.
    assert "the envelope is not for" in refusal(data, recorder(1))


@pytest.mark.peer
def test_version_1_certificates_have_no_key_identifier(tmp_path: Path) -> None:
    """A v1 certificate, without any extension, is no recipient by identifier, and no crash."""
    request = "req -new -key k.pem -subj /CN=v1 -out r.csr"
    signed = "x509 -req -in r.csr -signkey k.pem -out v1.pem -days 30"
    (tmp_path / "k.pem").write_bytes(key_pem(rsa_key(2)))
    for line in (request, signed):
        openssl(*line.split(), folder=tmp_path)
    old = RecordingCertificate.load((tmp_path / "v1.pem").read_text(), name="v1.pem")
    data = made_by_cms(tmp_path, "-aes256 -keyid 1.pem", with_identifier())
    envelope = parse_archive_header(data).envelope
    assert not envelope.has_recipient(old)
    with pytest.raises(EnvelopeError, match=r"the envelope is not for .*v1\.pem"):
        envelope.unwrap(old, rsa_key(2))
    data = made_by_cms(tmp_path, "-aes256 v1.pem")
    assert parse_archive_header(data).envelope.unwrap(old, rsa_key(2)).algorithm == "aes-256-cbc"


@pytest.mark.peer
@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ("-secretkey 000102030405060708090a0b0c0d0e0f -secretkeyid 01", "a shared key"),
        ("-pwri_password secret", "a password"),
    ],
)
def test_other_kinds_stand_beside_ours(tmp_path: Path, options: str, kind: str) -> None:
    """Recipients with a shared key or a password disturb nothing, and say what they are."""
    data = made_by_cms(tmp_path, f"-aes256 {options} -recip 1.pem")
    assert opened(data, recorder(1)) == PLAIN
    assert len(parse_archive_header(data).envelope.foreign) == 1
    assert f"a recipient of it has its key by {kind}" in refusal(data, recorder(2))
    alone = made_by_cms(tmp_path, f"-aes256 {options}")
    assert f"a recipient of it has its key by {kind}" in refusal(alone, recorder(1))


@pytest.mark.peer
@pytest.mark.parametrize(
    "options",
    [
        f"-recip 1.pem {OAEP} -keyopt rsa_oaep_md:sha256 -keyopt rsa_oaep_label:00ff41",
        f"-keyid -recip 1.pem {OAEP} -pwri_password secret",
        "-secretkey 000102030405060708090a0b0c0d0e0f -secretkeyid 01 -recip 1.pem",
    ],
)
def test_flipped_bits_of_foreign_envelopes(tmp_path: Path, options: str) -> None:
    """Another key or one sentence, never a crash, and never the session key with another cipher."""
    one = with_identifier()
    envelope = parse_archive_header(made_by_cms(tmp_path, f"-aes256 {options}", one)).envelope
    right = envelope.unwrap(one.recording(), one.key)
    der_bytes = envelope.to_der()
    for bit in range(0, 8 * len(der_bytes), 7):  # a bit of every byte, all eight by turns
        changed = bytearray(der_bytes)
        changed[bit // 8] ^= 1 << bit % 8
        with contextlib.suppress(EnvelopeError):
            read = Envelope.from_der(bytes(changed))
            Envelope.from_der(read.to_der())
            if read.has_recipient(one.recording()):
                got = read.unwrap_blindly(one.recording(), one.key)
                assert got.algorithm == read.algorithm
                assert got != right or read.algorithm == envelope.algorithm


@pytest.mark.peer
def test_key_agreement_stands_beside_ours(tmp_path: Path) -> None:
    """A recipient with an elliptic curve disturbs nothing, and says what it is."""
    line = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ec.key -out ec.pem"
        " -subj /CN=curve"
    )
    openssl(*line.split(), folder=tmp_path)
    data = made_by_cms(tmp_path, "-aes256 ec.pem 1.pem")
    assert opened(data, recorder(1)) == PLAIN
    assert "a recipient of it has its key by key agreement" in refusal(data, recorder(2))


@pytest.mark.peer
@pytest.mark.parametrize("options", ["", "-keyid", OAEP])
def test_indefinite_lengths_are_opened(tmp_path: Path, options: str) -> None:
    """Files with indefinite lengths and the ciphertext in segments are opened."""
    one = with_identifier()
    data = made_by_cms(tmp_path, f"-aes256 -stream -recip 1.pem {options}", one)
    assert data[1] == 0x80
    assert opened(data, one) == PLAIN
    with pytest.raises(ArchiveError, match="indefinite"):
        parse_archive_header(data)
    info = cms.ContentInfo.load(data)
    del info["content"]["encrypted_content_info"]["encrypted_content"]
    envelope = Envelope.from_der(info.dump(force=True))
    assert envelope.unwrap(one.recording(), one.key).algorithm == "aes-256-cbc"


@pytest.mark.peer
@pytest.mark.parametrize(
    ("cipher", "sentence"),
    [
        ("-aes192", "the cipher aes192_cbc is not AES-256-CBC or AES-128-CBC"),
        ("-des3", "the cipher tripledes_3key is not AES-256-CBC or AES-128-CBC"),
        ("-camellia256", "is not AES-256-CBC or AES-128-CBC"),
        ("-aes-256-gcm", "PKCS#7 authenticated_enveloped_data, not enveloped data"),
    ],
)
def test_other_ciphers_are_refused_by_name(tmp_path: Path, cipher: str, sentence: str) -> None:
    """AES-192, triple DES, Camellia and AES-GCM are named in the refusal, in both forms."""
    data = made_by_cms(tmp_path, f"{cipher} 1.pem")
    with pytest.raises(EnvelopeError, match=sentence):
        open_archive(io.BytesIO(data))
    detached = detached_of(data)
    with pytest.raises(EnvelopeError, match=sentence):
        Envelope.from_der(detached)


def detached_of(data: bytes) -> bytes:
    """Return an archive file's envelope without its ciphertext, as another library writes it."""
    info = cms.ContentInfo.load(data)
    names = ("encrypted_content_info", "auth_encrypted_content_info")
    content = next(info["content"][one] for one in names if one in info["content"])
    del content["encrypted_content"]
    encoded: bytes = info.dump(force=True)
    return encoded


@pytest.mark.peer
def test_128_bits_are_opened(tmp_path: Path) -> None:
    """AES-128 in CBC mode has a key of 16 bytes, and is opened."""
    assert opened(made_by_cms(tmp_path, "-aes-128-cbc 1.pem 2.pem"), recorder(2)) == PLAIN


@pytest.mark.parametrize("algorithm", ["aes-256-cbc", "aes-128-cbc"])
@pytest.mark.parametrize("length", [0, 1, 8, 16, 24, 32, 33, 200])
def test_only_the_length_of_the_cipher_is_a_session_key(algorithm: str, length: int) -> None:
    """8 bytes, 24 bytes, or the 16 of AES-128 under AES-256 do not open; the answer is one."""
    one = recorder(1)
    wrapped = one.key.public_key().encrypt(bytes(length), padding.PKCS1v15())
    info = RecipientInfo(one.recording().issuer_der, one.recording().serial, wrapped)
    envelope = Envelope((info,), algorithm, bytes(16))
    if length == {"aes-256-cbc": 32, "aes-128-cbc": 16}[algorithm]:
        assert envelope.unwrap(one.recording(), one.key) == SessionKey(bytes(length))
        return
    with pytest.raises(EnvelopeError, match="the session key does not open with"):
        envelope.unwrap(one.recording(), one.key)
    assert envelope.unwrap_blindly(one.recording(), one.key).algorithm == algorithm


def test_same_serial_of_two_issuers_is_two_recipients() -> None:
    """Two recipients whose serials are equal are told apart by their issuers."""
    other_root = issue("other_ca", rsa_key(0), serial=1, authority=True)
    one = recorder(1)
    other = issue("recorder of another CA", rsa_key(2), issuer=other_root, serial=10)
    assert one.recording().serial == other.recording().serial
    infos = wrap_session_key(KEY, [one.recording(), other.recording()])
    envelope = Envelope.from_der(Envelope(infos, KEY.algorithm, bytes(16)).to_der())
    assert envelope.unwrap(one.recording(), one.key) == KEY
    assert envelope.unwrap(other.recording(), other.key) == KEY
    swapped = tuple(
        replace(info, encrypted_key=twin.encrypted_key)
        for info, twin in zip(infos, reversed(infos), strict=True)
    )
    broken = Envelope(swapped, KEY.algorithm, bytes(16))
    with pytest.raises(EnvelopeError, match="does not open"):
        assert broken.unwrap(one.recording(), one.key) == KEY


@pytest.mark.peer
def test_a_recipient_twice_is_refused(tmp_path: Path) -> None:
    """An envelope that names a certificate twice, by whatever name, is not opened by trial."""
    one = with_identifier()
    data = made_by_cms(tmp_path, "-aes256 1.pem 1.pem", one)
    envelope = parse_archive_header(data).envelope
    for call in (envelope.unwrap, envelope.unwrap_blindly):
        with pytest.raises(EnvelopeError, match="more than once"):
            call(one.recording(), one.key)
    by_identifier = parse_archive_header(made_by_cms(tmp_path, "-aes256 -keyid 1.pem", one))
    mixed = replace(by_identifier.envelope, recipients=wrap_session_key(KEY, [one.recording()]))
    with pytest.raises(EnvelopeError, match="more than once"):
        mixed.unwrap(one.recording(), one.key)


def test_ours_written_otherwise_is_opened_and_kept() -> None:
    """A recipient without the NULL behind rsaEncryption is opened, and kept as it is."""
    one = recorder(1).recording()
    ours = wrap_session_key(KEY, [one])[0].to_der()
    lean = ours.replace(bytes.fromhex("300d06092a864886f70d0101010500"), b"@", 1)
    lean = lean.replace(b"@", bytes.fromhex("300b06092a864886f70d010101"), 1)
    lean = lean[:2] + (len(lean) - 4).to_bytes(2, "big") + lean[4:]
    envelope = Envelope.from_der(envelope_with(lean))
    assert not envelope.recipients
    assert envelope.unwrap(one, recorder(1).key) == KEY
    assert lean in envelope.to_der()
    assert lean in envelope.with_recipients([recorder(2).recording()], KEY).to_der()


def test_recipients_of_indefinite_length() -> None:
    """A set of recipients without a length is read; one recipient without is refused, no crash."""
    one = recorder(1).recording()
    ours = wrap_session_key(KEY, [one])[0].to_der()
    loose_set = envelope_with(ours).replace(der.value(der.SET, ours), b"\x31\x80" + ours + b"\0\0")
    assert Envelope.from_der(_with_lengths(loose_set, 0)).unwrap(one, recorder(1).key) == KEY
    with pytest.raises(EnvelopeError, match="recipients are broken"):
        Envelope.from_der(envelope_with(b"\x30\x80" + ours[4:] + b"\0\0"))


def envelope_with(recipient: bytes) -> bytes:
    """Return an envelope whose only recipient is these bytes."""
    ours = wrap_session_key(KEY, [recorder(1).recording()])[0]
    known = Envelope((ours,), KEY.algorithm, bytes(16)).to_der()
    start = known.index(b"\x31\x82")
    end = start + 4 + len(ours.to_der())
    changed = known[:start] + der.value(der.SET, recipient) + known[end:]
    return _with_lengths(changed, len(recipient) - len(ours.to_der()))


def _with_lengths(encoded: bytes, more: int) -> bytes:
    """Change the two-byte lengths of the three values around the recipients by `more`."""
    changed = bytearray(encoded)
    content = encoded.index(b"\xa0\x82")
    for tag in (0, content, content + 4):
        length = int.from_bytes(changed[tag + 2 : tag + 4], "big") + more
        changed[tag + 2 : tag + 4] = length.to_bytes(2, "big")
    return bytes(changed)

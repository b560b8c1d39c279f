"""Recipients added and removed: nothing else of an envelope changes, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from recording_format.archive import archive_prefix, parse_archive_header
from recording_format.certificates import RecordingCertificate
from recording_format.cipher import MediaDecryptor, MediaEncryptor
from recording_format.envelope import (
    MAX_RECIPIENTS,
    Envelope,
    RecipientInfo,
    RecipientName,
    wrap_session_key,
)
from recording_format.errors import CertificateError, EnvelopeError
from recording_format.integrity import check_mac, media_mac
from recording_format.lab import Lab
from recording_format.session_key import SessionKey
from tests.recording_format.authority import Issued, issue, key_pem, recorder, root, rsa_key
from tests.recording_format.openssl import openssl

KEY = SessionKey(bytes(range(32)))
IV = bytes(range(16))


def certificate(number: int) -> RecordingCertificate:
    """Return the certificate of a recorder."""
    return recorder(number).recording()


def envelope_for(*numbers: int, key: SessionKey = KEY) -> Envelope:
    """Return an envelope for the recorders of these numbers, as it was read."""
    infos = wrap_session_key(key, [certificate(number) for number in numbers])
    return Envelope.from_pem(Envelope(infos, key.algorithm, IV).to_pem())


def members(envelope: Envelope) -> list[bytes]:
    """Return the recipients as they stand in the DER, in their order there."""
    encoded = envelope.to_der()
    raw = [info.to_der() for info in envelope.recipients]
    raw += [other.der for other in envelope.foreign]
    assert all(encoded.count(one) == 1 for one in raw)
    return sorted(raw, key=encoded.index)


@given(
    before=st.sets(st.integers(0, 3), min_size=1),
    added=st.lists(st.integers(0, 3), max_size=5),
    removed=st.sets(st.integers(0, 3)),
)
@settings(max_examples=40, deadline=None)
def test_what_stays_stays_byte_for_byte(
    before: set[int], added: list[int], removed: set[int]
) -> None:
    """However recipients come and go: the others, cipher and IV stay, and the SET is in order."""
    old = envelope_for(*before)
    new = old.with_recipients([certificate(number) for number in added], KEY)
    here = before | set(added)
    for number in removed & here if removed & here != here else set():
        new = new.without_recipient(certificate(number))
        here.discard(number)
    read = Envelope.from_pem(new.to_pem())
    assert (read.algorithm, read.iv, read.version) == (old.algorithm, old.iv, 0)
    assert members(read) == sorted(members(new))
    assert set(members(old)) - set(members(new)) == {
        info.to_der() for info in old.recipients if info.serial - 9 in before - here
    }
    for number in range(4):
        assert read.has_recipient(certificate(number)) == (number in here)
        if number in here:
            assert read.unwrap(certificate(number), recorder(number).key) == KEY


def test_adding_who_is_there_changes_nothing() -> None:
    """A certificate that is a recipient already is not wrapped for anew."""
    old = envelope_for(1, 2)
    assert old.with_recipients([certificate(2), certificate(1)], KEY) is old
    assert old.with_recipients([], KEY) is old


def test_the_mac_knows_nothing_of_recipients() -> None:
    """Digests and mac are those of before, whoever opens the recording now."""
    encryptor = MediaEncryptor(KEY)
    ciphertext = encryptor.update(b"words" * 100) + encryptor.finalize()
    digests = encryptor.digests
    mac = media_mac(KEY, media_id="m", iv=encryptor.iv, digests=digests)
    lab = Lab(size=digests.size, sha256=digests.sha256, chunks=list(digests.chunks), mac=mac)
    old = Envelope(wrap_session_key(KEY, [certificate(1)]), KEY.algorithm, encryptor.iv)
    new = old.with_recipients([certificate(2)], old.unwrap(certificate(1), recorder(1).key))
    new = new.without_recipient(certificate(1))
    key = new.unwrap(certificate(2), recorder(2).key)
    check_mac(key, media_id="m", iv=new.iv, lab=lab)
    decryptor = MediaDecryptor(key, new.iv)
    assert decryptor.update(ciphertext) + decryptor.finalize() == b"words" * 100


def test_the_last_recipient_stays() -> None:
    """An envelope that nobody opens is not made."""
    with pytest.raises(EnvelopeError, match=r"recorder 1.* is the envelope's last recipient"):
        envelope_for(1).without_recipient(certificate(1))


def test_who_is_not_there_cannot_be_removed() -> None:
    """Removing a stranger is refused by name; the same serial of another issuer is a stranger."""
    other_root = issue("other_ca", rsa_key(0), serial=1, authority=True)
    twin = issue("twin", rsa_key(3), issuer=other_root, serial=10).recording("twin.pem")
    with pytest.raises(EnvelopeError, match=r"the envelope is not for .*twin\.pem"):
        envelope_for(1, 2).without_recipient(twin)
    stranger = RecipientName(certificate(1).issuer_der, 99)
    with pytest.raises(EnvelopeError, match="not for the recipient of serial 99"):
        envelope_for(1, 2).without_recipient(stranger)


def test_removal_by_issuer_and_serial() -> None:
    """A recipient whose certificate is lost is removed by its issuer and serial."""
    named = RecipientName(certificate(1).issuer_der, certificate(1).serial)
    new = envelope_for(1, 2).without_recipient(named)
    assert [info.serial for info in new.recipients] == [certificate(2).serial]


def test_a_recipient_that_is_named_twice_goes_at_once() -> None:
    """Both entries of a certificate go; one of them could not be told from the other."""
    double = envelope_for(1, 2)
    info = next(one for one in double.recipients if one.serial == 10)
    twice = (*double.recipients, RecipientInfo(info.issuer, 10, bytes(256)))
    new = Envelope(twice, KEY.algorithm, IV).without_recipient(certificate(1))
    assert [one.serial for one in new.recipients] == [11]


@pytest.mark.parametrize("bits", [128, 256])
def test_a_key_of_the_other_cipher_is_refused(bits: int) -> None:
    """A session key of another length than the cipher's is wrapped for nobody."""
    envelope = envelope_for(1, key=SessionKey.generate(bits))
    with pytest.raises(EnvelopeError, match="the session key is for aes-"):
        envelope.with_recipients([certificate(2)], SessionKey.generate(384 - bits))


def test_indistinguishable_certificates_are_not_added() -> None:
    """Two new certificates of one issuer and serial are refused, as when recording."""
    twin = issue("twin", rsa_key(2), issuer=root(), serial=10).recording("twin.pem")
    with pytest.raises(CertificateError, match="are different certificates of the same"):
        envelope_for(2).with_recipients([certificate(1), twin], KEY)


def test_there_are_not_too_many() -> None:
    """The limit of recipients holds for adding too."""
    issuer = certificate(1).issuer_der
    infos = tuple(RecipientInfo(issuer, 1000 + at, b"k") for at in range(MAX_RECIPIENTS))
    with pytest.raises(EnvelopeError, match="more than 2000 recipients"):
        Envelope(infos, KEY.algorithm, IV).with_recipients([certificate(1)], KEY)


@pytest.mark.peer
def test_openssl_opens_what_was_rewrapped(tmp_path: Path) -> None:
    """Both of the documents' commands open it with the key that was added, none with the other."""
    encryptor = MediaEncryptor(KEY)
    ciphertext = encryptor.update(b"words" * 1000) + encryptor.finalize()
    old = Envelope(wrap_session_key(KEY, [certificate(1)]), KEY.algorithm, encryptor.iv)
    new = old.with_recipients([certificate(2)], KEY).without_recipient(certificate(1))
    (tmp_path / "e.pem").write_text(new.to_pem())
    (tmp_path / "f.bin").write_bytes(ciphertext)
    (tmp_path / "a.bin").write_bytes(archive_prefix(new, len(ciphertext)) + ciphertext)
    for line in (
        "cms -decrypt -inform PEM -in e.pem -content f.bin -inkey key.pem -binary -out x",
        "smime -decrypt -inform DER -in a.bin -inkey key.pem -out x",
    ):
        for number, right in ((1, False), (2, True)):
            (tmp_path / "key.pem").write_bytes(key_pem(recorder(number).key))
            (tmp_path / "x").unlink(missing_ok=True)
            openssl(*line.split(), folder=tmp_path, check=right)
            got = (tmp_path / "x").read_bytes() if (tmp_path / "x").exists() else b""
            assert (got == b"words" * 1000) == right


@pytest.mark.peer
def test_foreign_recipients_are_kept(tmp_path: Path) -> None:
    """Recipients by OAEP, key identifier and password stay byte for byte, and still open it."""
    one = issue("with identifier", rsa_key(3), issuer=root(), serial=40, key_ids=True)
    options = "-keyid -recip 1.pem -pwri_password secret -recip 2.pem"
    envelope, data = made_by_cms(tmp_path, options, one, one_with_id(2))
    key = envelope.unwrap(one.recording(), one.key)
    new = envelope.with_recipients([certificate(1)], key).without_recipient(
        one_with_id(2).recording()
    )
    assert {other.der for other in new.foreign} < {other.der for other in envelope.foreign}
    assert (len(new.foreign), len(new.recipients), new.version) == (2, 1, envelope.version)
    (tmp_path / "r.bin").write_bytes(archive_prefix(new, len(data)) + data)
    for opening in ("-pwri_password secret", "-inkey one.pem", "-inkey added.pem"):
        (tmp_path / "one.pem").write_bytes(key_pem(one.key))
        (tmp_path / "added.pem").write_bytes(key_pem(recorder(1).key))
        line = f"cms -decrypt -inform DER -in r.bin -binary -out x {opening}"
        openssl(*line.split(), folder=tmp_path)
        assert (tmp_path / "x").read_bytes() == b"words" * 9
    # The password alone would not do: nobody here could open the recording any more.
    with pytest.raises(EnvelopeError, match="last recipient"):
        envelope.without_recipient(one.recording()).without_recipient(one_with_id(2).recording())


@pytest.mark.peer
def test_the_one_form_comes_back(tmp_path: Path) -> None:
    """When the last foreign recipient goes, the envelope is the one of version 0 again."""
    one = one_with_id(3)
    envelope, _ = made_by_cms(tmp_path, "-keyid 1.pem", one)
    key = envelope.unwrap(one.recording(), one.key)
    assert envelope.version == 2
    new = envelope.with_recipients([certificate(1)], key).without_recipient(one.recording())
    assert (new.version, new.foreign) == (0, ())
    ours = Envelope(new.recipients, new.algorithm, new.iv)
    assert Envelope.from_der(new.to_der()).to_der() == ours.to_der()


def one_with_id(number: int) -> Issued:
    """Return a recorder whose certificate states its key identifier."""
    return issue(
        f"identified {number}", rsa_key(number), issuer=root(), serial=50 + number, key_ids=True
    )


def made_by_cms(folder: Path, options: str, *recorders: Issued) -> tuple[Envelope, bytes]:
    """Return envelope and ciphertext of what `openssl cms -encrypt` made."""
    (folder / "plain").write_bytes(b"words" * 9)
    for number, one in enumerate(recorders, start=1):
        (folder / f"{number}.pem").write_text(one.pem)
    line = f"cms -encrypt -aes256 -binary -in plain -outform DER -out a.bin {options}"
    openssl(*line.split(), folder=folder)
    data = (folder / "a.bin").read_bytes()
    envelope, offset, _ = parse_archive_header(data)
    return envelope, data[offset:]


def test_blind_unwrapping_is_the_same_where_the_key_is_right() -> None:
    """Who is a recipient gets the session key, blindly or not."""
    envelope = envelope_for(1, 2)
    for number in (1, 2):
        one = certificate(number)
        assert envelope.unwrap_blindly(one, recorder(number).key) == KEY


def test_blind_unwrapping_never_tells_that_it_failed() -> None:
    """Ruined, foreign, short, long and empty blocks all give a key: the same at each asking."""
    good = envelope_for(1).recipients[0]
    private_key = recorder(1).key
    block = good.encrypted_key
    bad = [b"", block[:-1], block + b"\0", bytes(256), b"\xff" * 256, block[::-1]]
    bad += [bytes([*block[:at], block[at] ^ 1, *block[at + 1 :]]) for at in range(0, 256, 16)]
    bad += [wrap_session_key(SessionKey(bytes(16)), [certificate(1)])[0].encrypted_key]
    bad += [wrap_session_key(KEY, [certificate(2)])[0].encrypted_key]
    for algorithm in ("aes-256-cbc", "aes-128-cbc"):
        keys = []
        for one in bad:
            info = RecipientInfo(good.issuer, good.serial, one)
            envelope = Envelope((info,), algorithm, IV)
            first = envelope.unwrap_blindly(certificate(1), private_key)
            assert first == envelope.unwrap_blindly(certificate(1), private_key)
            assert first.algorithm == algorithm
            assert first != KEY
            keys.append(first.secret)
        # Of one length no two blocks have the same substitute, nor is it foreseeable without key.
        assert len(set(keys)) == len(bad)


def test_substitutes_are_nobody_elses() -> None:
    """Another private key has other substitutes: nobody without it can foresee them."""
    secrets = set()
    for number in (1, 2):
        one = certificate(number)
        info = RecipientInfo(one.issuer_der, one.serial, bytes(256))
        envelope = Envelope((info,), "aes-256-cbc", IV)
        secrets.add(envelope.unwrap_blindly(one, recorder(number).key).secret)
    assert len(secrets) == 2


def test_blind_unwrapping_says_what_anybody_sees() -> None:
    """No recipient of this name, or the private key of another certificate, is no secret."""
    with pytest.raises(EnvelopeError, match="the envelope is not for"):
        envelope_for(1).unwrap_blindly(certificate(2), recorder(2).key)
    with pytest.raises(EnvelopeError, match="the private key is not the one of"):
        envelope_for(1).unwrap_blindly(certificate(1), recorder(2).key)


def test_a_bare_private_key_opens_by_its_length() -> None:
    """Without certificate, recipients with a key as long are opened; others are left alone."""
    envelope = envelope_for(1, 2)
    assert KEY in envelope.unwrap_any(recorder(1).key)
    assert KEY in envelope.unwrap_any(recorder(2).key)
    assert KEY not in envelope.unwrap_any(recorder(3).key)
    small: rsa.RSAPrivateKey = rsa_key(7, 1024)
    assert envelope.unwrap_any(small) == []

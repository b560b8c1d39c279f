"""The envelope: exactly the form of wire-formats, and whatever others write."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from asn1crypto import cms
from cryptography.hazmat.primitives.asymmetric import padding
from hypothesis import given, settings
from hypothesis import strategies as st

from recording_format import der, pem
from recording_format.envelope import (
    MAX_ENVELOPE_SIZE,
    MAX_RECIPIENTS,
    Envelope,
    RecipientInfo,
    decode_recipients,
    encode_recipients,
    wrap_session_key,
)
from recording_format.errors import CertificateError, EnvelopeError
from recording_format.session_key import SessionKey
from tests.recording_format.authority import issue, name, recorder, root, rsa_key

VECTORS = Path(__file__).parent / "vectors"
IV = bytes(range(16))
KEY = SessionKey(bytes(range(32)))

recipients = st.lists(
    st.builds(
        RecipientInfo,
        issuer=st.text(max_size=20).map(lambda text: name(text or "x").public_bytes()),
        serial=st.integers(-(2**64), 2**160),
        encrypted_key=st.binary(min_size=1, max_size=300),
    ),
    min_size=1,
    max_size=6,
).map(tuple)


def envelope_for(*numbers: int, key: SessionKey = KEY) -> Envelope:
    """Return an envelope for the recorders of these numbers."""
    certificates = [recorder(number).recording() for number in numbers]
    return Envelope(wrap_session_key(key, certificates), key.algorithm, IV)


def test_vectors_stand() -> None:
    """The DER and PEM of a known envelope do not change, byte for byte."""
    for vector in json.loads((VECTORS / "envelope.json").read_text()):
        infos = tuple(
            RecipientInfo(
                bytes.fromhex(one["issuer"]), int(one["serial"]), bytes.fromhex(one["key"])
            )
            for one in vector["recipients"]
        )
        envelope = Envelope(infos, vector["algorithm"], bytes.fromhex(vector["iv"]))
        assert envelope.to_der().hex() == vector["der"]
        assert envelope.to_pem() == vector["pem"]
        assert Envelope.from_pem(vector["pem"]) == envelope


def test_form_is_the_published_one() -> None:
    """EnvelopedData v0, RecipientInfo v0 by issuer and serial, rsaEncryption + NULL, detached."""
    encoded = envelope_for(1, 2).to_der()
    info = cms.ContentInfo.load(encoded, strict=True)
    assert info["content_type"].native == "enveloped_data"
    enveloped = info["content"]
    assert int(enveloped["version"]) == 0
    assert enveloped["unprotected_attrs"].native is None
    assert enveloped["originator_info"].native is None
    content = enveloped["encrypted_content_info"]
    assert content["content_type"].native == "data"
    assert content["content_encryption_algorithm"]["algorithm"].native == "aes256_cbc"
    assert content["content_encryption_algorithm"]["parameters"].native == IV
    assert content["encrypted_content"].native is None
    infos = enveloped["recipient_infos"]
    assert len(infos) == 2
    for choice in infos:
        assert choice.name == "ktri"
        assert int(choice.chosen["version"]) == 0
        assert choice.chosen["rid"].name == "issuer_and_serial_number"
        algorithm = choice.chosen["key_encryption_algorithm"]
        assert algorithm["algorithm"].dotted == "1.2.840.113549.1.1.1"
        assert algorithm["parameters"].dump() == b"\x05\x00"
    assert info.dump(force=True) == encoded


@given(
    infos=recipients,
    cipher=st.sampled_from(["aes-256-cbc", "aes-128-cbc"]),
    iv=st.binary(min_size=16, max_size=16),
)
@settings(max_examples=50, deadline=None)
def test_der_comes_back(infos: tuple[RecipientInfo, ...], cipher: str, iv: bytes) -> None:
    """Whatever is written is read again, but for the order of recipients, which DER sorts."""
    envelope = Envelope(infos, cipher, iv)
    read = Envelope.from_der(envelope.to_der())
    assert sorted(read.recipients, key=RecipientInfo.to_der) == sorted(
        infos, key=RecipientInfo.to_der
    )
    assert (read.algorithm, read.iv, read.foreign, read.version) == (cipher, iv, (), 0)
    assert read.to_der() == envelope.to_der()
    assert decode_recipients(encode_recipients(infos)) == read.recipients


@given(width=st.integers(1, 4000), end=st.sampled_from(["\n", "\r\n", " ", ""]))
@settings(max_examples=40, deadline=None)
def test_any_line_width_is_read(width: int, end: str) -> None:
    """Base64 lines of any width, ended by LF, CRLF or nothing, are the same envelope."""
    envelope = envelope_for(1, 2)
    _, *lines, _, _ = envelope.to_pem().split("\n")
    text = "".join(lines)
    body = [text[at : at + width] for at in range(0, len(text), width)]
    read = Envelope.from_pem(end.join(["-----BEGIN PKCS7-----", *body, "-----END PKCS7-----"]))
    assert read.to_der() == envelope.to_der()


@pytest.mark.parametrize("bits", [128, 256])
def test_each_recipient_opens_it(bits: int) -> None:
    """Each certificate's own key gives the session key back; the order of certificates is kept."""
    key = SessionKey.generate(bits)
    certificates = [recorder(number).recording() for number in (2, 1, 3)]
    infos = wrap_session_key(key, certificates)
    assert [info.serial for info in infos] == [11, 10, 12]
    envelope = Envelope.from_pem(Envelope(infos, key.algorithm, IV).to_pem())
    for number in (1, 2, 3):
        certificate = recorder(number).recording()
        assert envelope.has_recipient(certificate)
        assert envelope.unwrap(certificate, recorder(number).key) == key


def test_pick_is_by_issuer_and_serial() -> None:
    """The same key under another issuer or another serial is no recipient, though it would fit."""
    envelope = envelope_for(1)
    other_root = issue("other_ca", rsa_key(0), serial=1, authority=True)
    for impostor in (
        issue("recorder 1", rsa_key(1), issuer=other_root, serial=10),
        issue("recorder 1", rsa_key(1), issuer=root(), serial=11),
    ):
        certificate = impostor.recording("old.pem")
        assert not envelope.has_recipient(certificate)
        with pytest.raises(EnvelopeError, match=r"the envelope is not for .*old\.pem"):
            envelope.unwrap(certificate, impostor.key)


def test_key_of_another_certificate_is_refused() -> None:
    """A private key that is not the certificate's is refused before anything is decrypted."""
    with pytest.raises(EnvelopeError, match=r"the private key is not the one of .*recorder 1"):
        envelope_for(1).unwrap(recorder(1).recording(), rsa_key(2))


@pytest.mark.parametrize("secret", [bytes(16), bytes(31), bytes(33), b"", bytes(100)])
def test_wrong_key_length_is_refused(secret: bytes) -> None:
    """A wrapped key whose length is not the cipher's is refused."""
    good = envelope_for(1)
    wrapped = rsa_key(1).public_key().encrypt(secret, padding.PKCS1v15())
    info = RecipientInfo(good.recipients[0].issuer, 10, wrapped)
    envelope = Envelope((info,), good.algorithm, IV)
    with pytest.raises(EnvelopeError, match="the session key does not open with"):
        envelope.unwrap(recorder(1).recording(), rsa_key(1))


def test_rsa_failures_tell_nothing() -> None:
    """Cut, changed, oversized and wrong wrapped keys have one answer, or give another key."""
    good = envelope_for(1)
    wrapped = good.recipients[0].encrypted_key
    bad = [b"", wrapped[:-1], wrapped + b"\0", bytes(256), b"\xff" * 256, wrapped[::-1]]
    bad += [bytes([*wrapped[:at], wrapped[at] ^ 1, *wrapped[at + 1 :]]) for at in range(0, 256, 8)]
    answers = {answer_to(key) for key in bad}
    assert len(answers - {None}) == 1


def answer_to(wrapped: bytes) -> str | None:
    """Return what unwrapping says to this wrapped key; None when another key comes out."""
    info = RecipientInfo(envelope_for(1).recipients[0].issuer, 10, wrapped)
    envelope = Envelope((info,), "aes-256-cbc", IV)
    try:
        opened = envelope.unwrap(recorder(1).recording(), rsa_key(1))
    except EnvelopeError as error:
        return f"{error} {error.__cause__}"
    assert opened != KEY
    return None


def test_one_certificate_named_twice_is_one_recipient() -> None:
    """A profile that lists a certificate twice makes one recipient."""
    certificates = [
        recorder(1).recording("certificates-1"),
        recorder(1).recording("certificates-2"),
    ]
    assert len(wrap_session_key(KEY, certificates)) == 1


def test_indistinguishable_certificates_are_refused() -> None:
    """Two certificates of the same issuer and serial could not be told apart; both are named."""
    twin = issue("twin", rsa_key(2), issuer=root(), serial=10)
    with pytest.raises(CertificateError, match=r"certificates-2 and certificates-1 are different"):
        wrap_session_key(KEY, [recorder(1).recording(), twin.recording("certificates-2")])


def test_ambiguous_envelope_is_refused() -> None:
    """An envelope that names a certificate twice is not opened by trial."""
    info = envelope_for(1).recipients[0]
    envelope = Envelope(
        (info, RecipientInfo(info.issuer, info.serial, bytes(256))), "aes-256-cbc", IV
    )
    with pytest.raises(EnvelopeError, match="more than once"):
        envelope.unwrap(recorder(1).recording(), rsa_key(1))


def test_nobody_is_no_recipient() -> None:
    """An envelope for nobody cannot be made."""
    with pytest.raises(EnvelopeError, match="at least one"):
        wrap_session_key(KEY, [])
    with pytest.raises(EnvelopeError, match="no recipients"):
        Envelope((), "aes-256-cbc", IV)


@pytest.mark.parametrize(
    ("algorithm", "iv", "fault"),
    [("aes-192-cbc", IV, "aes-192-cbc"), ("des", IV, "des"), ("aes-256-cbc", IV[:8], "8 bytes")],
)
def test_other_ciphers_and_ivs_are_refused(algorithm: str, iv: bytes, fault: str) -> None:
    """Only AES-256-CBC and AES-128-CBC with 16 bytes of IV are envelopes of recordings."""
    with pytest.raises(EnvelopeError, match=fault):
        Envelope(envelope_for(1).recipients, algorithm, iv)


def test_no_secret_in_repr() -> None:
    """Printing an envelope shows nothing of the session key."""
    assert KEY.secret.hex() not in repr(envelope_for(1))
    assert repr(KEY.secret)[2:-1] not in repr(envelope_for(1))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "holds 0 PKCS#7 envelopes"),
        (pem.encode("PKCS7", b"x") * 2, "holds 2 PKCS#7 envelopes"),
        (pem.encode("CERTIFICATE", b"x"), "holds 0 PKCS#7 envelopes"),
        ("-----BEGIN PKCS7-----\nAAAA\n", "has no END PKCS7"),
        ("-----BEGIN PKCS7-----\n!!!!\n-----END PKCS7-----", "base64"),
        (pem.encode("PKCS7", b"\x30\x00"), "not PKCS#7 enveloped data, or broken"),
        ("A" * (MAX_ENVELOPE_SIZE + 1), "too many"),
    ],
)
def test_bad_text_is_refused_in_one_sentence(text: str, fault: str) -> None:
    """What is not one PEM envelope is said to be that."""
    with pytest.raises(EnvelopeError, match=fault) as caught:
        Envelope.from_pem(text)
    assert "\n" not in str(caught.value)


def test_other_pkcs7_is_refused_by_its_kind() -> None:
    """Signed data, plain data and an attached envelope are named as what they are."""
    signed = cms.ContentInfo({"content_type": "data", "content": b"abc"}).dump()
    with pytest.raises(EnvelopeError, match="PKCS#7 data, not enveloped data"):
        Envelope.from_der(signed)
    attached = envelope_for(1).encode(16) + bytes(16)
    with pytest.raises(EnvelopeError, match="has its ciphertext inside"):
        Envelope.from_der(attached)
    with pytest.raises(EnvelopeError, match="too many"):
        Envelope.from_der(bytes(MAX_ENVELOPE_SIZE + 1))


def test_trailing_bytes_are_refused() -> None:
    """Bytes behind the envelope are not passed over."""
    with pytest.raises(EnvelopeError, match="broken"):
        Envelope.from_der(envelope_for(1).to_der() + b"\0")


@given(at=st.integers(0, 10_000), flip=st.integers(1, 255))
@settings(max_examples=150, deadline=None)
def test_any_changed_byte_is_an_envelope_or_an_error(at: int, flip: int) -> None:
    """A broken envelope is read as another envelope or refused; nothing else comes out."""
    data = bytearray(envelope_for(1, 2).to_der())
    data[at % len(data)] ^= flip
    with contextlib.suppress(EnvelopeError):
        envelope = Envelope.from_der(bytes(data))
        Envelope.from_der(envelope.to_der())
        envelope.unwrap(recorder(1).recording(), rsa_key(1))


@given(
    st.binary(max_size=200)
    | st.binary(max_size=60).map(lambda tail: envelope_for(1).to_der()[:40] + tail)
)
@settings(max_examples=100, deadline=None)
def test_junk_is_an_error(data: bytes) -> None:
    """Junk is refused, never a crash."""
    with pytest.raises(EnvelopeError):
        Envelope.from_der(data)
    with pytest.raises(EnvelopeError):
        decode_recipients(b"\x02" + data)


def test_deep_nesting_is_an_error() -> None:
    """Thousands of nested indefinite lengths are refused, not a stack overflow."""
    with pytest.raises(EnvelopeError):
        Envelope.from_der(b"\x30\x80" * 100_000)


def test_broken_recipients_are_an_error() -> None:
    """A journal's recipients that are not a SET OF RecipientInfo are refused."""
    for data in (b"", b"\x31\x00\x00", der.value(der.SET, der.integer(3)), b"\x30\x00"):
        with pytest.raises(EnvelopeError):
            decode_recipients(data)


@pytest.mark.parametrize("kind", [b"\x30", b"\xa1", b"\xa2", b"\xa3", b"\xa4"])
def test_recipients_without_end_are_not_read_to_the_end(kind: bytes) -> None:
    """A small file of hundreds of thousands of empty recipients costs no more than a full one."""
    crowd = der.value(der.SET, (kind + b"\x00") * 300_000)
    with pytest.raises(EnvelopeError, match=r"broken|more than 2000 recipients"):
        decode_recipients(crowd)


def test_as_many_recipients_as_allowed() -> None:
    """The limit itself is fine, one more is refused."""
    issuer = name("x").public_bytes()
    infos = [RecipientInfo(issuer, number, b"k") for number in range(MAX_RECIPIENTS + 1)]
    assert len(decode_recipients(encode_recipients(infos[:-1]))) == MAX_RECIPIENTS
    with pytest.raises(EnvelopeError, match="more than 2000 recipients"):
        decode_recipients(encode_recipients(infos))

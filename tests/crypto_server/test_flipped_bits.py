"""Every single bit of a small recording and of its envelope, flipped: what comes out then.

With digests and mac: the recorded audio or a refusal in one sentence, never other bytes. Without
them, as a real media server records, nobody can promise that: a flipped bit makes wrong samples.
Then a refusal, or audio that is marked as unverified, of the right length; never a crash.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from crypto_server.errors import KeyMissing, PlaybackRefused
from crypto_server.keystore.key_entry import KeyEntry
from crypto_server.playing.content import MediaContent, open_content, read_envelope
from crypto_server.playing.media_file import MediaName, find_media_file
from crypto_server.playing.section import Section
from recording_format import pem
from recording_format.envelope import Envelope
from tests.crypto_server.keys import key_pair
from tests.crypto_server.recordings import MadeRecording, encrypted, mp3, wav

ONE, TWO = key_pair("one"), key_pair("two")
SOUNDS = {"wav": wav(700), "mp3": mp3(2)[:800]}
ENTRY = KeyEntry(ONE.alias, ONE.certificate, ONE.private_key)


class Outcome(NamedTuple):
    """What a listener gets: bytes, and whether they are called verified; or one sentence."""

    played: bytes | None
    verified: bool = False
    sentence: str = ""


def opened(made: MadeRecording) -> MediaContent:
    """Return the content of a recording, opened with the first recipient's key."""
    name = MediaName.parse(made.name)
    file = find_media_file(made.answer, name).read()
    if not read_envelope(file, name).has_recipient(ONE.certificate):
        raise KeyMissing("no recipient of the recording has its key here")
    return open_content(file, name, ENTRY)


def played(content: MediaContent, stored: bytes) -> Outcome:
    """Return the outcome of playing these stored bytes whole."""
    try:
        content.check_length(len(stored))
        pieces = Section(content).open_chunk(memoryview(stored), last=True)
    except PlaybackRefused as error:
        return refused(error)
    return Outcome(b"".join(pieces), content.verified)


def refused(error: PlaybackRefused) -> Outcome:
    """Return a refusal's outcome; its sentence is one line, without bytes of anything."""
    sentence = str(error)
    assert sentence
    assert sentence.isprintable()
    assert "-----" not in sentence
    return Outcome(None, sentence=sentence)


def outcome(made: MadeRecording) -> Outcome:
    """Return what becomes of a recording."""
    try:
        content = opened(made)
    except PlaybackRefused as error:
        return refused(error)
    return played(content, made.stored)


def recording(extension: str, *, lab: bool, bits: int = 256, alone: bool = False) -> MadeRecording:
    """Return a small recording for two recipients or one, with or without digests and mac."""
    recipients = (ONE,) if alone else (ONE, TWO)
    made = encrypted(SOUNDS[extension], *recipients, extension=extension, bits=bits)
    return made if lab else made.changed(lab=None)


def flipped(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the data once for each of its bits, that bit flipped, with the bit's number."""
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        yield bit, bytes(changed)


def with_envelope(made: MadeRecording, der: bytes) -> MadeRecording:
    """Return the recording with another envelope."""
    return made.changed(pkcs7=pem.encode("PKCS7", der))


@pytest.mark.parametrize("extension", ["wav", "mp3"])
def test_ciphertext_with_digests(extension: str) -> None:
    """Whichever bit of the ciphertext is flipped, nothing is played."""
    made = recording(extension, lab=True)
    content = opened(made)
    assert played(content, made.stored) == Outcome(made.plaintext, verified=True)
    sentences = {played(content, stored).sentence for _, stored in flipped(made.stored)}
    assert sentences == {f"the stored bytes of media file {made.name} are not what was recorded"}


@pytest.mark.parametrize("bits", [256, 128])
def test_envelope_with_digests(bits: int) -> None:
    """Whichever bit of the envelope is flipped: the recorded audio, or one sentence."""
    made = recording("wav", lab=True, bits=bits, alone=bits == 128)
    der = Envelope.from_pem(made.media["pkcs7"]).to_der()
    outcomes = {bit: outcome(with_envelope(made, data)) for bit, data in flipped(der)}
    assert {one.played for one in outcomes.values()} == {None, made.plaintext}
    assert all(one.verified for one in outcomes.values() if one.played is not None)
    # Of the session key and the IV no flipped bit is borne, and none tells more than another.
    envelope = Envelope.from_der(der)
    own = next(info for info in envelope.recipients if info.serial == ONE.certificate.serial)
    for secret in (own.encrypted_key, envelope.iv):
        start = 8 * der.index(secret)
        told = Counter(outcomes[bit].sentence for bit in range(start, start + 8 * len(secret)))
        assert list(told) == [
            f"media file {made.name} cannot be decrypted: envelope, key and digests differ"
        ]


def test_envelope_text_with_digests() -> None:
    """The same for the PEM text: each of its characters changed."""
    made = recording("wav", lab=True)
    text = made.media["pkcs7"]
    results = set()
    for at, character in enumerate(text):
        for other in (chr(ord(character) ^ 1), "\u00e9"):
            changed = text[:at] + other + text[at + 1 :]
            results.add(outcome(made.changed(pkcs7=changed)).played)
    assert results == {None, made.plaintext}


@pytest.mark.parametrize("extension", ["wav", "mp3"])
def test_ciphertext_without_digests(extension: str) -> None:
    """Without digests: refused, or played as unverified in its whole length."""
    made = recording(extension, lab=False)
    content = opened(made)
    results = [played(content, stored) for _, stored in flipped(made.stored)]
    heard = [one for one in results if one.played is not None]
    assert not any(one.verified for one in heard)
    assert {len(one.played or b"") for one in heard} == {len(made.plaintext)}
    # What the eye can see is refused: a beginning that is no audio, an end that is no padding.
    first, last = results[: 8 * 16], results[-8 * 16 :]
    assert all(one.played is None for one in first + last)


@pytest.mark.parametrize("extension", ["wav", "mp3"])
def test_envelope_without_digests(extension: str) -> None:
    """Without digests no bit of the session key is borne; one of the IV at most in 16 bytes."""
    made = recording(extension, lab=False, alone=True)
    der = Envelope.from_pem(made.media["pkcs7"]).to_der()
    envelope = Envelope.from_der(der)
    iv = 8 * der.index(envelope.iv)
    for bit, data in flipped(der):
        result = outcome(with_envelope(made, data))
        assert not result.verified
        if result.played is None:
            continue
        assert result.played[16:] == made.plaintext[16:]
        if not iv <= bit < iv + 128:
            assert result.played == made.plaintext
    own = next(info for info in envelope.recipients if info.serial == ONE.certificate.serial)
    start = der.index(own.encrypted_key)
    for at in range(start, start + 256, 5):
        changed = der[:at] + bytes([der[at] ^ 0x10]) + der[at + 1 :]
        assert outcome(with_envelope(made, changed)).played is None

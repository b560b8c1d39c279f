"""What may come out of a stored file: the recorded audio, or nothing with a success."""

from __future__ import annotations

import base64

import msgspec
import pytest
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st

from crypto_server.errors import (
    KeyMissing,
    PlaybackRefused,
    ProcessorFailed,
    RecordingDamaged,
    RecordingUnknown,
)
from crypto_server.keystore.key_entry import KeyEntry
from crypto_server.playing.content import MediaContent, open_content, read_envelope
from crypto_server.playing.media_file import MediaName, RecordingAddress, find_media_file
from crypto_server.playing.section import Section
from recording_format.cipher import CHUNK_SIZE
from recording_format.envelope import Envelope
from tests.crypto_server.keys import KeyPair, key_pair
from tests.crypto_server.recordings import MadeRecording, encrypted, plain, wav

SMALL = wav(300)


def opened(made: MadeRecording, pair: KeyPair | None) -> MediaContent:
    """Return the content of a recording, opened with the key of `pair`."""
    name = MediaName.parse(made.name)
    file = find_media_file(made.answer, name).read()
    if pair is None:
        return open_content(file, name, None)
    if not read_envelope(file, name).has_recipient(pair.certificate):
        raise KeyMissing("the recipient was changed")
    return open_content(file, name, KeyEntry(pair.alias, pair.certificate, pair.private_key))


def played(made: MadeRecording, pair: KeyPair | None) -> bytes:
    """Return the whole plaintext, chunk by chunk as the server does it."""
    content = opened(made, pair)
    content.check_length(len(made.stored))
    section = Section(content)
    chunks = [made.stored[at : at + CHUNK_SIZE] for at in range(0, len(made.stored), CHUNK_SIZE)]
    last = len(chunks) - 1
    return b"".join(given(section, chunk, last=at == last) for at, chunk in enumerate(chunks))


def given(section: Section, chunk: bytes, *, last: bool) -> bytes:
    """Return what a section makes of its next stored chunk."""
    return b"".join(section.open_chunk(memoryview(chunk), last=last))


def outcome(made: MadeRecording, pair: KeyPair | None) -> bytes | str:
    """Return the plaintext, or the refusal's sentence."""
    try:
        return played(made, pair)
    except PlaybackRefused as error:
        return str(error)


@pytest.mark.parametrize("bits", [128, 256])
@pytest.mark.parametrize("size", [44, 47, 48, 49, 300, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1])
def test_what_was_recorded_comes_out(size: int, bits: int) -> None:
    """Plaintexts of every length around blocks and chunks come out as they went in."""
    one = key_pair("one")
    made = encrypted(wav(size), one, bits=bits)
    assert played(made, one) == made.plaintext


def test_either_recipient_opens_it() -> None:
    """Each of two recipients' keys alone opens the recording."""
    one, two = key_pair("one"), key_pair("two")
    made = encrypted(SMALL, one, two)
    assert played(made, one) == played(made, two) == SMALL


def test_every_flipped_bit_of_the_ciphertext_is_refused() -> None:
    """Whichever bit of a small recording's ciphertext is wrong, nothing comes out."""
    one = key_pair("one")
    made = encrypted(SMALL, one)
    for at in range(len(made.stored)):
        for bit in range(8):
            stored = bytearray(made.stored)
            stored[at] ^= 1 << bit
            with pytest.raises(RecordingDamaged, match="not what was recorded"):
                played(made.with_stored(bytes(stored)), one)


def test_every_flipped_bit_of_iv_and_mac_is_refused() -> None:
    """A changed IV or a changed mac is seen before anything is decrypted, with one sentence."""
    one = key_pair("one")
    made = encrypted(SMALL, one)
    envelope = Envelope.from_pem(made.media["pkcs7"])
    der = envelope.to_der()
    start = der.index(envelope.iv)
    sentences = set()
    for at in range(start, start + 16):
        flipped = bytearray(der)
        flipped[at] ^= 1
        sentences.add(outcome(made.changed(pkcs7=_pem(bytes(flipped))), one))
    lab = made.media["lab"]
    for at, digit in enumerate(lab["mac"]):
        other = "0" if digit != "0" else "1"
        mac = lab["mac"][:at] + other + lab["mac"][at + 1 :]
        sentences.add(outcome(made.changed(lab=lab | {"mac": mac}), one))
    assert len(sentences) == 1
    assert "envelope, key and digests differ" in str(sentences.pop())


def test_every_flipped_byte_of_the_envelope_is_refused_or_harmless() -> None:
    """Any changed byte of the DER envelope: the right audio or a refusal, never other bytes."""
    one, two = key_pair("one"), key_pair("two")
    made = encrypted(SMALL, one, two)
    der = Envelope.from_pem(made.media["pkcs7"]).to_der()
    refused = 0
    for at in range(len(der)):
        flipped = bytearray(der)
        flipped[at] ^= 0x01
        result = outcome(made.changed(pkcs7=_pem(bytes(flipped))), one)
        refused += isinstance(result, str)
        assert isinstance(result, str) or result == SMALL
    assert refused > len(der) // 3


def test_unwrapping_failures_all_look_alike() -> None:
    """A ruined RSA block, a block of another key and a wrong mac have the same sentence."""
    one, two = key_pair("one"), key_pair("two")
    made, other = encrypted(SMALL, one), encrypted(SMALL, one)
    info = Envelope.from_pem(made.media["pkcs7"]).recipients[0]
    der = Envelope.from_pem(made.media["pkcs7"]).to_der()
    foreign = Envelope.from_pem(encrypted(SMALL, two).media["pkcs7"]).recipients[0]
    same_key = Envelope.from_pem(other.media["pkcs7"]).recipients[0]
    blocks = [bytes(256), b"\xff" * 256, foreign.encrypted_key, same_key.encrypted_key]
    sentences = {
        outcome(made.changed(pkcs7=_pem(der.replace(info.encrypted_key, block))), one)
        for block in blocks
    }
    assert sentences == {
        f"media file {made.name} cannot be decrypted: envelope, key and digests differ"
    }


def test_unwrapping_failures_look_alike_without_digests_too() -> None:
    """Without ``lab`` a ruined RSA block is told like a wrong key, and only once bytes came."""
    one, two = key_pair("one"), key_pair("two")
    made = encrypted(SMALL, one).changed(lab=None)
    info = Envelope.from_pem(made.media["pkcs7"]).recipients[0]
    der = Envelope.from_pem(made.media["pkcs7"]).to_der()
    foreign = Envelope.from_pem(encrypted(SMALL, two).media["pkcs7"]).recipients[0]
    same_key = Envelope.from_pem(encrypted(SMALL, one).media["pkcs7"]).recipients[0]
    sentences = set()
    for block in (bytes(256), foreign.encrypted_key, same_key.encrypted_key):
        ruined = made.changed(pkcs7=_pem(der.replace(info.encrypted_key, block)))
        content = opened(ruined, one)
        with pytest.raises(RecordingDamaged) as caught:
            given(Section(content), ruined.stored, last=True)
        sentences.add(str(caught.value))
    assert len(sentences) == 1


@pytest.mark.parametrize("cut", [0, 1, 15, 16, 17, 160, 288, 303])
@pytest.mark.parametrize("lab", ["with digests", "without digests"])
def test_cut_ciphertext_is_refused(cut: int, lab: str) -> None:
    """A ciphertext that ends early, at a block's end too, is refused with and without digests."""
    one = key_pair("one")
    made = encrypted(SMALL, one)
    made = made.with_stored(made.stored[:cut])
    made = made if lab == "with digests" else made.changed(lab=None)
    content = opened(made, one)
    with pytest.raises(RecordingDamaged, match=f"has {cut} bytes instead of 304: it was cut"):
        content.check_length(cut)
    with pytest.raises(RecordingDamaged):
        given(Section(content), made.stored, last=True)


@pytest.mark.parametrize("size", [None, "as it was"])
def test_missing_chunks_are_seen_without_any_length(size: str | None) -> None:
    """Whole chunks that lack at the end are refused though no length was told but the digests'."""
    made = plain(wav(2 * CHUNK_SIZE + 5))
    section = Section(opened(made if size else made.changed(size=None), None))
    given(section, made.stored[:CHUNK_SIZE], last=False)
    with pytest.raises(RecordingDamaged):
        given(section, made.stored[CHUNK_SIZE : 2 * CHUNK_SIZE], last=True)


def test_chunks_cannot_be_swapped_dropped_or_added() -> None:
    """Chunks of a larger file in another order, one too few or one too many are refused."""
    one = key_pair("one")
    made = encrypted(wav(3 * CHUNK_SIZE), one)
    first, second, third, rest = (
        made.stored[at : at + CHUNK_SIZE] for at in range(0, len(made.stored), CHUNK_SIZE)
    )
    for order in [(second, first, third, rest), (first, third, rest), (first, second, third)]:
        assert isinstance(outcome(made.with_stored(b"".join(order)), one), str)
    section = Section(opened(made, one))
    for chunk in (first, second, third):
        given(section, chunk, last=False)
    with pytest.raises(RecordingDamaged):
        given(section, rest + bytes(16), last=True)


@pytest.mark.parametrize("difference", [-16, -1, 1, 15])
def test_wrong_plaintext_size_is_refused(difference: int) -> None:
    """A ``size`` that the padding does not confirm is refused before the last piece is given."""
    one = key_pair("one")
    made = encrypted(SMALL, one)
    wrong = made.changed(size=str(len(SMALL) + difference))
    assert isinstance(outcome(wrong, one), str)
    assert isinstance(outcome(wrong.changed(lab=None), one), str)


@pytest.mark.parametrize("size", ["", None])
def test_missing_size_is_no_hindrance(size: str | None) -> None:
    """A recording whose metadata does not tell the size plays all the same."""
    one = key_pair("one")
    assert played(encrypted(SMALL, one).changed(size=size), one) == SMALL


@pytest.mark.parametrize("size", ["-1", "1e3", "many", "٣", "9" * 40, {}])
def test_senseless_size_is_refused(size: object) -> None:
    """A size that is no number of bytes is told as damaged metadata."""
    one = key_pair("one")
    with pytest.raises(RecordingDamaged, match="size"):
        played(encrypted(SMALL, one).changed(size=size), one)


@pytest.mark.parametrize(
    "lab",
    [{}, {"size": 304}, {"mac": ""}, {"mac": "00"}, {"chunks": []}, {"chunks": ["x"]}, {"size": 1}],
)
def test_broken_digests_never_count_as_none(lab: dict[str, object]) -> None:
    """A ``lab`` that lacks something does not make a recording unverified: it is refused."""
    one = key_pair("one")
    made = encrypted(SMALL, one)
    broken = made.media["lab"] | lab if lab else {}
    if lab == {"size": 304}:
        assert len(made.stored) == 304  # the right size: the unbroken twin of the other cases
        assert played(made.changed(lab=broken), one) == SMALL
    else:
        assert isinstance(outcome(made.changed(lab=broken), one), str)


def test_recording_without_digests_plays_unverified() -> None:
    """A recording of a real media server plays, and says that nobody verified it."""
    one = key_pair("one")
    made = encrypted(SMALL, one)
    assert opened(made, one).verified
    assert not opened(made.changed(lab=None), one).verified
    assert played(made.changed(lab=None), one) == SMALL


def test_plain_recording_passes_through_checked() -> None:
    """An unencrypted recording comes out as stored; a changed byte or no audio is refused."""
    made = plain(SMALL)
    assert played(made, None) == SMALL
    assert isinstance(outcome(made.with_stored(SMALL[:-1] + b"\0\0"), None), str)
    flipped = bytearray(SMALL)
    flipped[100] ^= 1
    assert isinstance(outcome(made.with_stored(bytes(flipped)), None), str)
    assert played(made.changed(lab=None), None) == SMALL


def test_ciphertext_is_never_served_as_audio() -> None:
    """Metadata that hides the envelope does not make a ciphertext pass for a plain file."""
    one = key_pair("one")
    made = encrypted(SMALL, one)
    assert "has no envelope" in str(outcome(made.changed(pkcs7=None), one))
    renamed = made.name.removesuffix(".bin")
    hidden = MadeRecording(
        made.recording_id,
        renamed,
        made.plaintext,
        made.stored,
        made.media | {"mediaPath": f"/x/{renamed}"},
    )
    assert "an envelope but a plain name" in str(outcome(hidden, None))
    size = str(len(made.stored))
    assert isinstance(outcome(hidden.changed(pkcs7=None, size=size), None), str)


def test_media_names_are_read_and_written() -> None:
    """Play names of the four forms are understood, with the type of their plaintext."""
    for text, kind in [
        ("a.wav", "audio/wav"),
        ("a.mp3", "audio/mpeg"),
        ("a.wav.bin", "audio/wav"),
        ("a.b.mp3.bin", "audio/mpeg"),
        ("a.mp4.bin", "video/mp4"),
    ]:
        name = MediaName.parse(text)
        assert (str(name), name.content_type) == (text, kind)
        assert name.encrypted is text.endswith(".bin")


@pytest.mark.parametrize("text", ["", "a", "a.bin", "a.ogg", ".wav", "a/b.wav", "a.WAV", "ä.wav"])
def test_other_names_are_unknown(text: str) -> None:
    """What is no play name is answered like an unknown recording."""
    with pytest.raises(RecordingUnknown):
        MediaName.parse(text)


@pytest.mark.parametrize("text", [".", "..", "x" * 201, "a\nb", "a\0"])
def test_senseless_ids_are_unknown(text: str) -> None:
    """An id that no recording can have is not asked for."""
    with pytest.raises(RecordingUnknown):
        RecordingAddress(text).check()
    with pytest.raises(RecordingUnknown):
        RecordingAddress("ok", text).check()


@settings(max_examples=150, deadline=None)
@examples(st.recursive(st.none() | st.text() | st.integers() | st.booleans(), st.lists))
def test_any_answer_is_read_or_refused(value: object) -> None:
    """Whatever JSON the processor answers, the result is one of three refusals or a file."""
    name = MediaName("x", "wav", encrypted=True)
    shapes: list[object] = [
        value,
        {"recording": value},
        {"recording": {"mediaFiles": value}},
        {"recording": {"mediaFiles": [value, {"mediaPath": value}]}},
        {"recording": {"mediaFiles": [{"mediaPath": "x.wav.bin", "mediaId": value, "lab": value}]}},
    ]
    for shape in shapes:
        with pytest.raises((ProcessorFailed, RecordingUnknown, RecordingDamaged)):
            find_media_file(msgspec.json.encode(shape), name).read()


@settings(max_examples=50, deadline=None)
@examples(st.binary(max_size=64))
def test_any_bytes_are_no_answer(data: bytes) -> None:
    """Bytes that are not JSON are told as the processor's failure."""
    with pytest.raises((ProcessorFailed, RecordingUnknown)):
        find_media_file(data, MediaName("x", "wav", encrypted=True))


def test_ruined_sibling_disturbs_nothing() -> None:
    """Another media file of the recording with senseless metadata does not stop this one."""
    made = encrypted(SMALL, key_pair("one"))
    files = [{"mediaPath": 7, "lab": []}, {}, made.media, {"mediaPath": "/x", "size": {}}]
    answer = msgspec.json.encode({"recording": {"mediaFiles": files}})
    file = find_media_file(answer, MediaName.parse(made.name)).read()
    assert file.media_id == made.media["mediaId"]
    assert "BEGIN" not in repr(file)


def _pem(der: bytes) -> str:
    text = base64.b64encode(der).decode()
    return f"-----BEGIN PKCS7-----\n{text}\n-----END PKCS7-----\n"

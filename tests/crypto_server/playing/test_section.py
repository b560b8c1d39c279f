"""Parts of the plaintext from parts of the ciphertext: right, or refused."""

from __future__ import annotations

import functools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crypto_server.errors import PlaybackRefused, RecordingDamaged
from crypto_server.keystore.key_entry import KeyEntry
from crypto_server.playing.byte_range import Span
from crypto_server.playing.content import MediaContent, open_content
from crypto_server.playing.media_file import MediaName, find_media_file
from crypto_server.playing.section import Section
from recording_format.cipher import CHUNK_SIZE
from tests.crypto_server.keys import key_pair
from tests.crypto_server.recordings import MadeRecording, encrypted, plain, wav

SIZES = (3 * CHUNK_SIZE + 12345, 2 * CHUNK_SIZE, 2 * CHUNK_SIZE - 1, 2 * CHUNK_SIZE + 15, 300)


@functools.cache
def made(kind: str, size: int) -> MadeRecording:
    """Return a recording: ``encrypted`` or ``plain``, or the same ``… without digests``."""
    audio = wav(size)
    recording = plain(audio) if kind.startswith("plain") else encrypted(audio, key_pair("one"))
    return recording.changed(lab=None) if kind.endswith("without digests") else recording


KINDS = ("encrypted", "plain", "encrypted without digests", "plain without digests")


def opened(recording: MadeRecording) -> MediaContent:
    """Return the content, opened with the key ``one``."""
    name = MediaName.parse(recording.name)
    pair = key_pair("one")
    entry = KeyEntry(pair.alias, pair.certificate, pair.private_key)
    return open_content(find_media_file(recording.answer, name).read(), name, entry)


def part(recording: MadeRecording, start: int, stop: int) -> tuple[bytes, int]:
    """Return the plaintext of a part, and how many stored bytes were fetched for it."""
    content = opened(recording)
    section = Section(content, Span(start, stop))
    assert section.fetch is not None
    content.check_length(len(recording.stored))
    stored = memoryview(recording.stored[section.fetch.start : section.fetch.stop])
    assert len(stored) == section.fetch.size
    out = b""
    for at in range(0, len(stored), CHUNK_SIZE):
        last = at + CHUNK_SIZE >= len(stored)
        out += b"".join(section.open_chunk(stored[at : at + CHUNK_SIZE], last=last))
    return out, len(stored)


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(data=st.data())
def test_any_part_is_that_part_of_the_plaintext(kind: str, data: st.DataObject) -> None:
    """Wherever a part begins and ends, it is those bytes; little more than its chunks is needed."""
    size = data.draw(st.sampled_from(SIZES))
    edges = [edge for n in range(4) for edge in range(n * CHUNK_SIZE - 18, n * CHUNK_SIZE + 18)]
    near = st.sampled_from([edge for edge in edges if 0 <= edge < size])
    start = data.draw(near | st.integers(0, size - 1))
    last = data.draw(near | st.integers(0, size - 1) | st.just(size - 1))
    start, stop = min(start, last), max(start, last) + 1
    recording = made(kind, size)
    out, fetched = part(recording, start, stop)
    assert out == recording.plaintext[start:stop]
    assert fetched <= stop - start + (48 if kind.endswith("without digests") else 2 * CHUNK_SIZE)


@pytest.mark.parametrize(
    ("start", "first", "chunks"),
    [
        (0, 0, 1),
        (CHUNK_SIZE - 1, 0, 1),
        (CHUNK_SIZE, 0, 2),
        (CHUNK_SIZE + 15, 0, 2),
        (CHUNK_SIZE + 16, 1, 1),
        (2 * CHUNK_SIZE - 1, 1, 1),
        (2 * CHUNK_SIZE + 7, 1, 2),
    ],
)
def test_a_part_begins_one_chunk_earlier_only_where_it_must(
    start: int, first: int, chunks: int
) -> None:
    """The block before is needed too: in a chunk's first block that is another chunk."""
    section = Section(opened(made("encrypted", SIZES[0])), Span(start, start + 1))
    assert section.fetch == Span(first * CHUNK_SIZE, (first + chunks) * CHUNK_SIZE)


@pytest.mark.parametrize("bit", range(8))
def test_the_block_before_a_part_is_checked(bit: int) -> None:
    """A bit of it that flips would flip a bit of sound under a right digest: refused instead."""
    recording = made("encrypted", SIZES[0])
    stored = bytearray(recording.stored)
    stored[CHUNK_SIZE - 8] ^= 1 << bit
    ruined = recording.with_stored(bytes(stored))
    with pytest.raises(RecordingDamaged, match="not what was recorded"):
        part(ruined, CHUNK_SIZE, CHUNK_SIZE + 100)
    with pytest.raises(RecordingDamaged, match="not what was recorded"):
        part(ruined, CHUNK_SIZE + 15, CHUNK_SIZE + 16)
    # The next block depends on nothing of that chunk.
    right = recording.plaintext[CHUNK_SIZE + 16 : CHUNK_SIZE + 100]
    assert part(ruined, CHUNK_SIZE + 16, CHUNK_SIZE + 100)[0] == right


@pytest.mark.parametrize("kind", ["encrypted", "plain"])
@settings(deadline=None)
@given(at=st.integers(0, SIZES[0] - 1), start=st.integers(0, SIZES[0] - 1))
@example(at=CHUNK_SIZE - 1, start=CHUNK_SIZE)
@example(at=CHUNK_SIZE, start=CHUNK_SIZE - 1)
@example(at=SIZES[0] - 1, start=SIZES[0] - 1)
def test_no_flipped_bit_is_ever_heard(kind: str, at: int, start: int) -> None:
    """Whatever byte of the store differs: the right bytes of the part, or a refusal."""
    recording = made(kind, SIZES[0])
    stored = bytearray(recording.stored)
    stored[at] ^= 0x10
    stop = min(start + 40, SIZES[0])
    try:
        out, _ = part(recording.with_stored(bytes(stored)), start, stop)
    except PlaybackRefused:
        return
    assert out == recording.plaintext[start:stop]


def test_every_flipped_bit_of_a_small_file_is_refused_in_every_part() -> None:
    """In a file of one chunk no part at all is served once one bit is wrong."""
    recording = made("encrypted", 300)
    for at in range(0, len(recording.stored), 5):
        stored = bytearray(recording.stored)
        stored[at] ^= 1 << at % 8
        ruined = recording.with_stored(bytes(stored))
        for start, stop in ((0, 1), (100, 200), (299, 300)):
            with pytest.raises(RecordingDamaged):
                part(ruined, start, stop)


@pytest.mark.parametrize("kind", ["encrypted", "encrypted without digests"])
@settings(deadline=None)
@given(data=st.data())
def test_a_size_that_lies_never_makes_padding_sound(kind: str, data: st.DataObject) -> None:
    """Whatever `size` the metadata tells: a part is right bytes, or it is refused."""
    told = data.draw(st.integers(285, 305))  # the true size is 300, and 288 to 303 have its blocks
    start = data.draw(st.integers(270, told - 1))
    stop = data.draw(st.integers(start + 1, told))
    recording = made(kind, 300).changed(size=str(told))
    try:
        out, _ = part(recording, start, stop)
    except PlaybackRefused:
        assert told != 300
        return
    assert out == recording.plaintext[start:stop]
    assert len(out) == stop - start


@pytest.mark.parametrize("kind", ["encrypted", "encrypted without digests"])
@pytest.mark.parametrize(("start", "stop"), [(298, 301), (300, 302), (301, 302), (50, 301)])
def test_padding_is_not_played_under_a_size_that_is_too_large(
    kind: str, start: int, stop: int
) -> None:
    """A part that ends before `size`, but behind the sound's true end, is refused."""
    recording = made(kind, 300).changed(size="303")
    with pytest.raises(RecordingDamaged, match="does not have its 303 bytes"):
        part(recording, start, stop)


@pytest.mark.parametrize("told", [288, 299, 301, 303])
@pytest.mark.parametrize("kind", ["encrypted", "encrypted without digests"])
def test_a_size_that_lies_is_seen_at_the_end(kind: str, told: int) -> None:
    """A part that ends where `size` says must end where the padding says."""
    recording = made(kind, 300).changed(size=str(told))
    with pytest.raises(RecordingDamaged, match="does not have its"):
        part(recording, told - 20, told)


def test_chunks_of_a_part_cannot_be_swapped() -> None:
    """Right chunks at wrong places are not what was recorded."""
    recording = made("encrypted", SIZES[0])
    one, two = (recording.stored[n * CHUNK_SIZE : (n + 1) * CHUNK_SIZE] for n in (0, 1))
    swapped = recording.with_stored(two + one + recording.stored[2 * CHUNK_SIZE :])
    with pytest.raises(RecordingDamaged):
        part(swapped, CHUNK_SIZE + 16, CHUNK_SIZE + 17)

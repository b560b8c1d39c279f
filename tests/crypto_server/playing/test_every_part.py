"""Every part of a small file whose chunks are two blocks long: no edge is left to chance."""

from __future__ import annotations

import pytest

from crypto_server.keystore.key_entry import KeyEntry
from crypto_server.playing import ends, plan
from crypto_server.playing.byte_range import ByteRange, Span
from crypto_server.playing.content import MediaContent, open_content
from crypto_server.playing.ends import End, Ends
from crypto_server.playing.media_file import MediaName, find_media_file
from crypto_server.playing.section import Section
from recording_format import digests, integrity
from tests.crypto_server.keys import key_pair
from tests.crypto_server.recordings import MadeRecording, encrypted, plain, wav

CHUNK = 32
PAPERS: dict[str, dict[str, None]] = {
    "all": {},
    "no size": {"size": None},
    "no digests": {"lab": None},
    "neither": {"lab": None, "size": None},
}


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (digests, integrity, plan, ends):
        monkeypatch.setattr(module, "CHUNK_SIZE", CHUNK)


@pytest.mark.parametrize("papers", PAPERS)
@pytest.mark.parametrize("kind", [encrypted, plain])
@pytest.mark.parametrize("size", [79, 80, 81, 95, 96, 97])
def test_every_part_is_those_bytes(kind: object, size: int, papers: str) -> None:
    """Whatever begins and ends where: exactly those bytes, and hardly more is fetched."""
    audio = wav(size)
    made = plain(audio) if kind is plain else encrypted(audio, key_pair("one"))
    made = made.changed(**PAPERS[papers])
    content = opened(made)
    assert content.plaintext_size == size
    for start in range(size):
        for stop in range(start + 1, size + 1):
            out, fetched = part(content, made, Span(start, stop))
            assert out == audio[start:stop], (start, stop)
            assert fetched <= stop - start + (3 * CHUNK if content.verified else 48)


def opened(made: MadeRecording) -> MediaContent:
    """Return the content with its sizes known, as a player has it before it plays a part."""
    name = MediaName.parse(made.name)
    pair = key_pair("one")
    entry = KeyEntry(pair.alias, pair.certificate, pair.private_key)
    content = open_content(find_media_file(made.answer, name).read(), name, entry)
    looked = Ends(content)
    if looked.needed:
        looked.look(_end(made, looked.head), _end(made, looked.tail))
    return content


def _end(made: MadeRecording, wanted: ByteRange | None) -> End | None:
    if wanted is None:
        return None
    span = wanted.within(len(made.stored))
    assert span is not None
    return End(made.stored[span.start : span.stop], len(made.stored))


def part(content: MediaContent, made: MadeRecording, span: Span) -> tuple[bytes, int]:
    """Return the plaintext of a part, and how many stored bytes were fetched for it."""
    section = Section(content, span)
    assert section.fetch is not None
    stored = memoryview(made.stored)[section.fetch.start : section.fetch.stop]
    assert len(stored) == section.fetch.size
    out = b""
    for at in range(0, len(stored), CHUNK):
        chunk = stored[at : at + CHUNK]
        out += b"".join(section.open_chunk(chunk, last=at + CHUNK >= len(stored)))
    return out, len(stored)

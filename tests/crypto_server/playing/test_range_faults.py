"""Parts of a file whose processor or store does not play along: refused, cut, or borne."""

from __future__ import annotations

import functools

import pytest

from recording_format.cipher import CHUNK_SIZE
from tests.crypto_server.conftest import StartServer, refusal
from tests.crypto_server.fake_processor import FakeProcessor
from tests.crypto_server.keys import key_pair
from tests.crypto_server.recordings import MadeRecording, encrypted, plain, wav

SMALL = wav(3000)
LARGE_SIZE = 9 * CHUNK_SIZE + 1234


@functools.cache
def large(kind: str = "encrypted") -> MadeRecording:
    """Return a recording of ten chunks."""
    audio = wav(LARGE_SIZE)
    return encrypted(audio, key_pair("one")) if kind == "encrypted" else plain(audio)


async def test_a_processor_that_ignores_range_is_borne(
    start_server: StartServer, processor: FakeProcessor
) -> None:
    """Where the whole file comes instead of the part, what comes before it is skipped."""
    processor.ignores_range = True
    made = large()
    unverified = encrypted(wav(70000), key_pair("one"), recording_id="02").changed(lab=None)
    processor.recordings += [made, unverified]
    async with start_server(processor, key_pair("one")) as server:
        status, _, body = await server.get(made.path, Range="bytes=5000000-5000999")
        assert (status, body) == (206, made.plaintext[5000000:5001000])
        status, _, body = await server.get(unverified.path, Range="bytes=-50")
        assert (status, body) == (206, unverified.plaintext[-50:])
        processor.told_length = False
        status, _, body = await server.get(made.path, Range="bytes=5000000-5000999")
        assert (status, refusal(body)[0]) == (502, 4)


@pytest.mark.parametrize(
    "content_range",
    [
        "",
        "bytes */9438418",
        "bytes 0-1048575/*",
        "bytes 0-1048574/9438432",
        "bytes 1-1048576/9438432",
        "bytes 1048576-2097151/9438432",
        "bytes 0-1048575/1",
        "items 0-1048575/9438432",
    ],
)
async def test_another_part_than_was_asked_for_is_refused(
    start_server: StartServer, processor: FakeProcessor, content_range: str
) -> None:
    """A 206 with a missing, wrong or impossible Content-Range is never played."""
    made = large()
    assert len(made.stored) == 9438432
    processor.recordings.append(made)
    processor.part_headers = {"Content-Range": content_range}
    async with start_server(processor, key_pair("one")) as server:
        status, _, body = await server.get(made.path, Range="bytes=0-99")
    assert (status, refusal(body)[0]) == (502, 4)
    assert server.lines()[0]["outcome"] == "processor-failed"


@pytest.mark.parametrize("size", [-16, 16, CHUNK_SIZE])
async def test_a_stored_file_of_another_length_is_told(
    start_server: StartServer, processor: FakeProcessor, size: int
) -> None:
    """A file that was cut or has grown is refused in every part, with both lengths."""
    made = large()
    length = len(made.stored)
    longer = made.stored + bytes(size) if size > 0 else made.stored[:size]
    processor.recordings.append(made.with_stored(longer))
    async with start_server(processor, key_pair("one")) as server:
        status, _, body = await server.get(made.path, Range="bytes=0-99")
    trouble = "it was cut" if size < 0 else "it has grown"
    sentence = f"the stored file of {made.name} has {length + size} bytes instead of {length}: "
    assert (status, refusal(body)) == (500, (4, sentence + trouble))


async def test_a_stored_file_that_lost_the_part_is_told(
    start_server: StartServer, processor: FakeProcessor
) -> None:
    """Where the store answers 416, the listener hears that the file is damaged, not that it asked
    for too much.
    """
    made = large()
    processor.recordings.append(made.with_stored(made.stored[:CHUNK_SIZE]))
    async with start_server(processor, key_pair("one")) as server:
        status, _, body = await server.get(made.path, Range=f"bytes={5 * CHUNK_SIZE}-")
    assert (status, refusal(body)) == (
        500,
        (4, f"the stored file of {made.name} is shorter than its metadata says"),
    )


async def test_damage_before_a_part_of_the_first_block_is_told(
    start_server: StartServer, processor: FakeProcessor
) -> None:
    """The block before a part counts as the part's own: one bit of it and nothing is played."""
    made = large()
    stored = bytearray(made.stored)
    stored[CHUNK_SIZE - 1] ^= 1
    processor.recordings.append(made.with_stored(bytes(stored)))
    async with start_server(processor, key_pair("one")) as server:
        status, _, body = await server.get(made.path, Range=f"bytes={CHUNK_SIZE}-")
        assert (status, refusal(body)[0]) == (500, 4)
        status, _, body = await server.get(
            made.path, Range=f"bytes={CHUNK_SIZE + 16}-{CHUNK_SIZE + 99}"
        )
        assert (status, body) == (206, made.plaintext[CHUNK_SIZE + 16 : CHUNK_SIZE + 100])


async def test_a_part_that_breaks_off_is_cut(
    start_server: StartServer, processor: FakeProcessor
) -> None:
    """Stored bytes that break off within a part: 502 at its beginning, a cut transfer later."""
    made = large()
    processor.recordings.append(made)
    async with start_server(processor, key_pair("one")) as server:
        processor.cut_after = 1000
        status, _, body = await server.get(made.path, Range=f"bytes={CHUNK_SIZE + 50}-")
        assert (status, refusal(body)[0]) == (502, 4)
        processor.cut_after = 2 * CHUNK_SIZE + 1000
        headers, received, complete = await server.get_what_comes(
            made.path, Range=f"bytes={CHUNK_SIZE + 50}-"
        )
        await server.ended(2)
    assert headers["Content-Length"] == str(LARGE_SIZE - CHUNK_SIZE - 50)
    assert not complete
    assert made.plaintext[CHUNK_SIZE + 50 :].startswith(received)
    assert [line["outcome"] for line in server.lines()] == ["processor-failed"] * 2

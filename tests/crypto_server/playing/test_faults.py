"""Damaged recordings and a failing processor: clear errors, and never wrong audio."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import aiohttp
import pytest

from crypto_server.settings import PlaybackSettings
from recording_format.cipher import CHUNK_SIZE
from recording_format.envelope import Envelope
from tests.crypto_server.conftest import StartServer, refusal
from tests.crypto_server.fake_processor import FakeProcessor
from tests.crypto_server.keys import key_pair
from tests.crypto_server.recordings import encrypted, wav

SMALL = wav(3000)


@pytest.mark.parametrize("place", ["ciphertext", "iv", "mac", "envelope", "length"])
async def test_damage_is_500_with_statuscode_4(
    start_server: StartServer, processor: FakeProcessor, place: str
) -> None:
    """Whatever is damaged in a small file: a JSON error, no audio, no detail of the key."""
    made = encrypted(SMALL, key_pair("one"))
    pkcs7, lab = made.media["pkcs7"], made.media["lab"]
    other = encrypted(SMALL, key_pair("one")).media["pkcs7"]
    flipped = bytes([made.stored[500] ^ 0x20])
    damaged = {
        "ciphertext": made.with_stored(made.stored[:500] + flipped + made.stored[501:]),
        "iv": made.changed(pkcs7=other),
        "mac": made.changed(lab=lab | {"mac": "0" * 64}),
        "envelope": made.changed(pkcs7=pkcs7[:300]),
        "length": made.with_stored(made.stored[:-16]),
    }
    processor.recordings.append(damaged[place])
    async with start_server(processor, key_pair("one")) as server:
        status, headers, body = await server.get(made.path)
    assert (status, refusal(body)[0]) == (500, 4)
    assert headers["Content-Type"].startswith("application/json")
    assert server.lines()[0]["outcome"] == "damaged"


@pytest.mark.parametrize("lab", ["with digests", "without digests"])
async def test_later_damage_cuts_the_transfer(
    start_server: StartServer, processor: FakeProcessor, lab: str
) -> None:
    """Damage behind the first chunk: the client gets right bytes only, and sees that some lack."""
    made = encrypted(wav(3 * CHUNK_SIZE + 99), key_pair("one"))
    at = 2 * CHUNK_SIZE + 1000
    made = made.with_stored(made.stored[:at] + b"????" + made.stored[at + 4 :])
    if lab == "without digests":  # nobody can see it but the padding: cut the file instead
        made = made.changed(lab=None).with_stored(made.stored[: 2 * CHUNK_SIZE + 16])
        processor.told_length = False
    processor.recordings.append(made)
    async with start_server(processor, key_pair("one")) as server:
        headers, received, complete = await server.get_what_comes(made.path)
        await server.ended()
    assert headers["Content-Length"] == str(len(made.plaintext))
    assert not complete
    assert len(received) < len(made.plaintext)
    assert made.plaintext.startswith(received)
    (line,) = server.lines()
    assert (line["outcome"], line["status"]) == ("damaged", 200)


@pytest.mark.parametrize("header", [{}, {"Range": "bytes=100-"}])
@pytest.mark.parametrize("lab", ["with digests", "without digests"])
async def test_failures_of_the_session_key_have_one_answer_after_the_same_work(
    start_server: StartServer, processor: FakeProcessor, lab: str, header: dict[str, str]
) -> None:
    """A ruined RSA block, one of another key and a right one of another recording are not told
    apart: the same answer, after the same requests for as many bytes.
    """
    made = encrypted(SMALL, key_pair("one"))
    envelope = Envelope.from_pem(made.media["pkcs7"])
    others = [encrypted(SMALL, key_pair(name)).media["pkcs7"] for name in ("one", "two")]
    blocks = [Envelope.from_pem(other).recipients[0].encrypted_key for other in others]
    seen = set()
    async with start_server(processor, key_pair("one")) as server:
        for block in (*blocks, bytes(256), b"\xff" * 256, bytes(255) + b"\1", b"", bytes(300)):
            wrapped = replace(envelope.recipients[0], encrypted_key=block)
            ruined = made.changed(pkcs7=replace(envelope, recipients=(wrapped,)).to_pem())
            if lab == "without digests":
                ruined = ruined.changed(lab=None)
            processor.recordings[:] = [ruined]
            processor.asked.clear()
            processor.ranges.clear()
            processor.sent = 0
            status, headers, body = await server.get(made.path, **header)
            work = (len(processor.asked), tuple(processor.ranges), processor.sent)
            seen.add((status, body, tuple(sorted(set(headers) - {"Date"})), work))
    assert len(seen) == 1
    assert seen.pop()[0] == 500
    assert len({(line["outcome"], line["key_alias"]) for line in server.lines()}) == 1


async def test_size_that_lies_by_some_bytes_is_never_whole(
    start_server: StartServer, processor: FakeProcessor
) -> None:
    """A ``size`` within the same block as the true one cannot make a shortened file look whole."""
    made = encrypted(wav(2 * CHUNK_SIZE + 90), key_pair("one"))
    made = made.changed(size=str(2 * CHUNK_SIZE + 89))
    processor.recordings.append(made)
    async with start_server(processor, key_pair("one")) as server:
        with pytest.raises(aiohttp.ClientError):
            await server.get(made.path)


async def test_broken_transfer_from_the_processor(
    start_server: StartServer, processor: FakeProcessor
) -> None:
    """Stored bytes that break off: a JSON error at the beginning, a cut transfer later."""
    made = encrypted(wav(3 * CHUNK_SIZE), key_pair("one"))
    processor.recordings.append(made)
    async with start_server(processor, key_pair("one")) as server:
        processor.cut_after = 1000
        status, _, body = await server.get(made.path)
        assert (status, refusal(body)[0]) == (502, 4)
        processor.cut_after = 2 * CHUNK_SIZE + 1000
        with pytest.raises(aiohttp.ClientError):
            await server.get(made.path)
        await server.ended(2)
    assert [line["outcome"] for line in server.lines()] == ["processor-failed"] * 2


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (404, (404, 6)),
        (504, (504, 4)),
        *((status, (502, 4)) for status in (204, 206, 302, 401, 403, 500, 503)),
    ],
)
async def test_processors_refusals(
    start_server: StartServer, processor: FakeProcessor, status: int, expected: tuple[int, int]
) -> None:
    """Each answer of the processor that is no success becomes one clear error."""
    made = encrypted(SMALL, key_pair("one"))
    processor.recordings.append(made)
    processor.status = status
    async with start_server(processor, key_pair("one")) as server:
        got, _, body = await server.get(made.path)
    assert (got, refusal(body)[0]) == expected
    assert len(processor.asked) == 1


async def test_processor_that_is_not_there(
    start_server: StartServer, processor: FakeProcessor
) -> None:
    """Nobody listening where the processor should be: 502."""
    processor.url = "http://127.0.0.1:1"
    async with start_server(processor, key_pair("one")) as server:
        status, _, body = await server.get("/rcs/recordings/x/play/y.wav.bin")
    assert (status, refusal(body)) == (502, (4, "the recording processor cannot be reached"))


async def test_processor_that_is_silent_or_slow(
    start_server: StartServer, processor: FakeProcessor
) -> None:
    """A processor that does not answer, or stops before the first chunk is whole: 504 in time."""
    made = encrypted(wav(3 * CHUNK_SIZE), key_pair("one"))
    processor.recordings.append(made)
    playback = PlaybackSettings(first_byte_seconds=0.3)
    async with start_server(
        processor, key_pair("one"), playback=playback, read_seconds=600
    ) as server:
        async with asyncio.timeout(20):
            processor.stall_after = 1000
            status, _, body = await server.get(made.path)
            assert (status, refusal(body)[0]) == (504, 4)
            processor.silent = True
            status, _, body = await server.get(made.path)
            assert (status, refusal(body)[0]) == (504, 4)
    assert [line["outcome"] for line in server.lines()] == ["processor-slow"] * 2


async def test_processor_that_stalls_later(
    start_server: StartServer, processor: FakeProcessor
) -> None:
    """A transfer that stops in the middle is cut within the read time-out."""
    made = encrypted(wav(4 * CHUNK_SIZE), key_pair("one"))
    processor.recordings.append(made)
    processor.stall_after = 3 * CHUNK_SIZE
    async with start_server(processor, key_pair("one"), read_seconds=0.3) as server:
        with pytest.raises(aiohttp.ClientError):
            await server.get(made.path)
        await server.ended()
    assert server.lines()[0]["outcome"] == "processor-slow"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b'{"recording":{}}'])
async def test_senseless_answers_of_the_processor(
    start_server: StartServer, processor: FakeProcessor, body: bytes
) -> None:
    """An answer that is not a recording is the processor's failure; one without files is 404."""
    processor.recordings.append(encrypted(SMALL, key_pair("one")))
    processor.metadata = body or b" "
    async with start_server(processor, key_pair("one")) as server:
        status, _, answer = await server.get(processor.recordings[0].path)
    expected = (404, 6) if b"recording" in body else (502, 4)
    assert (status, refusal(answer)[0]) == expected


async def test_endless_answer_of_the_processor(
    start_server: StartServer, processor: FakeProcessor
) -> None:
    """Metadata of many megabytes is not read to its end."""
    processor.recordings.append(encrypted(SMALL, key_pair("one")))
    processor.metadata = b" " * (20 << 20)
    async with start_server(processor, key_pair("one")) as server:
        status, _, body = await server.get(processor.recordings[0].path)
    assert (status, refusal(body)) == (502, (4, "the recording processor's answer is too long"))

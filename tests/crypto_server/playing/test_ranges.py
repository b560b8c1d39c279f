"""Playing from anywhere in a recording: RFC 9110 §14 over HTTP, and what it costs."""

from __future__ import annotations

import functools

import pytest

from recording_format.cipher import CHUNK_SIZE
from recording_format.envelope import Envelope
from tests.crypto_server.conftest import StartServer, refusal
from tests.crypto_server.fake_processor import FakeProcessor
from tests.crypto_server.keys import key_pair
from tests.crypto_server.recordings import MadeRecording, encrypted, mp3, plain, wav

SMALL = wav(3000)
LARGE_SIZE = 9 * CHUNK_SIZE + 1234


@functools.cache
def large(kind: str = "encrypted") -> MadeRecording:
    """Return a recording of ten chunks."""
    audio = wav(LARGE_SIZE)
    return encrypted(audio, key_pair("one")) if kind == "encrypted" else plain(audio)


@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [
        ("bytes=0-", 0, 3000),
        ("bytes=0-0", 0, 1),
        ("bytes=10-20", 10, 21),
        ("bytes=2999-", 2999, 3000),
        ("bytes=-5", 2995, 3000),
        ("bytes=-9999", 0, 3000),
        ("bytes=100-99999", 100, 3000),
    ],
)
@pytest.mark.parametrize("kind", ["encrypted", "plain"])
async def test_a_part_is_answered_with_206(
    start_server: StartServer,
    processor: FakeProcessor,
    kind: str,
    header: str,
    start: int,
    stop: int,
) -> None:
    """A single range gets exactly its bytes, says which, and is written down with them."""
    made = encrypted(SMALL, key_pair("one")) if kind == "encrypted" else plain(SMALL)
    processor.recordings.append(made)
    async with start_server(processor, key_pair("one")) as server:
        status, headers, body = await server.get(made.path, Range=header)
    assert (status, body) == (206, SMALL[start:stop])
    assert headers["Content-Range"] == f"bytes {start}-{stop - 1}/3000"
    assert headers["Content-Length"] == str(stop - start)
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["Content-Type"] == "audio/wav"
    assert headers["X-Reclab-Verified"] == "yes"
    (line,) = server.lines()
    assert (line["outcome"], line["status"], line["bytes"]) == ("played", 206, stop - start)
    assert line["part"] == f"bytes {start}-{stop - 1}/3000"


@pytest.mark.parametrize(
    "header",
    ["bytes=0-1,5-6", "bytes=5-1", "items=0-1", "bytes=", "bytes=0-" + "0" * 200],
)
async def test_what_is_no_single_range_gets_the_whole(
    start_server: StartServer, processor: FakeProcessor, header: str
) -> None:
    """Several ranges at once, other units and nonsense are answered with the whole file."""
    made = encrypted(SMALL, key_pair("one"))
    processor.recordings.append(made)
    async with start_server(processor, key_pair("one")) as server:
        status, headers, body = await server.get(made.path, Range=header)
    assert (status, body) == (200, SMALL)
    assert "Content-Range" not in headers
    assert server.lines()[0]["part"] is None


@pytest.mark.parametrize("header", ["bytes=3000-", "bytes=3000-4000", "bytes=-0"])
async def test_a_part_that_is_not_there_is_416(
    start_server: StartServer, processor: FakeProcessor, header: str
) -> None:
    """An unsatisfiable range is 416 with the true size, without asking for stored bytes."""
    made = encrypted(SMALL, key_pair("one"))
    processor.recordings.append(made)
    async with start_server(processor, key_pair("one")) as server:
        status, headers, body = await server.get(made.path, Range=header)
    assert (status, refusal(body)[0]) == (416, 2)
    assert headers["Content-Range"] == "bytes */3000"
    assert processor.ranges == []
    assert server.lines()[0]["outcome"] == "range-unsatisfiable"


async def test_head_ignores_range(start_server: StartServer, processor: FakeProcessor) -> None:
    """HEAD tells of the whole file whatever Range says: ranges are for GET (RFC 9110 §14.2)."""
    made = encrypted(SMALL, key_pair("one"))
    processor.recordings.append(made)
    async with start_server(processor, key_pair("one")) as server:
        status, headers, body = await server.get(made.path, method="HEAD", Range="bytes=0-5")
    assert (status, headers["Content-Length"], body) == (200, "3000", b"")
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["ETag"].startswith('"')


@pytest.mark.parametrize("papers", [{}, {"size": None}, {"lab": None}, {"lab": None, "size": None}])
@pytest.mark.parametrize("kind", ["encrypted", "plain"])
async def test_head_of_a_large_file_fetches_little(
    start_server: StartServer, processor: FakeProcessor, kind: str, papers: dict[str, None]
) -> None:
    """HEAD tells what GET would, and fetches one chunk for it, or what tells the size."""
    made = large(kind).changed(**papers)
    processor.recordings.append(made)
    async with start_server(processor, key_pair("one")) as server:
        status, headers, body = await server.get(made.path, method="HEAD")
        sent = processor.sent
        assert (status, headers["Content-Length"], body) == (200, str(LARGE_SIZE), b"")
        assert "Content-Range" not in headers
        assert sent <= 3 * CHUNK_SIZE
        assert "" not in processor.ranges, "the whole file was asked for"
        _, got, whole = await server.get(made.path)
    assert whole == made.plaintext
    same = ("ETag", "X-Reclab-Verified", "Content-Type", "Accept-Ranges")
    assert [got.get(name) for name in same] == [headers.get(name) for name in same]
    assert server.lines()[0]["outcome"] == "probed"


async def test_head_refuses_what_get_refuses_at_its_beginning(
    start_server: StartServer, processor: FakeProcessor
) -> None:
    """A first chunk that is not the recorded one, or a wrong key, is no 200 for HEAD either."""
    made = large()
    processor.recordings.append(made.with_stored(b"\1" + made.stored[1:]))
    wrong = made.changed(lab=None, pkcs7=encrypted(SMALL, key_pair("one")).media["pkcs7"])
    async with start_server(processor, key_pair("one")) as server:
        assert (await server.get(made.path, method="HEAD"))[0] == 500
        processor.recordings[0] = wrong
        assert (await server.get(made.path, method="HEAD"))[0] == 500
        processor.recordings[0] = encrypted(b"", key_pair("one")).changed(lab=None)
        empty = await server.get(processor.recordings[0].path, method="HEAD")
        assert empty[0] == (await server.get(processor.recordings[0].path))[0]


async def test_conditions_on_the_version(
    start_server: StartServer, processor: FakeProcessor
) -> None:
    """If-Range with the strong tag keeps the part, anything else gets all; 304 and 412 work."""
    made = encrypted(SMALL, key_pair("one"), key_pair("two"))
    processor.recordings.append(made)
    path = made.path
    async with start_server(processor, key_pair("one")) as server:
        tag = (await server.get(path))[1]["ETag"]
        for condition, expected in [
            (tag, 206),
            ("W/" + tag, 200),
            ('"other"', 200),
            ("Sun, 22 Nov 2026 10:00:00 GMT", 200),
        ]:
            headers = {"Range": "bytes=0-9", "If-Range": condition}
            status, answered, body = await server.get(path, **headers)
            assert (status, body) == (expected, SMALL[:10] if expected == 206 else SMALL)
            assert answered["ETag"] == tag
        status, answered, body = await server.get(path, **{"If-None-Match": f'"x", {tag}'})
        assert (status, answered["ETag"], body) == (304, tag, b"")
        status, _, body = await server.get(path, **{"If-Match": '"x"'})
        assert (status, refusal(body)[0]) == (412, 2)
        assert (await server.get(path, **{"If-Match": tag}))[0] == 200
        envelope = Envelope.from_pem(made.media["pkcs7"])
        fewer = envelope.without_recipient(key_pair("two").certificate).to_pem()
        processor.recordings[0] = made.changed(pkcs7=fewer)
        assert (await server.get(path))[1]["ETag"] == tag, "recipients are no part of it"
        processor.recordings[0] = encrypted(SMALL, key_pair("one"))
        assert (await server.get(path))[1]["ETag"] != tag
    outcomes = [line["outcome"] for line in server.lines()]
    assert outcomes == ["played"] * 5 + ["not-modified", "other-version"] + ["played"] * 3


async def test_a_recording_without_digests_has_no_tag(
    start_server: StartServer, processor: FakeProcessor
) -> None:
    """Nobody can tell whether unverified bytes changed: no ETag, and If-Range gets the whole."""
    made = encrypted(SMALL, key_pair("one")).changed(lab=None)
    processor.recordings.append(made)
    async with start_server(processor, key_pair("one")) as server:
        headers = {"Range": "bytes=0-9", "If-Range": '"anything"'}
        status, answered, body = await server.get(made.path, **headers)
    assert (status, body) == (200, SMALL)
    assert "ETag" not in answered


@pytest.mark.parametrize("kind", ["encrypted", "plain"])
@pytest.mark.parametrize(
    "start",
    [
        0,
        1,
        CHUNK_SIZE - 1,
        CHUNK_SIZE,
        CHUNK_SIZE + 16,
        LARGE_SIZE // 2,
        9 * CHUNK_SIZE + 5,
        LARGE_SIZE * 99 // 100,
        LARGE_SIZE - 1,
    ],
)
async def test_starting_costs_the_same_everywhere(
    start_server: StartServer, processor: FakeProcessor, kind: str, start: int
) -> None:
    """A short part needs one chunk, two at a chunk's edge, wherever in the file it lies."""
    made = large(kind)
    processor.recordings.append(made)
    stop = min(start + 1000, LARGE_SIZE)
    async with start_server(processor, key_pair("one")) as server:
        status, _, body = await server.get(made.path, Range=f"bytes={start}-{stop - 1}")
    assert (status, body) == (206, made.plaintext[start:stop])
    assert len(processor.ranges) == 1
    assert processor.sent <= 2 * CHUNK_SIZE


@pytest.mark.parametrize("start", [0, LARGE_SIZE // 2, LARGE_SIZE * 99 // 100])
async def test_starting_to_play_on_to_the_end_costs_the_same_everywhere(
    start_server: StartServer, processor: FakeProcessor, start: int
) -> None:
    """An open range gives its first bytes when at most three chunks were asked of the store."""
    made = large()
    processor.recordings.append(made)
    first = start - start % CHUNK_SIZE
    processor.stall_after = min(3 * CHUNK_SIZE, len(made.stored) - first)
    async with (
        start_server(processor, key_pair("one")) as server,
        server.listening(made.path, Range=f"bytes={start}-") as response,
    ):
        piece = await response.content.readexactly(100)
    assert piece == made.plaintext[start : start + 100]
    assert processor.sent <= 3 * CHUNK_SIZE


async def test_a_part_of_many_chunks_is_whole(
    start_server: StartServer, processor: FakeProcessor
) -> None:
    """A part over chunk borders comes out in order, and nothing behind it is fetched."""
    made = large()
    processor.recordings.append(made)
    start, stop = CHUNK_SIZE // 2, 5 * CHUNK_SIZE + 3
    async with start_server(processor, key_pair("one")) as server:
        _, _, body = await server.get(made.path, Range=f"bytes={start}-{stop - 1}")
    assert body == made.plaintext[start:stop]
    assert processor.ranges == [f"bytes=0-{6 * CHUNK_SIZE - 1}"]


@pytest.mark.parametrize("size", [LARGE_SIZE, 9 * CHUNK_SIZE, 9 * CHUNK_SIZE - 1])
async def test_a_size_that_nobody_told_is_found_at_the_end(
    start_server: StartServer, processor: FakeProcessor, size: int
) -> None:
    """Without ``size`` the padding tells it, from the last chunks and not from all of them."""
    made = encrypted(wav(size), key_pair("one")).changed(size=None)
    processor.recordings.append(made)
    async with start_server(processor, key_pair("one")) as server:
        status, headers, body = await server.get(made.path, Range="bytes=-10")
    assert (status, body) == (206, made.plaintext[-10:])
    assert headers["Content-Range"] == f"bytes {size - 10}-{size - 1}/{size}"
    assert processor.sent <= 4 * CHUNK_SIZE


@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize("kind", ["wav", "mp3", "plain"])
async def test_a_part_without_digests_is_played_after_a_look_at_the_ends(
    start_server: StartServer, processor: FakeProcessor, kind: str, sized: bool
) -> None:
    """An unverified recording is played from anywhere, a few kilobytes more are fetched."""
    if kind == "plain":
        made = plain(wav(LARGE_SIZE))
    else:
        audio = wav(LARGE_SIZE) if kind == "wav" else mp3(20000)
        made = encrypted(audio, key_pair("one"), extension=kind)
    made = made.changed(lab=None) if sized else made.changed(lab=None, size=None)
    processor.recordings.append(made)
    async with start_server(processor, key_pair("one")) as server:
        status, headers, body = await server.get(made.path, Range="bytes=3000001-3000100")
    assert (status, body) == (206, made.plaintext[3000001:3000101])
    assert headers["X-Reclab-Verified"] == "no"
    assert processor.sent < 5000


async def test_noise_is_not_played_from_the_middle_of_an_unverified_recording(
    start_server: StartServer, processor: FakeProcessor
) -> None:
    """A wrong session key would show nowhere in the middle: the ends show it."""
    made = encrypted(wav(CHUNK_SIZE), key_pair("one"))
    other = encrypted(wav(CHUNK_SIZE), key_pair("one"))
    wrong = made.changed(lab=None, pkcs7=other.media["pkcs7"])
    processor.recordings.append(wrong)
    async with start_server(processor, key_pair("one")) as server:
        status, _, body = await server.get(made.path, Range="bytes=5000-5099")
        assert (status, refusal(body)[0]) == (500, 4)
        cut = made.changed(lab=None, size=None).with_stored(made.stored[:-7])
        processor.recordings[0] = cut
        status, _, body = await server.get(made.path, Range="bytes=5000-5099")
        assert (status, "not whole blocks" in refusal(body)[1]) == (500, True)

"""Playing over HTTP: what a listener gets, and what is written down about it."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from yarl import URL

from crypto_server.settings import PlaybackSettings
from recording_format.cipher import CHUNK_SIZE
from tests.crypto_server.conftest import StartServer, authorization, refusal
from tests.crypto_server.fake_processor import FakeProcessor
from tests.crypto_server.keys import key_pair
from tests.crypto_server.recordings import encrypted, mp3, plain, wav

SMALL = wav(3000)


@pytest.mark.parametrize("key", ["one", "two"])
async def test_either_key_alone_plays(
    start_server: StartServer, processor: FakeProcessor, key: str
) -> None:
    """A recording for two certificates plays with only one of the keys in the keystore."""
    made = encrypted(SMALL, key_pair("one"), key_pair("two"))
    processor.recordings.append(made)
    async with start_server(processor, key_pair(key)) as server:
        status, headers, body = await server.get(made.path)
    assert (status, body) == (200, SMALL)
    assert headers["Content-Type"] == "audio/wav"
    assert headers["Content-Length"] == str(len(SMALL))
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["X-Reclab-Verified"] == "yes"
    assert headers["Cache-Control"] == "no-store"
    (line,) = server.lines()
    assert line["key_alias"] == key_pair(key).alias
    assert (line["outcome"], line["bytes"], line["status"]) == ("played", len(SMALL), 200)
    assert (line["who"], line["source"], line["method"]) == ("anna", "127.0.0.1", "GET")
    assert (line["recording"], line["media"]) == (made.recording_id, made.name)
    assert (line["tenant"], line["verified"]) == ("Environment", True)


async def test_mp3_and_plain_files_play(
    start_server: StartServer, processor: FakeProcessor
) -> None:
    """MP3 has its own type; a file that is not encrypted is passed through without a key."""
    sound = encrypted(mp3(3), key_pair("one"), extension="mp3")
    through = plain(SMALL)
    processor.recordings += [sound, through]
    async with start_server(processor, key_pair("one")) as server:
        status, headers, body = await server.get(sound.path)
        assert (status, headers["Content-Type"], body) == (200, "audio/mpeg", sound.plaintext)
        status, headers, body = await server.get(through.path)
        assert (status, headers["Content-Type"], body) == (200, "audio/wav", SMALL)
        assert headers["X-Reclab-Verified"] == "yes"
    assert [line["key_alias"] for line in server.lines()] == [key_pair("one").alias, None]


async def test_recording_without_digests_is_marked(
    start_server: StartServer, processor: FakeProcessor
) -> None:
    """What nobody can verify is played with ``X-Reclab-Verified: no``, in the audit too."""
    made = encrypted(wav(CHUNK_SIZE + 5), key_pair("one")).changed(lab=None)
    processor.recordings.append(made)
    async with start_server(processor, key_pair("one")) as server:
        status, headers, body = await server.get(made.path)
    assert (status, headers["X-Reclab-Verified"], body) == (200, "no", made.plaintext)
    assert server.lines()[0]["verified"] is False


@pytest.mark.parametrize("size", [CHUNK_SIZE // 2, 2 * CHUNK_SIZE + 7])
async def test_unknown_size_still_plays(
    start_server: StartServer, processor: FakeProcessor, size: int
) -> None:
    """Without ``size`` a small file has a Content-Length, a large one comes chunked and whole."""
    made = encrypted(wav(size), key_pair("one")).changed(size=None)
    processor.recordings.append(made)
    processor.told_length = False
    async with start_server(processor, key_pair("one")) as server:
        _, headers, body = await server.get(made.path)
    assert body == made.plaintext
    assert headers.get("Content-Length") == (str(size) if size < CHUNK_SIZE else None)


async def test_contact_center_path_asks_for_that_center(
    start_server: StartServer, processor: FakeProcessor
) -> None:
    """The user-recordings path plays the same, and a foreign contact centre is unknown."""
    made = encrypted(SMALL, key_pair("one"))
    processor.recordings.append(made)
    own = f"/rcs/contact-centers/cc-1/user-recordings/{made.recording_id}/play/{made.name}"
    async with start_server(processor, key_pair("one")) as server:
        assert (await server.get(own))[2] == SMALL
        status, _, body = await server.get(own.replace("cc-1", "cc-2"))
        assert (status, refusal(body)[0]) == (404, 6)
    asked = f"/api/v2/ops/contact-centers/cc-1/recordings/{made.recording_id}"
    assert processor.asked[:2] == [asked, f"{asked}/play/{made.name}"]
    assert [line["contact_center"] for line in server.lines()] == ["cc-1", "cc-2"]


async def test_head_answers_like_get_without_body(
    start_server: StartServer, processor: FakeProcessor
) -> None:
    """HEAD has GET's status and headers, no body, and the connection can be used again."""
    made = encrypted(SMALL, key_pair("one"))
    processor.recordings.append(made)
    async with start_server(processor, key_pair("one")) as server:
        status, headers, body = await server.get(made.path, method="HEAD")
        assert (status, headers["Content-Length"], body) == (200, str(len(SMALL)), b"")
        assert headers["Content-Type"] == "audio/wav"
        assert (await server.get(made.path))[2] == SMALL
        assert (await server.get("/rcs/recordings/none/play/x.wav", method="HEAD"))[0] == 404
    assert [line["outcome"] for line in server.lines()] == ["probed", "played", "unknown"]


async def test_only_listeners_listen(start_server: StartServer, processor: FakeProcessor) -> None:
    """Other roles get 403 with statusCode 5 and a line; no or a wrong sign-in gets 401."""
    made = encrypted(SMALL, key_pair("one"))
    processor.recordings.append(made)
    async with start_server(processor, key_pair("one")) as server:
        status, _, body = await server.get(made.path, who="otto")
        assert (status, refusal(body)[0]) == (403, 5)
        status, headers, body = await server.get(made.path, who=None)
        assert (status, refusal(body)[0]) == (401, 3)
        assert headers["WWW-Authenticate"].startswith("Basic ")
        wrong = aiohttp.encode_basic_auth("anna", "guess")
        assert (await server.get(made.path, who=None, Authorization=wrong))[0] == 401
    assert processor.asked == []
    assert [(line["who"], line["outcome"]) for line in server.lines()] == [("otto", "forbidden")]


async def test_unknown_recordings_and_files(
    start_server: StartServer, processor: FakeProcessor
) -> None:
    """What is not there is 404 with statusCode 6, whatever in the path is wrong."""
    made = encrypted(SMALL, key_pair("one"))
    processor.recordings.append(made)
    paths = [
        made.path.replace(made.recording_id, "other"),
        made.path.replace("0001", "0002"),
        made.path.removesuffix(".bin"),
        made.path.replace(".wav", ".mp3"),
        made.path.replace(".wav", ".ogg"),
        made.path.replace(made.recording_id, "%2e%2e"),
        made.path.replace(made.recording_id, "a%2f..%2f" + made.recording_id),
        "/rcs/nothing",
        "/rcs/screen-recordings/x/content/y.mp4",
    ]
    async with start_server(processor, key_pair("one")) as server:
        for path in paths:
            async with server.http.get(
                URL(server.url + path, encoded=True),
                headers=authorization("anna"),
            ) as response:
                assert (response.status, refusal(await response.read())[0]) == (404, 6), path


async def test_key_missing_and_found_when_added(
    start_server: StartServer, processor: FakeProcessor
) -> None:
    """Without a key the answer is 409 in one sentence; a key added meanwhile is found at once."""
    made = encrypted(SMALL, key_pair("one"))
    processor.recordings.append(made)
    async with start_server(processor, key_pair("two")) as server:
        status, _, body = await server.get(made.path)
        code, sentence = refusal(body)
        assert (status, code) == (409, 4)
        wanted = key_pair("one").certificate
        assert sentence == (
            f"tenant 'Environment' has no key in the keystore that opens {made.name}"
            f"; it is for the certificate with serial {wanted.serial} of {wanted.issuer}"
        )
        server.add_key(key_pair("one"))
        assert (await server.get(made.path))[2] == SMALL
    assert [line["outcome"] for line in server.lines()] == ["key-missing", "played"]


async def test_other_tenants_keys_are_not_tried(
    start_server: StartServer, processor: FakeProcessor
) -> None:
    """The right key in another tenant's folder opens nothing."""
    made = encrypted(SMALL, key_pair("one"), tenant="Other")
    escaping = encrypted(SMALL, key_pair("one"), tenant="../Environment", recording_id="02")
    processor.recordings += [made, escaping]
    async with start_server(processor, key_pair("one")) as server:
        for one in (made, escaping):
            status, _, body = await server.get(one.path)
            assert (status, refusal(body)[0]) == (409, 4)
        server.add_key(key_pair("one"), "Other")
        assert (await server.get(made.path))[2] == SMALL


async def test_listener_that_goes_away_is_audited_as_cut(
    start_server: StartServer, processor: FakeProcessor
) -> None:
    """A listener that closes the connection mid-stream leaves a line ``cut`` with some bytes."""
    made = encrypted(wav(24 * CHUNK_SIZE), key_pair("one"))
    processor.recordings.append(made)
    async with start_server(processor, key_pair("one")) as server:
        response = await server.http.get(server.url + made.path, headers=authorization("anna"))
        await response.content.readexactly(1000)
        response.close()
        await server.ended()
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "reading ahead"]
        assert b'playbacks_total{outcome="cut"} 1.0' in (await server.get("/metrics"))[2]
        assert b"reclab_crypto_playbacks_running 0.0" in (await server.get("/metrics"))[2]
    (line,) = server.lines()
    assert line["outcome"] == "cut"
    assert line["bytes"] < len(made.plaintext)


async def test_listener_that_stops_reading_is_cut(
    start_server: StartServer, processor: FakeProcessor
) -> None:
    """A listener that takes no bytes for too long loses the connection."""
    made = encrypted(wav(24 * CHUNK_SIZE), key_pair("one"))
    processor.recordings.append(made)
    playback = PlaybackSettings(listener_seconds=0.3)
    async with (
        start_server(processor, key_pair("one"), playback=playback) as server,
        server.http.get(server.url + made.path, headers=authorization("anna")),
    ):
        await server.ended()
    assert server.lines()[0]["outcome"] == "cut"


async def test_too_many_playbacks_are_refused(
    start_server: StartServer, processor: FakeProcessor
) -> None:
    """Above the limit the answer is 503 with Retry-After; below it playing goes on."""
    made = encrypted(wav(24 * CHUNK_SIZE), key_pair("one"))
    small = encrypted(SMALL, key_pair("one"), recording_id="02")
    processor.recordings += [made, small]
    playback = PlaybackSettings(concurrent=1)
    async with start_server(processor, key_pair("one"), playback=playback) as server:
        async with server.http.get(server.url + made.path, headers=authorization("anna")) as first:
            status, headers, body = await server.get(small.path)
            assert (status, refusal(body)[0]) == (503, 4)
            assert "Retry-After" in headers
            assert await first.read() == made.plaintext
        assert (await server.get(small.path))[2] == SMALL
    assert [line["outcome"] for line in server.lines()] == ["busy", "played", "played"]


async def test_several_listeners_at_once(
    start_server: StartServer, processor: FakeProcessor
) -> None:
    """Playbacks side by side do not mix."""
    made = [
        encrypted(wav(CHUNK_SIZE + 1000 * n, seed=n), key_pair("one"), recording_id=f"0{n}")
        for n in range(6)
    ]
    processor.recordings += made
    async with start_server(processor, key_pair("one")) as server:
        answers = await asyncio.gather(*(server.get(one.path) for one in made))
    assert [body for _, _, body in answers] == [one.plaintext for one in made]
    assert len(server.lines()) == 6


async def test_nothing_is_played_without_audit(
    start_server: StartServer, processor: FakeProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the audit file takes no lines nothing is played; later the lines are complete."""
    made = encrypted(SMALL, key_pair("one"))
    processor.recordings.append(made)

    def full(_descriptor: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    async with start_server(processor, key_pair("one")) as server:
        with monkeypatch.context() as patched:
            patched.setattr("crypto_server.audit.os.write", full)
            assert (await server.get(made.path))[0] == 200
            status, _, body = await server.get(made.path)
            assert (status, refusal(body)[0]) == (503, 4)
            assert (await server.get("/readyz", who=None))[0] == 503
        assert (await server.get(made.path))[0] == 200
        assert (await server.get("/readyz", who=None))[0] == 200
    assert [line["outcome"] for line in server.lines()] == ["played", "busy", "played"]


async def test_probes_and_metrics_are_open(
    start_server: StartServer, processor: FakeProcessor
) -> None:
    """Liveness, readiness and metrics answer without sign-in, and count keys and bytes."""
    made = encrypted(SMALL, key_pair("one"))
    processor.recordings.append(made)
    async with start_server(processor, key_pair("one")) as server:
        await server.get(made.path)
        assert (await server.get("/livez", who=None))[0] == 200
        assert (await server.get("/readyz", who=None))[0] == 200
        status, _, body = await server.get("/metrics", who=None)
    assert status == 200
    for sample in (
        b'reclab_crypto_playbacks_total{outcome="played"} 1.0',
        f"reclab_crypto_played_bytes_total {len(SMALL):.1f}".encode(),
        b"reclab_crypto_playback_seconds_count 1.0",
        b"reclab_crypto_keys 1.0",
    ):
        assert sample in body


async def test_audit_notes_for_whom_a_proxy_asked_without_secrets(
    start_server: StartServer, processor: FakeProcessor
) -> None:
    """A proxy's X-Forwarded-For is noted beside its address; no password or key is in the file."""
    made = encrypted(SMALL, key_pair("one"))
    processor.recordings.append(made)
    async with start_server(processor, key_pair("one")) as server:
        await server.get(made.path, **{"X-Forwarded-For": "192.0.2.7\u00e9" + "x" * 300})
    (line,) = server.lines()
    assert line["source"] == "127.0.0.1"
    assert line["forwarded_for"].startswith("192.0.2.7")
    assert len(line["forwarded_for"]) <= 200
    written = server.audit_file.read_text()
    for secret in ("password", "Basic", "PRIVATE", "PKCS7"):
        assert secret not in written

"""The crypto server broken on purpose: what each fault does to listeners of the real process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from service_shell.accounts import hash_password
from tests.crypto_server.conftest import authorization
from tests.crypto_server.fake_processor import FakeProcessor
from tests.crypto_server.keys import key_pair
from tests.crypto_server.recordings import MadeRecording, encrypted, wav
from tests.crypto_server.test_process import add_key, started, write_config

ENABLED = (
    f'[[accounts]]\nname = "faults"\nroles = ["faults"]\n'
    f'password_hash = "{hash_password("faults" + chr(39) + "s password")}"\n'
    "[faults]\nenabled = true\n"
)
SIZE = 1_500_000


class Breakable:
    """A running crypto server, one recording, and what breaks it."""

    def __init__(self, url: str, http: aiohttp.ClientSession, made: MadeRecording) -> None:
        self.url = url
        self.made = made
        self._http = http

    async def ask(
        self, method: str, body: object = None, who: str | None = "faults"
    ) -> tuple[int, dict[str, Any]]:
        """Ask the faults' API; return status and answer."""
        headers = {} if who is None else authorization(who)
        url = f"{self.url}/faults"
        async with self._http.request(method, url, json=body, headers=headers) as answer:
            return answer.status, {} if method == "HEAD" else await answer.json()

    async def put(self, kind: str, **fields: Any) -> None:
        """Put one fault in force."""
        fault = {"on": "crypto", "kind": kind, "name": "it", **fields}
        status, answer = await self.ask("PUT", {"faults": [fault]})
        assert status == 200, answer

    async def play(self, method: str = "GET", **headers: str) -> tuple[int, bytes, bool]:
        """Return status (0: none), what was heard, and whether it was whole."""
        sent = headers | authorization("anna")
        heard = bytearray()
        try:
            async with self._http.request(
                method, self.url + self.made.path, headers=sent
            ) as answer:
                try:
                    async for piece in answer.content.iter_any():
                        heard += piece
                except aiohttp.ClientError:
                    return answer.status, bytes(heard), False
                return answer.status, bytes(heard), True
        except aiohttp.ClientError:
            return 0, b"", False


@asynccontextmanager
async def breakable(folder: Path, processor: FakeProcessor) -> AsyncIterator[Breakable]:
    """Run a crypto server that may be broken, with a recording behind it."""
    made = encrypted(wav(SIZE), key_pair("one"))
    processor.recordings.append(made)
    config = write_config(folder, processor.url, more=ENABLED)
    add_key(folder, key_pair("one"))
    async with started(config) as (_, url), aiohttp.ClientSession() as http:
        yield Breakable(url, http, made)


async def test_each_fault_strikes_and_heals(tmp_path: Path, processor: FakeProcessor) -> None:
    """Listeners get a refusal, a reset, a part or a crawl; and the whole sound again after it."""
    kinds: list[tuple[str, dict[str, Any], int]] = [
        ("status", {"status": 500}, 500),
        ("auth", {}, 401),
        ("latency", {"seconds": 0.05, "jitter": 0.05}, 200),
        ("full", {}, 200),
        ("down", {}, 0),
        ("stall", {"seconds": 0.1}, 0),
    ]
    async with breakable(tmp_path, processor) as server:
        whole = server.made.plaintext
        for kind, fields, expected in kinds:
            await server.put(kind, match="GET /rcs/*", **fields)
            status, heard, ended_well = await server.play()
            assert (status, ended_well) == (expected, expected != 0), kind
            assert (heard == whole) is (expected == 200), kind
        await server.ask("DELETE")
        assert await server.play() == (200, whole, True)


async def test_a_stream_is_cut_slow_or_of_a_wrong_length(
    tmp_path: Path, processor: FakeProcessor
) -> None:
    """What is heard before a cut is right to the byte; a part and a HEAD are struck as well."""
    async with breakable(tmp_path, processor) as server:
        whole = server.made.plaintext
        await server.put("cut", after_bytes=1_234_567)
        assert await server.play() == (200, whole[:1_234_567], False)
        assert await server.play("HEAD") == (200, b"", True)
        assert await server.play(Range="bytes=0-99") == (206, whole[:100], True)
        await server.put("length", by_bytes=10)
        assert await server.play() == (200, whole, False)
        await server.put("bandwidth", bytes_per_second=3_000_000)
        began = asyncio.get_running_loop().time()
        assert await server.play() == (200, whole, True)
        assert asyncio.get_running_loop().time() - began >= len(whole) / 3_000_000 - 0.1


async def test_delete_heals_a_crawling_playback(tmp_path: Path, processor: FakeProcessor) -> None:
    """A listener whose sound would take weeks hears it as soon as the faults are ended."""
    async with breakable(tmp_path, processor) as server:
        await server.put("bandwidth", bytes_per_second=1, match="GET /rcs/*")
        playing = asyncio.create_task(server.play())
        async with asyncio.timeout(30):
            while (await server.ask("GET"))[1]["counts"]["it"]["struck"] == 0:
                await asyncio.sleep(0.02)
        await server.ask("DELETE")
        async with asyncio.timeout(30):
            assert await playing == (200, server.made.plaintext, True)


async def test_who_may_break_it(tmp_path: Path, processor: FakeProcessor) -> None:
    """The role `faults` alone; liveness and metrics are never struck."""
    async with breakable(tmp_path, processor) as server, aiohttp.ClientSession() as http:
        for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
            body = {"on": "crypto", "kind": "down"}
            sent = {"PUT": {"faults": [body]}, "POST": body}.get(method)
            for who, status in [("anna", 403), (None, 401), ("faults", 200)]:
                assert (await server.ask(method, sent, who))[0] == status, (method, who)
        await server.put("auth", match="* /*")
        async with http.get(server.url + server.made.path) as answer:
            challenge = 'Basic realm="recordings", charset="UTF-8"'
            assert answer.headers["WWW-Authenticate"] == challenge
        async with http.get(f"{server.url}/metrics") as answer:
            assert 'reclab_crypto_faults_struck_total{kind="auth"} 1.0' in await answer.text()


async def test_it_is_not_there_unless_enabled(tmp_path: Path) -> None:
    """Without the setting there is no such path."""
    config = write_config(tmp_path, "http://127.0.0.1:1")
    async with started(config) as (_, url), aiohttp.ClientSession() as http:
        for method in ("GET", "PUT", "POST", "DELETE"):
            asked = http.request(method, f"{url}/faults", headers=authorization("anna"))
            async with asked as answer:
                assert answer.status == 404

"""The processor broken on purpose: what each fault does to clients of the real process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service_shell.accounts import hash_password
from tests.recording_processor.asking import POST, SEARCH
from tests.recording_processor.conftest import sign_in
from tests.recording_processor.samples import Json, media_file, post
from tests.recording_processor.test_program import configure, running

ENABLED = (
    f'[[accounts]]\nname = "faults"\nroles = ["faults"]\n'
    f'password_hash = "{hash_password("faults-secret")}"\n[faults]\nenabled = true\n'
)


class Breakable:
    """A running processor and what breaks it."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def ask(
        self, method: str, body: object = None, role: str | None = "faults"
    ) -> tuple[int, Json]:
        """Ask the faults' API; return status and answer."""
        headers = {} if role is None else sign_in(role)
        async with self.session.request(method, "/faults", json=body, headers=headers) as answer:
            return answer.status, {} if method == "HEAD" else await answer.json()

    async def put(self, kind: str, **fields: Any) -> None:
        """Put one fault in force."""
        fault = {"on": "processor", "kind": kind, "name": "it", **fields}
        status, answer = await self.ask("PUT", {"faults": [fault]})
        assert status == 200, answer

    async def file(self, recording: str, *, seconds: float = 30.0) -> int:
        """Post a recording's metadata; return the status."""
        body = post(media_file(recording))
        timeout = aiohttp.ClientTimeout(total=seconds)
        async with self.session.post(
            POST, data=body, headers=sign_in("mcp"), timeout=timeout
        ) as answer:
            await answer.read()
            return answer.status

    async def known(self, recording: str) -> bool:
        """Return whether a recording was filed."""
        path = f"{SEARCH}/{recording}"
        async with self.session.get(path, headers=sign_in("operator")) as answer:
            await answer.read()
            return answer.status == 200


@asynccontextmanager
async def breakable(folder: Path) -> AsyncIterator[Breakable]:
    """Run a processor that may be broken."""
    async with running(configure(folder, more=ENABLED)) as (_, session):
        yield Breakable(session)


async def test_each_fault_strikes_and_heals(tmp_path: Path) -> None:
    """Refused, cut, reset or slow: nothing is filed that was not answered so, and all heals."""
    answered: list[tuple[str, dict[str, Any], int]] = [
        ("status", {"status": 409}, 409),
        ("status", {"retry_after": 1.0}, 503),
        ("full", {}, 507),
        ("auth", {}, 401),
        ("latency", {"seconds": 0.05, "jitter": 0.1}, 200),
        ("bandwidth", {"bytes_per_second": 20_000}, 200),
    ]
    broken: list[tuple[str, dict[str, Any]]] = [("down", {}), ("stall", {"seconds": 0.1})]
    async with breakable(tmp_path) as processor:
        for number, (kind, fields, status) in enumerate(answered):
            await processor.put(kind, match="POST /api/*", **fields)
            assert await processor.file(f"CALL{number}") == status, kind
            assert await processor.known(f"CALL{number}") is (status == 200)
        for kind, fields in [*broken, ("cut", {})]:
            await processor.put(kind, match="POST /api/*", **fields)
            with pytest.raises(aiohttp.ClientError):
                await processor.file(kind)
            assert not await processor.known(kind)
        _, state = await processor.ask("DELETE")
        assert state["plan"]["faults"] == []
        assert await processor.file("down") == 200


async def test_answers_are_cut_and_lengths_wrong(tmp_path: Path) -> None:
    """A reader of a search notices a cut and a length that is too long."""
    async with breakable(tmp_path) as processor:
        assert await processor.file("CALL1") == 200
        for kind, fields in [("cut", {"after_bytes": 20}), ("length", {"by_bytes": 50})]:
            await processor.put(kind, match="GET /api/*", **fields)
            with pytest.raises(aiohttp.ClientError):
                await processor.known("CALL1")
            await processor.ask("DELETE")
            assert await processor.known("CALL1")


async def test_a_late_answer_files_and_the_repetition_is_the_same(tmp_path: Path) -> None:
    """Who gave up waiting posts again: what was filed meanwhile is a repetition, not a conflict."""
    async with breakable(tmp_path) as processor:
        await processor.put("latency", seconds=3600, match="POST /api/*")
        with pytest.raises(TimeoutError):
            await processor.file("CALL1", seconds=0.5)
        async with asyncio.timeout(30):
            while not await processor.known("CALL1"):
                await asyncio.sleep(0.02)
        await processor.ask("DELETE")
        assert await processor.file("CALL1") == 200


async def test_who_may_break_it(tmp_path: Path) -> None:
    """The role `faults` alone; the challenge is the service's; metrics tell what struck."""
    async with breakable(tmp_path) as processor:
        for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
            body = {"on": "processor", "kind": "down", "match": "* /never"}
            sent = {"PUT": {"faults": [body]}, "POST": body}.get(method)
            for role, status in [("admin", 403), ("mcp", 403), (None, 401), ("faults", 200)]:
                assert (await processor.ask(method, sent, role))[0] == status, (method, role)
        await processor.put("auth", match="GET /api/*")
        async with processor.session.get(SEARCH, headers=sign_in("admin")) as answer:
            realm = 'Basic realm="recording processor", charset="UTF-8"'
            assert answer.headers["WWW-Authenticate"] == realm
            assert answer.headers["Server"] == "recording_processor"
        async with processor.session.get("/metrics") as answer:
            told = await answer.text()
        assert 'reclab_processor_faults_struck_total{kind="auth"} 1.0' in told


async def test_it_is_not_there_unless_enabled(tmp_path: Path) -> None:
    """Without the setting there is no such path."""
    async with running(configure(tmp_path)) as (_, session):
        for method in ("GET", "PUT", "POST", "DELETE"):
            async with session.request(method, "/faults", headers=sign_in("admin")) as answer:
                assert answer.status == 404
                assert json.loads(await answer.read())["statusCode"] == 6

"""kill -9 of the delivering process at every step, with the real store and the real processor.

Whatever the moment, the next process ends with one object and one recording, both whole.
"""

from __future__ import annotations

import asyncio
import json
import selectors
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from mcp_sim.recording.keyring import SpoolKeyring
from mcp_sim.recording.render.messages import RenderSettings
from mcp_sim.recording.render.render import render
from mcp_sim.recording.spool.folders import MEDIA
from mcp_sim.recording.spool.spool import Spool, State
from service_shell.accounts import basic_header, hash_password
from tests.webdav_store.store_process import PASSWORD, StoreProcess

from .recorded_call import course, make_plan, record
from .synthetic_call import speech, stream

POST_PASSWORD = "a processor's password"
CENTER = 'domain = "lab.example"\nccid = "5f3b0c5e-1111-4222-8333-444455556666"'
PATIENCE = 30.0
SOUND = speech(20)


@dataclass
class Destinations:
    """The real store and the real processor, each in a process of its own."""

    store: str
    processor: str
    store_root: Path


@pytest.fixture(scope="module")
def destinations(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Destinations]:
    """Both are up for all tests of this module."""
    folder = tmp_path_factory.mktemp("destinations")
    with StoreProcess(folder / "store") as store, _processor(folder) as processor:
        yield Destinations(f"http://127.0.0.1:{store.port}", processor, store.root)


@contextmanager
def _processor(folder: Path) -> Iterator[str]:
    accounts = "".join(
        f'[[accounts]]\nname = "{role}"\nroles = ["{role}"]\n'
        f'password_hash = "{hash_password(POST_PASSWORD)}"\n'
        for role in ("mcp", "operator")
    )
    config = folder / "processor.toml"
    config.write_text(
        f'listen = "127.0.0.1:0"\ncatalogue = "{folder}/catalogue.sqlite3"\n'
        f"[contact_center]\n{CENTER}\n{accounts}"
    )
    with (folder / "processor.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "recording_processor", "--config", str(config)],
            stdout=subprocess.PIPE,
            stderr=log,
        )
    try:
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            assert selector.select(PATIENCE), (folder / "processor.log").read_text()
        yield json.loads(process.stdout.readline())["ready"]["processor"]
    finally:
        process.terminate()
        process.wait(PATIENCE)
        assert process.stdout is not None
        process.stdout.close()


@dataclass
class Doorway:
    """Passes requests on to the real services; at the chosen step it kills who asks."""

    upstream: Destinations
    http: aiohttp.ClientSession
    method: str = ""
    moment: str = ""
    victim: subprocess.Popen[bytes] | None = None
    url: str = ""
    answers: list[tuple[str, int]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Pass one request on, and its answer back, unless the step is that of the kill."""
        deadly = self.victim is not None and request.method == self.method
        if deadly and self.moment == "middle":
            await request.content.readany()
            return self._kill(request)
        body = await request.read()
        if deadly and self.moment == "before":
            return self._kill(request)
        is_post = request.method == "POST"
        target = self.upstream.processor if is_post else self.upstream.store
        kept = ("Host", "Connection", "Transfer-Encoding")
        headers = {n: v for n, v in request.headers.items() if n.title() not in kept}
        async with self.http.request(
            request.method, target + request.raw_path, headers=headers, data=body
        ) as answer:
            content = await answer.read()
            self.answers.append((request.method, answer.status))
            if deadly:
                return self._kill(request)
            told = {n: v for n, v in answer.headers.items() if n.title() not in kept}
            return web.Response(status=answer.status, headers=told, body=content or None)

    def _kill(self, request: web.Request) -> web.Response:
        assert self.victim is not None
        self.victim.kill()
        self.victim.wait()
        self.victim = None
        assert request.transport is not None
        request.transport.abort()
        return web.Response()


@asynccontextmanager
async def doorway(upstream: Destinations) -> AsyncIterator[Doorway]:
    """Serve a doorway on a free port."""
    async with aiohttp.ClientSession(auto_decompress=False) as http:
        door = Doorway(upstream, http)
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", door.handle)
        async with TestServer(app) as server:
            door.url = str(server.make_url("")).rstrip("/")
            yield door


def start(root: Path, keyring: Path) -> subprocess.Popen[bytes]:
    """Start a process that delivers."""
    module = "tests.mcp_sim.recording.delivering"
    return subprocess.Popen(
        [sys.executable, "-m", module, str(root), str(keyring), PASSWORD, POST_PASSWORD],
        stderr=subprocess.DEVNULL,
    )


async def ended(process: subprocess.Popen[bytes]) -> int:
    """Wait for a process without blocking the doorway."""
    return await asyncio.to_thread(process.wait, PATIENCE)


STEPS = [
    ("PUT", "middle"), ("PUT", "before"), ("PUT", "after"), ("HEAD", "before"), ("HEAD", "after"),
    ("POST", "before"), ("POST", "after"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "moment"), STEPS, ids=[" ".join(step) for step in STEPS])
async def test_killed_at_a_step(
    destinations: Destinations, tmp_path: Path, method: str, moment: str
) -> None:
    """After the kill the recording waits; the next process delivers it, once and whole."""
    call = f"KILLED-{method}-{moment}".upper()
    keyring = SpoolKeyring.open_or_create(tmp_path / "keyring")
    async with doorway(destinations) as door:
        plan = make_plan(
            call,
            storage_url=f"{door.url}/recordings",
            processor_url=f"{door.url}/api/contact-centers/lab.example/recordings",
        )
        with Spool(tmp_path / "spool") as spool:
            item = record(spool, keyring, course(500), stream(SOUND), plan=plan)
            render(spool, item, keyring, RenderSettings())
            sealed = (spool.folder(item, State.READY) / MEDIA).read_bytes()
        door.method, door.moment = method, moment
        victim = door.victim = start(tmp_path / "spool", tmp_path / "keyring")
        assert await ended(victim) == -9
        with Spool(tmp_path / "spool") as spool:
            assert spool.items(State.READY) == [item]
        assert await ended(start(tmp_path / "spool", tmp_path / "keyring")) == 0
    with Spool(tmp_path / "spool") as spool:
        assert spool.items(State.DELIVERED) == [item]
    stored = [path for path in destinations.store_root.iterdir() if path.name.startswith(call)]
    assert [path.read_bytes() for path in stored] == [sealed]
    sign_in = {"Authorization": basic_header("operator", POST_PASSWORD)}
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{destinations.processor}/api/v2/recordings/{call}", headers=sign_in) as answer,
    ):
        assert answer.status == 200
        [media] = (await answer.json())["recording"]["mediaFiles"]
    assert media["originalMediaDescriptor"]["path"].endswith(stored[0].name)
    assert {status for step, status in door.answers if step == "POST"} == {200}

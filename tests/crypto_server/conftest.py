"""A crypto server in this process, in front of a fake processor."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from multidict import CIMultiDictProxy

from crypto_server.app import playing_app
from crypto_server.audit import Audit, AuditRecord
from crypto_server.keystore import Keystore
from crypto_server.settings import PlaybackSettings, ProcessorSettings, Settings
from service_shell.accounts import Account, hash_password
from service_shell.listening import bind_tcp, display
from service_shell.web import serve
from tests.crypto_server import fake_processor
from tests.crypto_server.fake_processor import FakeProcessor
from tests.crypto_server.keys import TENANT, KeyPair

ACCOUNTS = [
    Account("anna", ["listener"], hash_password("anna's password")),
    Account("otto", ["operator", "admin", "mcp"], hash_password("otto's password")),
]


def authorization(name: str) -> dict[str, str]:
    """Return the header of one of `ACCOUNTS`."""
    text = base64.b64encode(f"{name}:{name}'s password".encode()).decode()
    return {"Authorization": f"Basic {text}"}


def refusal(body: bytes) -> tuple[int, str]:
    """Return statusCode and statusMessage of an error answer."""
    answer: dict[str, Any] = msgspec.json.decode(body)
    assert set(answer) == {"statusCode", "statusMessage"}
    return answer["statusCode"], answer["statusMessage"]


class WatchedAudit(Audit):
    """An audit that tests can wait for."""

    def __init__(self, path: Path, descriptor: int) -> None:
        super().__init__(path, descriptor)
        self.written = asyncio.Semaphore(0)

    async def write(self, record: AuditRecord) -> None:
        """Write the record, then let one waiter go on."""
        await super().write(record)
        self.written.release()


@dataclass
class RunningServer:
    """A crypto server at `url`, its keystore and what it wrote."""

    url: str
    keystore: Keystore
    audit: WatchedAudit
    audit_file: Path
    http: aiohttp.ClientSession

    def lines(self) -> list[dict[str, Any]]:
        """Return the audit lines."""
        return [msgspec.json.decode(line) for line in self.audit_file.read_bytes().splitlines()]

    async def ended(self, playbacks: int = 1) -> None:
        """Wait until so many more playbacks have been written down; fails after ten seconds."""
        async with asyncio.timeout(10):
            for _ in range(playbacks):
                await self.audit.written.acquire()

    def add_key(self, pair: KeyPair, tenant: str = TENANT) -> None:
        """Put a key into the keystore."""
        self.keystore.add(tenant, pair.alias, pair.certificate, pair.private_key)

    async def get(
        self, path: str, *, who: str | None = "anna", method: str = "GET", **headers: str
    ) -> tuple[int, CIMultiDictProxy[str], bytes]:
        """Return status, headers and the whole body of an answer."""
        sent = headers | (authorization(who) if who else {})
        async with self.http.request(method, self.url + path, headers=sent) as response:
            return response.status, response.headers, await response.read()

    def listening(
        self, path: str, **headers: str
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Begin to listen; what comes is for the caller to read."""
        return self.http.get(self.url + path, headers=headers | authorization("anna"))

    async def get_what_comes(
        self, path: str, **headers: str
    ) -> tuple[CIMultiDictProxy[str], bytes, bool]:
        """Return headers, the bytes that came, and whether the transfer was complete."""
        received = bytearray()
        async with self.listening(path, **headers) as response:
            try:
                async for piece in response.content.iter_any():
                    received += piece
            except aiohttp.ClientError:
                return response.headers, bytes(received), False
        return response.headers, bytes(received), True


StartServer = Callable[..., AbstractAsyncContextManager[RunningServer]]


@pytest.fixture
def start_server(tmp_path: Path) -> StartServer:
    """Give what starts a crypto server in front of a running fake processor."""

    @asynccontextmanager
    async def start(
        processor: FakeProcessor,
        *keys: KeyPair,
        playback: PlaybackSettings | None = None,
        read_seconds: float = 10.0,
        accounts: Sequence[Account] = ACCOUNTS,
    ) -> AsyncIterator[RunningServer]:
        url = processor.url
        settings = Settings(
            accounts=list(accounts),
            processor=ProcessorSettings(
                url=url, user=fake_processor.USER, read_seconds=read_seconds
            ),
            playback=playback or PlaybackSettings(),
        )
        environ = {"RECLAB_PROCESSOR_PASSWORD": fake_processor.PASSWORD}
        keystore = Keystore.open(tmp_path / "keystore", "keystore password")
        audit_file = tmp_path / "audit.jsonl"
        audit = WatchedAudit.open(audit_file)
        sock = bind_tcp("127.0.0.1:0")
        async with (
            playing_app(settings, environ, keystore, audit) as app,
            serve(app, sock, grace=1.0),
            aiohttp.ClientSession(auto_decompress=False) as http,
        ):
            server = RunningServer(f"http://{display(sock)}", keystore, audit, audit_file, http)
            for pair in keys:
                server.add_key(pair)
            yield server
        audit.close()

    return start


@pytest.fixture
async def processor() -> AsyncIterator[FakeProcessor]:
    """A fake processor that is running, without recordings."""
    async with fake_processor.running(FakeProcessor()) as processor:
        yield processor

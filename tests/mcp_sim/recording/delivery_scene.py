"""A spool, a store, a processor and a clock that stands still: where deliveries are played."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import msgspec

from mcp_sim.recording.delivery.backoff import Backoff
from mcp_sim.recording.delivery.delivery import Delivery, DeliveryCredentials
from mcp_sim.recording.delivery.item import CredentialsOf
from mcp_sim.recording.delivery.traffic import CircuitRule
from mcp_sim.recording.keyring import SpoolKeyring
from mcp_sim.recording.render.messages import RenderSettings
from mcp_sim.recording.render.render import render
from mcp_sim.recording.spool.folders import FAILURE, MEDIA
from mcp_sim.recording.spool.item import Progress, SpoolItem, read_item, read_progress
from mcp_sim.recording.spool.spool import Spool, State

from .fake_destinations import ACCOUNT, POST_ACCOUNT, FakeProcessor, FakeStore
from .recorded_call import course, make_plan, record
from .synthetic_call import speech, stream

PAYLOADS = speech(40)


@dataclass
class Scene:
    """A spool, its destinations, a clock that stands still, and deliveries on demand."""

    spool: Spool
    keyring: SpoolKeyring
    store: FakeStore
    processor: FakeProcessor
    credentials: CredentialsOf
    time: float = 1000.0
    trust: ssl.SSLContext | bool = True
    ahead: float = 0.0

    def ready(self, segment: int = 1, /, **changes: object) -> str:
        """Put a rendered recording into the spool; return its item."""
        changes.setdefault("storage_url", f"{self.store.url}/recordings")
        changes.setdefault(
            "processor_url", f"{self.processor.url}/api/contact-centers/x/recordings"
        )
        plan = msgspec.structs.replace(make_plan(segment=segment), **changes)
        item = record(self.spool, self.keyring, course(1000), stream(PAYLOADS), plan=plan)
        render(self.spool, item, self.keyring, RenderSettings())
        return item

    def item(self, name: str) -> SpoolItem:
        """Read an item that is ready."""
        return read_item(self.spool.folder(name, State.READY))

    def path(self, name: str) -> str:
        """Return where the store shall have it."""
        return self.item(name).object_url.removeprefix(self.store.url)

    def sealed(self, name: str) -> bytes:
        """Return the sealed bytes of an item that is ready."""
        return (self.spool.folder(name, State.READY) / MEDIA).read_bytes()

    def progress(self, name: str) -> Progress:
        """Return how far the delivery of an item that is ready came."""
        return read_progress(self.spool.folder(name, State.READY))

    def why(self, name: str) -> str:
        """Return why an item was put aside."""
        return (self.spool.folder(name, State.FAILED) / FAILURE).read_text()

    @asynccontextmanager
    async def delivery(
        self, *, patience: float = 10.0, concurrency: int = 4, failures: int = 5
    ) -> AsyncIterator[Delivery]:
        """Run a new delivery on the spool, as a process that was just started would."""
        connector = aiohttp.TCPConnector(ssl=self.trust)
        async with aiohttp.ClientSession(connector=connector) as http:
            delivery = Delivery(
                self.spool,
                http,
                self.credentials,
                keyring=self.keyring,
                concurrency=concurrency,
                backoff=Backoff(first=10, longest=100, jitter=0),
                circuits=CircuitRule(failures, Backoff(first=5, longest=30, jitter=0)),
                timeout=patience,
                now=lambda: self.time,
                wall=lambda: self.time + self.ahead,
            )
            task = asyncio.create_task(delivery.run())
            try:
                yield delivery
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def deliver(self, *, patience: float = 10.0) -> Delivery:
        """Let a new delivery do all that is due; return it, ended."""
        async with self.delivery(patience=patience) as delivery:
            assert await delivery.drain(30)
        return delivery

    async def deliver_later(self) -> Delivery:
        """The same, when every retry is due."""
        self.time += 1000
        return await self.deliver()


async def right_credentials(_item: SpoolItem) -> DeliveryCredentials:
    """Give the names and passwords that the fake destinations want."""
    return DeliveryCredentials(ACCOUNT, POST_ACCOUNT)

"""Posting metadata: how many small posts a second the processor answers, durable each.

Two processors, one with a transaction per post and one with many posts in a transaction, are asked
in turns, by more and more clients at once. The clients are bare sockets that keep
their connection, so that the processor's work is what is measured, not theirs.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from reclab.bench.sampling import cpu_seconds
from reclab.supervisor import Child, ChildFailed
from service_shell.accounts import basic_header, hash_password
from service_shell.settings import SettingsError

CLIENTS = (1, 8, 64)
_WARMING = 50
_ROUNDS = 7
_SECONDS = 60.0
_PASSWORD = "bench"  # noqa: S105 - of a processor that lives for seconds


class PostingResult(NamedTuple):
    """Posts answered per second by so many clients: each in a transaction of its own, or shared.

    Each with the processor's CPU time per post, in milliseconds.
    """

    clients: int
    alone: float
    alone_ms: float
    shared: float
    shared_ms: float

    @property
    def ratio(self) -> float:
        """How many times as fast it is to share."""
        return self.shared / self.alone


class Rate(NamedTuple):
    """Posts per second, and the processor's CPU time per post in milliseconds."""

    per_second: float
    cpu_ms: float


class Variant(NamedTuple):
    """One way to run the processor: its ``[limits]``, and what is added to its environment."""

    name: str
    limits: str
    environment: Mapping[str, str] | None = None


async def measure_posting(folder: Path, posts: int) -> list[PostingResult]:
    """Measure below `folder`, so many posts in a turn.

    Raises `SettingsError` when a processor does not do its part.
    """
    variants = Variant("alone", "posts_together = 1"), Variant("shared", "")
    rates = await posting_rates(folder, variants, posts)
    return [
        PostingResult(clients, *rates["alone", clients], *rates["shared", clients])
        for clients in CLIENTS
    ]


async def posting_rates(
    folder: Path, variants: Sequence[Variant], posts: int
) -> dict[tuple[str, int], Rate]:
    """Let all variants run, ask them in turns; return medians by name and number of clients."""
    found: dict[tuple[str, int], list[Rate]] = {}
    numbers = count()
    async with AsyncExitStack() as stack:
        running = [
            (v.name, await stack.enter_async_context(_processor(folder, v))) for v in variants
        ]
        for _, (address, pid) in running:
            await _rate(address, pid, numbers, 1, _WARMING)
        for _ in range(_ROUNDS):
            for clients in CLIENTS:
                for name, (address, pid) in running:
                    rate = await _rate(address, pid, numbers, clients, posts)
                    found.setdefault((name, clients), []).append(rate)
    return {
        which: Rate(
            statistics.median(rate.per_second for rate in rates),
            statistics.median(rate.cpu_ms for rate in rates),
        )
        for which, rates in found.items()
    }


@asynccontextmanager
async def _processor(folder: Path, variant: Variant) -> AsyncIterator[tuple[str, int]]:
    """Run a processor of this variant; its address and its process id come out."""
    place, listen = folder / variant.name, await _free_address()
    place.mkdir(mode=0o700)
    config = place / "processor.toml"
    hashed = hash_password(_PASSWORD)
    config.write_text(
        f'listen = "{listen}"\ncatalogue = "{place}/catalogue.sqlite3"\n'
        f'[contact_center]\ndomain = "bench"\nccid = "bench"\n[limits]\n{variant.limits}\n'
        f'[[accounts]]\nname = "mcp"\nroles = ["mcp"]\npassword_hash = "{hashed}"\n',
        encoding="utf-8",
    )
    child = Child(
        "processor",
        "recording_processor",
        config,
        log=place / "processor.log",
        environment=variant.environment,
    )
    try:
        await child.start()
    except ChildFailed as error:
        raise SettingsError(str(error)) from None
    try:
        assert child.pid is not None
        yield listen, child.pid
    finally:
        await child.stop(5.0)


async def _rate(address: str, pid: int, numbers: Iterator[int], clients: int, posts: int) -> Rate:
    """Let `clients` file `posts` new recordings."""
    requests = iter([_request(next(numbers)) for _ in range(posts)])
    try:
        async with asyncio.timeout(_SECONDS):
            used, began = cpu_seconds(pid), time.perf_counter()
            await asyncio.gather(*(_client(address, requests) for _ in range(clients)))
            seconds, used = time.perf_counter() - began, cpu_seconds(pid) - used
    except (TimeoutError, OSError, asyncio.IncompleteReadError):
        raise SettingsError("the processor did not answer every post") from None
    return Rate(posts / seconds, used / posts * 1000)


async def _client(address: str, requests: Iterator[bytes]) -> None:
    server = urlsplit(f"//{address}")
    reader, writer = await asyncio.open_connection(server.hostname, server.port)
    try:
        for request in requests:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length:")[2].split()[0]))
            if head.split()[1] != b"200":
                raise SettingsError("the processor refused a post")
    finally:
        writer.close()


def _request(number: int) -> bytes:
    recording = f"BENCH{number:027}"
    media = f"{recording}_2026-01-02-0a1b2c3d-00000001-00000001.wav"
    body = json.dumps({"mediaFiles": [_media_file(recording, media)]}).encode()
    return (
        "POST /api/contact-centers/bench/recordings HTTP/1.1\r\nHost: bench\r\n"
        f"Authorization: {basic_header('mcp', _PASSWORD)}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def _media_file(recording: str, media: str) -> dict[str, object]:
    """Return the metadata of one encrypted media file, about 2 kB as they mostly are."""
    return {
        "mediaDescriptor": {"storage": "webDAV", "path": f"http://store/{media}.bin", "data": {}},
        "startTime": "2026-01-02T10:00:00.000Z",
        "stopTime": "2026-01-02T10:00:12.500Z",
        "mediaId": media,
        "type": "audio/wav",
        "duration": "12500",
        "size": "400044",
        "tenant": "Environment",
        "ivrprofile": "recording",
        "parameters": {
            "id": recording,
            "callUuid": recording,
            "ani": "+16175550101",
            "dnis": "8005550199",
            "agentId": "agent1",
            "recordDN": "7001",
            "connId": "006a0269722cd93f",
        },
        "masks": [],
        "pkcs7": f"-----BEGIN PKCS7-----\n{'A' * 1200}\n-----END PKCS7-----\n",
        "certAlias": ["rcs_Environment:1:C=US,ST=CA,O=Example,CN=example_ca:10"],
    }


async def _free_address() -> str:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        return f"127.0.0.1:{server.sockets[0].getsockname()[1]}"

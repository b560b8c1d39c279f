"""The platform put together: sockets, capture processes, render workers, delivery, control API.

It begins by taking up what an earlier process left in the spool, and ends in order: no new calls,
running calls finish within the grace period, recordings are sealed and delivered, the rest waits in
the spool for the next start.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from prometheus_client import CollectorRegistry

from mcp_sim.calls import Calls
from mcp_sim.capture_fleet import capture_fleet
from mcp_sim.config import CaptureSettings, McpSettings
from mcp_sim.control import ControlApi
from mcp_sim.destinations import Destinations
from mcp_sim.metrics import PlatformCollector
from mcp_sim.node import Node
from mcp_sim.pipeline import Pipeline
from mcp_sim.profiles import ProfileBook, ProfileFeed
from mcp_sim.reception import Reception
from mcp_sim.recording.backoff import Backoff
from mcp_sim.recording.capture_client import CaptureClient
from mcp_sim.recording.capture_options import CaptureOptions
from mcp_sim.recording.delivery import Delivery
from mcp_sim.recording.keyring import KeyringError, SpoolKeyring
from mcp_sim.recording.render_pool import RenderPool
from mcp_sim.recording.spool import Spool, SpoolError
from mcp_sim.refusals import Refusals
from mcp_sim.sip import AgentLimits, SipAgent
from service_shell.accounts import Accounts, basic_header
from service_shell.descriptors import raise_descriptor_limit
from service_shell.lifetime import Lifetime, run_service
from service_shell.listening import bind_pair, bind_tcp, bind_udp, display
from service_shell.log import configure_logging
from service_shell.settings import SettingsError, load_settings
from service_shell.web import serve

USER_AGENT = "reclab-mcp"
_PROFILES_COPY = "profiles.sealed"
_HTTP_CONNECTIONS = 64


def main(argv: Sequence[str]) -> int:
    """Run the platform; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m mcp_sim", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the settings file (TOML)")
    arguments = parser.parse_args(argv)

    async def run(lifetime: Lifetime) -> None:
        settings = load_settings(McpSettings, arguments.config, prefix="mcp", environ=os.environ)
        configure_logging("mcp", settings.log)
        raise_descriptor_limit()
        await run_platform(settings, lifetime)

    return run_service("mcp", run)


async def run_platform(settings: McpSettings, lifetime: Lifetime) -> None:
    """Run until `lifetime` asks to stop. Raises `SettingsError` for what cannot be used."""
    control = bind_tcp(settings.listen)
    udp, tcp = _bind_sip(settings)
    try:
        keyring = SpoolKeyring.open_or_create(Path(settings.spool.keyring))
        spool = await asyncio.to_thread(Spool, Path(settings.spool.folder))
    except (KeyringError, SpoolError) as error:
        raise SettingsError(str(error)) from None
    with spool:
        async with _platform(settings, spool, keyring, (udp, tcp)) as platform:
            app = platform.control.application(Accounts(settings.accounts))
            async with serve(app, control):
                lifetime.ready(sip=display(udp), control=f"http://{display(control)}")
                await lifetime.stopping.wait()
                await platform.drain(settings.limits.grace)


class Platform:
    """The running parts that ending in order needs."""

    def __init__(
        self,
        *,
        agent: SipAgent,
        reception: Reception,
        calls: Calls,
        pipeline: Pipeline,
        control: ControlApi,
    ) -> None:
        self._agent = agent
        self._reception = reception
        self._calls = calls
        self._pipeline = pipeline
        self.control = control

    async def drain(self, grace: float) -> None:
        """Take no more calls, let the running ones finish, seal and deliver; then stop the rest."""
        self._reception.open = False
        self._agent.refuse_new_calls()
        loop = asyncio.get_running_loop()
        end = loop.time() + grace
        if not await self._calls.wait_idle(grace / 2):
            await self._calls.stop_all("the platform is stopping")
        await self._pipeline.drain(max(1.0, end - loop.time()))


@asynccontextmanager
async def _platform(
    settings: McpSettings,
    spool: Spool,
    keyring: SpoolKeyring,
    sip: tuple[socket.socket, socket.socket],
) -> AsyncIterator[Platform]:
    """Start every part, the farthest from the caller first; end them the other way round."""
    node = await asyncio.to_thread(Node, spool.root, node=settings.node)
    book = ProfileBook()
    connector = aiohttp.TCPConnector(limit=_HTTP_CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector) as http:
        feed = _feed(settings, book, keyring, spool, http)
        delivery = _delivery(settings, spool, keyring, book, http)
        renders = RenderPool(
            spool, keyring, workers=settings.spool.render_workers, log_settings=settings.log
        )
        async with renders, _background(feed.run(), delivery.run()):
            pipeline = Pipeline(spool, renders, delivery)
            await pipeline.recover()
            async with _front(settings, spool, keyring, node, book, pipeline, sip) as platform:
                yield platform


@asynccontextmanager
async def _front(
    settings: McpSettings,
    spool: Spool,
    keyring: SpoolKeyring,
    node: Node,
    book: ProfileBook,
    pipeline: Pipeline,
    sip: tuple[socket.socket, socket.socket],
) -> AsyncIterator[Platform]:
    """The capture processes, and the SIP agent that gives them calls."""
    host = await _contact_host(settings, sip[0])
    options = _capture_options(settings.capture, host)
    registry = CollectorRegistry()
    refusals = Refusals(registry)
    died: list[Calls] = []

    async def on_death(client: CaptureClient) -> None:
        for calls in died:
            await calls.capture_died(client)

    fleet_of = capture_fleet(
        settings.capture.processes, options, settings.log, on_death, spool.lock_descriptor
    )
    async with fleet_of as fleet:
        calls = Calls(
            fleet=fleet, spool=spool, keyring=keyring, node=node, mpc=settings.mpc,
            siprec_left=settings.siprec.left, on_captured=pipeline.captured,
        )  # fmt: skip
        died.append(calls)
        reception = Reception(
            book=book, calls=calls, refusals=refusals, mpc=settings.mpc, host=host,
            limit=settings.limits.calls or max(1, fleet.legs // 2),
        )  # fmt: skip
        PlatformCollector(calls=calls, fleet=fleet, pipeline=pipeline, spool=spool).register(
            registry
        )
        control = ControlApi(
            calls=calls, refusals=refusals, registry=registry, stats=lambda: fleet.stats,
            ready=lambda: _unready(book, fleet.alive),
        )  # fmt: skip
        agent = SipAgent(
            user_agent=USER_AGENT, on_invite=reception.take, limits=AgentLimits(), advertise=host
        )
        await agent.open(*sip)
        try:
            yield Platform(
                agent=agent, reception=reception, calls=calls, pipeline=pipeline, control=control
            )
        finally:
            await calls.stop_all("the platform ended")
            await agent.close()


def _unready(book: ProfileBook, captures: int) -> str:
    if not book.loaded:
        return "no profiles are loaded yet"
    return "" if captures else "no capture process is up"


def _bind_sip(settings: McpSettings) -> tuple[socket.socket, socket.socket]:
    if settings.sip.listen_tcp:
        return bind_udp(settings.sip.listen), bind_tcp(settings.sip.listen_tcp)
    return bind_pair(settings.sip.listen)


async def _contact_host(settings: McpSettings, sip: socket.socket) -> str:
    """The numeric address that SDP and Contact name. Raises `SettingsError`."""
    name = settings.sip.contact_host or sip.getsockname()[0]
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(name, None, family=sip.family, type=socket.SOCK_DGRAM)
    except socket.gaierror:
        raise SettingsError(f"`sip.contact_host`: {name} is not a known host") from None
    return str(found[0][4][0])


def _capture_options(capture: CaptureSettings, host: str) -> CaptureOptions:
    first, _, last = capture.ports.partition("-")
    try:
        ports = (int(first), int(last)) if capture.ports else (0, 0)
    except ValueError:
        raise SettingsError("`capture.ports` is not of the form first-last") from None
    return CaptureOptions(host=capture.host or host, first_port=ports[0], last_port=ports[1])


def _feed(
    settings: McpSettings,
    book: ProfileBook,
    keyring: SpoolKeyring,
    spool: Spool,
    http: aiohttp.ClientSession,
) -> ProfileFeed:
    account = settings.processor
    try:
        password = Path(account.password_file).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError:
        message = f"`processor.password_file`: {account.password_file!r} cannot be read"
        raise SettingsError(message) from None
    feed = ProfileFeed(
        book,
        url=account.url,
        authorization=basic_header(account.user, password),
        http=http,
        keyring=keyring,
        copy=spool.root / _PROFILES_COPY,
    )
    feed.load_copy()
    return feed


def _delivery(
    settings: McpSettings,
    spool: Spool,
    keyring: SpoolKeyring,
    book: ProfileBook,
    http: aiohttp.ClientSession,
) -> Delivery:
    chosen = settings.delivery
    return Delivery(
        spool,
        http,
        Destinations(book, keyring).credentials,
        keyring=keyring,
        concurrency=chosen.concurrency,
        backoff=Backoff(first=chosen.first_retry, longest=chosen.longest_retry),
        timeout=chosen.timeout,
    )


@asynccontextmanager
async def _background(*works: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run `works` beside the body; the end of the body cancels them."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()

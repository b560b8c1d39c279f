"""The platform put together: profiles, deliveries and renders, then the front that takes calls.

It begins by taking up what an earlier process left in the spool, and ends in order: no new calls,
running calls finish within the grace period, recordings are sealed and delivered, the rest waits in
the spool for the next start.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import aiohttp

from mcp_sim.addresses import Addresses, open_addresses
from mcp_sim.calls import RecordingFacts
from mcp_sim.config import DeliverySettings, McpSettings, SipSettings
from mcp_sim.destinations import Destinations
from mcp_sim.faults import PlatformFaults
from mcp_sim.front import open_front
from mcp_sim.node import Node
from mcp_sim.pipeline import Pipeline
from mcp_sim.profiles import ProfileBook, ProfileFeed
from mcp_sim.recording.delivery.backoff import Backoff
from mcp_sim.recording.delivery.delivery import Delivery
from mcp_sim.recording.delivery.traffic import CircuitRule
from mcp_sim.recording.keyring import KeyringError, SpoolKeyring
from mcp_sim.recording.render.pool import RenderPool
from mcp_sim.recording.spool.spool import Spool, SpoolError
from mcp_sim.sip import SipTls
from mcp_sim.wall_clock import WallClock
from service_shell.accounts import Accounts
from service_shell.descriptors import raise_descriptor_limit
from service_shell.faults.settings import open_switch
from service_shell.lifetime import Lifetime, run_service
from service_shell.listening import display, url_of
from service_shell.log import configure_logging
from service_shell.settings import SettingsError, load_settings
from service_shell.tls import ServerTls, open_tls
from service_shell.trust import trusting
from service_shell.web import serve

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
    # Whatever a person can have set wrong is found here, before anything runs.
    accounts = Accounts(settings.accounts, tenants_apart=False)
    authorization = settings.processor.authorization()
    control_tls, sip_tls = open_tls(settings.tls), _sip_tls(settings.sip)
    faults = open_switch(settings.faults, "mcp")
    with await open_addresses(settings) as addresses, await _open_spool(settings) as spool:
        facts = await asyncio.to_thread(_facts, settings, spool)
        broken = None if faults is None else PlatformFaults(faults, facts.wall)
        book = ProfileBook()
        async with (
            trusting(settings.trust) as trust,
            _http_session(trust) as http,
            _following(settings, book, facts.keyring, spool, http, authorization),
            _rendering(settings, facts, spool, book, http, broken) as pipeline,
            sip_tls.following() if sip_tls else nullcontext(),
            open_front(
                settings,
                addresses,
                facts,
                spool,
                book,
                pipeline,
                SipTls(sip_tls.context if sip_tls else None, trust),
            ) as front,
            broken.causing(front.fleet) if broken else nullcontext(),
            serve(front.control.application(accounts, faults), addresses.control, tls=control_tls),
        ):
            lifetime.ready(**_urls(addresses, secure=control_tls is not None))
            await lifetime.stopping.wait()
            grace = settings.limits.grace
            end = asyncio.get_running_loop().time() + grace
            await front.drain(grace / 2)
            await pipeline.drain(max(1.0, end - asyncio.get_running_loop().time()))


def _sip_tls(settings: SipSettings) -> ServerTls | None:
    tls = settings.tls
    if settings.listen_tls:
        return ServerTls(tls, section="sip.tls")
    if tls.certificate or tls.key:
        raise SettingsError("`sip.listen_tls` is missing: nothing would use `sip.tls`")
    return None


def _urls(addresses: Addresses, *, secure: bool) -> dict[str, str]:
    """Return what is told when everything is ready."""
    urls = {"sip": addresses.sip, "control": url_of(addresses.control, secure=secure)}
    return urls | {"sip_tls": display(addresses.sip_tls)} if addresses.sip_tls else urls


async def _open_spool(settings: McpSettings) -> Spool:
    try:
        return await asyncio.to_thread(Spool, Path(settings.spool.folder))
    except SpoolError as error:
        raise SettingsError(str(error)) from None


def _facts(settings: McpSettings, spool: Spool) -> RecordingFacts:
    try:
        keyring = SpoolKeyring.for_spool(Path(settings.spool.keyring), spool.root, os.environ)
    except KeyringError as error:
        raise SettingsError(str(error)) from None
    node = Node(spool.root, node=settings.node)
    return RecordingFacts(node, settings.mpc, keyring, settings.siprec.left)


def _http_session(trust: ssl.SSLContext) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=_HTTP_CONNECTIONS, ssl=trust))


@asynccontextmanager
async def _following(
    settings: McpSettings,
    book: ProfileBook,
    keyring: SpoolKeyring,
    spool: Spool,
    http: aiohttp.ClientSession,
    authorization: str,
) -> AsyncIterator[None]:
    """Keep the profiles of `book` new; those of the last time are in force at once."""
    feed = ProfileFeed(
        book,
        url=settings.processor.url,
        authorization=authorization,
        http=http,
        keyring=keyring,
        copy=spool.root / _PROFILES_COPY,
    )
    feed.load_copy()
    async with asyncio.TaskGroup() as group:
        following = group.create_task(feed.run(), name="profiles")
        try:
            yield
        finally:
            following.cancel()


@asynccontextmanager
async def _rendering(
    settings: McpSettings,
    facts: RecordingFacts,
    spool: Spool,
    book: ProfileBook,
    http: aiohttp.ClientSession,
    broken: PlatformFaults | None,
) -> AsyncIterator[Pipeline]:
    """Render and deliver, first of all what an earlier process left."""
    workers = settings.spool.render_workers
    delivery = open_delivery(settings.delivery, facts.keyring, spool, book, http, facts.wall)
    async with RenderPool(
        spool, facts.keyring, workers=workers, log_settings=settings.log, faults=broken
    ) as renders:
        pipeline = Pipeline(spool, renders, delivery)
        async with pipeline.running():
            yield pipeline


def open_delivery(
    chosen: DeliverySettings,
    keyring: SpoolKeyring,
    spool: Spool,
    book: ProfileBook,
    http: aiohttp.ClientSession,
    wall: WallClock | None = None,
) -> Delivery:
    """Return the delivery, with the credentials of `book`, which it follows."""
    delivery = Delivery(
        spool,
        http,
        Destinations(book, keyring).credentials,
        keyring=keyring,
        concurrency=chosen.concurrency,
        backoff=Backoff(first=chosen.first_retry, longest=chosen.longest_retry),
        circuits=CircuitRule(
            failures=chosen.circuit_failures,
            pause=Backoff(first=chosen.circuit_pause, longest=chosen.longest_circuit_pause),
        ),
        timeout=chosen.timeout,
        wall=(wall or WallClock()).seconds,
    )
    book.follow(delivery.credentials_changed)
    return delivery

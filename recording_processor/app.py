"""The recording processor as a program: settings in, a running service out.

    python -m recording_processor --config FILE.toml

Exit code 0 after a clean end, 2 with one sentence when a setting, the port or the catalogue cannot
be used. SIGTERM: no new requests, those that run get their grace, everything answered is durable.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import structlog

from recording_processor.catalogue.catalogue import Catalogue, catalogue_of
from recording_processor.catalogue.opening import open_database
from recording_processor.dates import utc_now
from recording_processor.errors import ProcessorError
from recording_processor.onward.onward import onward_of
from recording_processor.profile_feed import ProfileFeed
from recording_processor.profile_problems import problems
from recording_processor.provisioning import Provisions, read_provisions
from recording_processor.settings import ProcessorSettings, storages_of
from recording_processor.web.application import make_application
from recording_processor.web.metrics import Metrics
from service_shell.accounts import Accounts
from service_shell.descriptors import raise_descriptor_limit
from service_shell.lifetime import Lifetime, run_service
from service_shell.listening import bind_tcp, url_of
from service_shell.log import configure_logging
from service_shell.settings import SettingsError, load_settings
from service_shell.tls import open_tls
from service_shell.trust import TrustSettings, trusting
from service_shell.web import serve

_NAME = "recording_processor"
_log = structlog.get_logger()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(prog=_NAME, description="Indexes recordings, owns profiles.")
    parser.add_argument("--config", type=Path, required=True, help="the settings, a TOML file")
    file = parser.parse_args(arguments).config

    async def live(lifetime: Lifetime) -> None:
        settings = load_settings(ProcessorSettings, file, prefix="processor", environ=os.environ)
        configure_logging(_NAME, settings.log)
        raise_descriptor_limit()
        await run(settings, lifetime)

    return run_service(_NAME, live)


async def run(settings: ProcessorSettings, lifetime: Lifetime) -> None:
    """Serve until the lifetime ends. Raises `SettingsError`."""
    accounts, storages = Accounts(settings.accounts), storages_of(settings)
    provisions = [_read_provisions(Path(name)) for name in settings.provision]
    tls = open_tls(settings.tls)
    with bind_tcp(settings.listen) as sock:
        metrics = Metrics()
        async with (
            _open_catalogue(settings) as catalogue,
            upstream_session(settings.trust) as http,
            onward_of(settings, catalogue.outbox, metrics) as onward,
        ):
            for name, provision in zip(settings.provision, provisions, strict=True):
                await _provision(catalogue, name, provision)
            feed = ProfileFeed()
            app = make_application(
                settings,
                catalogue,
                feed,
                http,
                accounts=accounts,
                storages=storages,
                metrics=metrics,
                onward=onward,
            )
            async with serve(app, sock, grace=settings.drain_seconds, tls=tls):
                lifetime.ready(processor=url_of(sock, secure=tls is not None))
                await lifetime.stopping.wait()
                # Readers that wait for a change are answered now and do not hold up the end.
                feed.close()


@asynccontextmanager
async def upstream_session(
    trust: TrustSettings | None = None,
) -> AsyncIterator[aiohttp.ClientSession]:
    """The HTTP client for the store and crypto_server: no cookies, no proxies, nothing decoded."""
    async with trusting(trust or TrustSettings()) as context:
        # How many connections there are is bounded by the streams that may be open.
        connector = aiohttp.TCPConnector(limit=0, ssl=context)
        async with aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        ) as session:
            yield session


@asynccontextmanager
async def _open_catalogue(settings: ProcessorSettings) -> AsyncIterator[Catalogue]:
    limits, center = settings.limits, settings.contact_center
    async with (
        open_database(
            Path(settings.catalogue),
            readers=limits.readers,
            waiting_limit=limits.writes_waiting,
            read_seconds=limits.search_seconds,
        ) as database,
        catalogue_of(
            database,
            ccid=center.ccid,
            domain=center.domain,
            region=center.region,
            clock=lambda: time.time_ns() // 1_000_000,
            posts_waiting=limits.writes_waiting,
            posts_together=limits.posts_together,
            onward=bool(settings.onward.url),
        ) as catalogue,
    ):
        yield catalogue


def _read_provisions(file: Path) -> Provisions:
    def certificate(name: str) -> str:
        path = file.parent / name
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise SettingsError(f"{file}: the certificate file {path} cannot be read") from None

    try:
        return read_provisions(file.read_text(encoding="utf-8"), read_certificate=certificate)
    except (OSError, UnicodeDecodeError):
        raise SettingsError(f"{file}: cannot be read") from None
    except ProcessorError as error:
        raise SettingsError(f"{file}: {error}") from None


async def _provision(catalogue: Catalogue, name: str, provisions: Provisions) -> None:
    try:
        added = await catalogue.provision(provisions.tenants, provisions.profiles)
    except ProcessorError as error:
        raise SettingsError(f"{name}: {error}") from None
    for profile in added.profiles:
        _log.info("A profile was added", profile=profile.name, dbid=profile.dbid)
    for profile in provisions.profiles:
        for problem in problems(profile, now=utc_now()):
            _log.warning(
                "A profile has a problem",
                profile=profile.name,
                dbid=profile.dbid,
                option=problem.option,
                problem=problem.problem,
            )

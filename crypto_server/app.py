"""The crypto server as a process: settings, keystore, audit, HTTP, and its end.

SIGHUP looks at the whole keystore again and reopens the audit file, as log rotation wants it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import structlog
from aiohttp import web

from crypto_server.administration.mounting import Administration
from crypto_server.administration.sign_in import REALM
from crypto_server.administration.validation import open_validation
from crypto_server.audit import Audit
from crypto_server.errors import AuditError, CryptoServerError, KeystoreError
from crypto_server.keystore import Keystore
from crypto_server.keystore.opening import open_keystore
from crypto_server.metrics import PlaybackMetrics
from crypto_server.playing.player import Player
from crypto_server.playing.routes import OPEN_PATHS, PlayRoutes
from crypto_server.processor import ProcessorClient
from crypto_server.rcs_properties import load_crypto_settings
from crypto_server.rewrap import RewrapRoutes
from crypto_server.rewrap.envelope_client import EnvelopeClient
from crypto_server.rewrap.rewrapper import Rewrapper
from crypto_server.settings import PROCESSOR_PASSWORD, Settings, read_password
from service_shell.accounts import Accounts
from service_shell.descriptors import raise_descriptor_limit
from service_shell.faults.mounting import mount_faults
from service_shell.lifetime import Lifetime, run_service
from service_shell.listening import bind_tcp, url_of
from service_shell.log import configure_logging
from service_shell.openapi import OPENAPI_PATH
from service_shell.settings import SettingsError
from service_shell.sign_in import sign_ins_refused
from service_shell.tls import open_tls
from service_shell.trust import trusting
from service_shell.web import basic_auth, errors_as_json, serve

NAME = "crypto_server"
ADMINISTRATION: web.AppKey[Administration] = web.AppKey("administration", Administration)
_READ_BUFFER = 256 * 1024
_log = structlog.get_logger()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the server until it is asked to stop; return the exit code."""
    parser = argparse.ArgumentParser(prog=NAME, description="Plays encrypted recordings.")
    parser.add_argument(
        "--config", type=Path, required=True, help="settings file (TOML, or rcs.properties)"
    )
    config: Path = parser.parse_args(argv).config

    async def run(lifetime: Lifetime) -> None:
        settings, notes = load_crypto_settings(config, os.environ)
        configure_logging(NAME, settings.log)
        for note in notes:
            _log.warning(note)
        raise_descriptor_limit()
        await run_server(settings, os.environ, lifetime)

    return run_service(NAME, run)


async def run_server(settings: Settings, environ: Mapping[str, str], lifetime: Lifetime) -> None:
    """Serve until `lifetime` stops. Raises `SettingsError` when something cannot be used."""
    tls = open_tls(settings.tls)
    keystore, audit = await asyncio.to_thread(_open_files, settings, environ)
    try:
        async with playing_app(settings, environ, keystore, audit) as app:
            sock = bind_tcp(settings.listen)
            async with (
                serve(app, sock, grace=settings.grace_seconds, tls=tls),
                asyncio.TaskGroup() as tasks,
            ):
                watching = tasks.create_task(app[ADMINISTRATION].expiry.watch())
                hangups = tasks.create_task(_on_hangup(keystore, audit))
                lifetime.ready(crypto=url_of(sock, secure=tls is not None))
                await lifetime.stopping.wait()
                hangups.cancel()
                watching.cancel()
    finally:
        await asyncio.to_thread(_close, keystore, audit)


@asynccontextmanager
async def playing_app(
    settings: Settings, environ: Mapping[str, str], keystore: Keystore, audit: Audit
) -> AsyncIterator[web.Application]:
    """Give the HTTP application, and keep its connections to the processor open meanwhile."""
    validation = await asyncio.to_thread(open_validation, settings.validation, environ)
    password = read_password(
        settings.processor.password_file, PROCESSOR_PASSWORD, "processor", environ
    )
    accounts = Accounts(settings.accounts)
    async with (
        trusting(settings.trust) as context,
        aiohttp.ClientSession(
            auto_decompress=False,
            connector=aiohttp.TCPConnector(limit=2 * settings.playback.concurrent, ssl=context),
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=_READ_BUFFER,
        ) as session,
    ):
        processor = ProcessorClient(settings.processor, password, session)
        client = EnvelopeClient(settings.processor, password, session)
        administration = Administration(
            settings.administration, keystore, client, validation, audit
        )
        open_paths = {*OPEN_PATHS, OPENAPI_PATH}
        metrics = PlaybackMetrics(keystore)
        basic = basic_auth(
            accounts,
            realm=REALM,
            open_paths=open_paths,
            sign_in=settings.sign_in,
            refused=sign_ins_refused(metrics.registry, "crypto"),
        )
        app = web.Application(middlewares=[errors_as_json, administration.sign_in(basic)])
        app[ADMINISTRATION] = administration
        seconds = settings.playback.first_byte_seconds
        player = Player(processor, keystore, first_byte_seconds=seconds)
        metrics.registry.register(administration.expiry)
        PlayRoutes(player, audit, metrics, settings.playback).add_to(app)
        administration.add_to(app)
        rewrapper = Rewrapper(administration.certificates, keystore, processor, client)
        RewrapRoutes(rewrapper, administration.actions).add_to(app)
        mount_faults(
            app,
            settings.faults,
            "crypto",
            path="/faults",
            realm=REALM,
            exempt=OPEN_PATHS,
            registry=metrics.registry,
        )
        yield app


def _open_files(settings: Settings, environ: Mapping[str, str]) -> tuple[Keystore, Audit]:
    try:
        keystore = open_keystore(settings.keystore, environ)
        return keystore, Audit.open(Path(settings.audit.file))
    except CryptoServerError as error:
        raise SettingsError(str(error)) from None


async def _on_hangup(keystore: Keystore, audit: Audit) -> None:
    """Reload the keystore and reopen the audit file at each SIGHUP."""
    loop = asyncio.get_running_loop()
    hangup = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, hangup.set)
    try:
        while True:
            await hangup.wait()
            hangup.clear()
            await asyncio.to_thread(_reload, keystore, audit)
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


def _reload(keystore: Keystore, audit: Audit) -> None:
    try:
        audit.reopen()
        count = keystore.reload()
        _log.info("The keystore was reloaded", keys=count.keys, unusable=count.unusable)
    except (AuditError, KeystoreError) as error:
        _log.error("A reload was not possible", reason=str(error))


def _close(keystore: Keystore, audit: Audit) -> None:
    keystore.close()
    try:
        audit.close()
    except AuditError as error:
        _log.error("Audit lines were lost", reason=str(error))

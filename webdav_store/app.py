"""The store as a program: ``python -m webdav_store --config FILE.toml``."""

from __future__ import annotations

import argparse
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from service_shell.accounts import Accounts
from service_shell.descriptors import raise_descriptor_limit
from service_shell.faults.mounting import mount_faults
from service_shell.lifetime import Lifetime, run_service
from service_shell.listening import bind_tcp, url_of
from service_shell.log import configure_logging
from service_shell.settings import load_settings
from service_shell.sign_in import sign_ins_refused
from service_shell.tls import open_tls
from service_shell.web import basic_auth, errors_as_json, serve
from webdav_store.dav import Dav
from webdav_store.disk import Disk
from webdav_store.front import StoreFront
from webdav_store.health import FAULTS, LIVEZ, METRICS, OPENAPI, READYZ, HealthPages
from webdav_store.metrics import StoreMetrics
from webdav_store.root import StoreRoot
from webdav_store.settings import StoreSettings

_REALM = "recordings"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the store until it is told to stop; return the exit code."""
    parser = argparse.ArgumentParser(prog="webdav_store", description=__doc__)
    parser.add_argument("--config", type=Path, help="the settings file (TOML)")
    file: Path | None = parser.parse_args(argv).config
    os.umask(0o077)
    raise_descriptor_limit()

    async def run(lifetime: Lifetime) -> None:
        settings = load_settings(StoreSettings, file, prefix="STORE", environ=os.environ)
        configure_logging("webdav_store", settings.log)
        async with run_store(settings) as url:
            lifetime.ready(store=url)
            await lifetime.stopping.wait()

    return run_service("webdav_store", run)


@asynccontextmanager
async def run_store(settings: StoreSettings) -> AsyncIterator[str]:
    """Serve until the block ends; yield the collection's URL without a trailing slash.

    At the end no connection is accepted any more and running requests get `grace_seconds`.
    Raises `SettingsError` when an account, folder, certificate or address cannot be used.
    """
    accounts = Accounts(settings.accounts, tenants_apart=False)
    tls = open_tls(settings.tls)
    root = StoreRoot(Path(settings.root), reserved_bytes=settings.limits.reserved_bytes)
    root.open()
    disk = Disk(read=settings.threads.read, write=settings.threads.write)
    try:
        sock = bind_tcp(settings.listen)
        app = _application(settings, accounts, root, disk)
        async with serve(app, sock, grace=settings.grace_seconds, tls=tls):
            yield f"{url_of(sock, secure=tls is not None)}/{settings.collection}"
    finally:
        disk.close()
        root.close()


def _application(
    settings: StoreSettings, accounts: Accounts, root: StoreRoot, disk: Disk
) -> web.Application:
    metrics = StoreMetrics(root)
    limits = settings.limits
    dav = Dav(root.folder, settings.collection, locks=limits.locks, properties=limits.properties)
    front = StoreFront(dav, disk, metrics, collection=settings.collection, limits=limits)
    open_paths = {LIVEZ, READYZ, METRICS, OPENAPI}
    auth = basic_auth(
        accounts,
        realm=_REALM,
        open_paths=open_paths,
        sign_in=settings.sign_in,
        refused=sign_ins_refused(metrics.registry, "store"),
    )
    app = web.Application(middlewares=[errors_as_json, auth])
    HealthPages(root, disk, metrics).add_to(app.router)
    mount_faults(
        app,
        settings.faults,
        "store",
        path=FAULTS,
        realm=_REALM,
        exempt=open_paths,
        registry=metrics.registry,
    )
    app.router.add_route("*", "/{path:.*}", front.handle, expect_handler=_expect_later)
    return app


async def _expect_later(_request: web.Request) -> None:
    """Leave ``100 Continue`` to the upload, which sends it when it would take the body."""

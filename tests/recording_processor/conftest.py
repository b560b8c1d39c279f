"""A processor in the test's own process: its catalogue on disk, its HTTP on a free port."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from recording_format.ivr_profile import Tenant
from recording_processor.app import upstream_session
from recording_processor.catalogue.catalogue import Catalogue, catalogue_of
from recording_processor.catalogue.opening import open_database
from recording_processor.onward.onward import Onward
from recording_processor.profile_feed import ProfileFeed
from recording_processor.settings import ContactCenterSettings, ProcessorSettings, storages_of
from recording_processor.web.application import make_application
from service_shell.accounts import Account, Accounts, basic_header, hash_password
from tests.recording_processor.samples import CCID, DOMAIN

Client = TestClient[web.Request, web.Application]


class ClientOf(Protocol):
    """Serves a processor under some settings; what delivers `onward` may belong to another one."""

    def __call__(
        self, settings: ProcessorSettings, *, onward: Onward | None = None
    ) -> AbstractAsyncContextManager[Client]:
        """Return a client that is not signed in."""


ROLES = ("mcp", "operator", "admin", "listener", "crypto", "processor")
_HASHES = {role: hash_password(f"{role}-secret") for role in ROLES}


def sign_in(role: str) -> dict[str, str]:
    """Return the headers of the test's account with this one role."""
    return {"Authorization": basic_header(role, f"{role}-secret")}


@asynccontextmanager
async def open_catalogue(file: Path) -> AsyncIterator[Catalogue]:
    """Open a catalogue whose clock counts calls and whose one tenant is `Environment`."""
    ticks = itertools.count(1)
    async with (
        open_database(file) as database,
        catalogue_of(
            database, ccid=CCID, domain=DOMAIN, region="1", clock=lambda: next(ticks)
        ) as catalogue,
    ):
        await catalogue.provision([Tenant(name="Environment", dbid=1)], [])
        yield catalogue


@pytest.fixture
async def catalogue(tmp_path: Path) -> AsyncIterator[Catalogue]:
    """A new catalogue."""
    async with open_catalogue(tmp_path / "catalogue.sqlite3") as opened:
        yield opened


@pytest.fixture
def settings() -> ProcessorSettings:
    """The settings of the processor under test, with one account per role."""
    return ProcessorSettings(
        contact_center=ContactCenterSettings(domain=DOMAIN, ccid=CCID),
        accounts=[
            Account(name=role, roles=[role], password_hash=hashed)
            for role, hashed in _HASHES.items()
        ],
    )


@pytest.fixture
def feed() -> ProfileFeed:
    """The feed of the processor under test."""
    return ProfileFeed()


@pytest.fixture
def client_of(catalogue: Catalogue, feed: ProfileFeed) -> ClientOf:
    """Serve the catalogue under some settings; a client that is not signed in comes out."""

    @asynccontextmanager
    async def serve(
        settings: ProcessorSettings, *, onward: Onward | None = None
    ) -> AsyncIterator[Client]:
        async with upstream_session() as http:
            app = make_application(
                settings,
                catalogue,
                feed,
                http,
                accounts=Accounts(settings.accounts),
                storages=storages_of(settings),
                onward=onward,
            )
            async with TestClient(TestServer(app)) as client:
                yield client

    return serve


@pytest.fixture
async def client(client_of: ClientOf, settings: ProcessorSettings) -> AsyncIterator[Client]:
    """A client of the processor under the plain settings."""
    async with client_of(settings) as opened:
        yield opened


def with_limits(settings: ProcessorSettings, **limits: float) -> ProcessorSettings:
    """Return `settings` with other limits."""
    changed = msgspec.structs.replace(settings.limits, **limits)
    return msgspec.structs.replace(settings, limits=changed)


def with_account(
    settings: ProcessorSettings,
    name: str,
    roles: list[str],
    tenants: list[str],
    *,
    password: str = "",
) -> ProcessorSettings:
    """Return `settings` with an account limited to `tenants` added; `sign_in(name)` signs it in.

    Unless it has another `password`.
    """
    account = Account(
        name=name,
        roles=roles,
        tenants=tenants,
        password_hash=hash_password(password or f"{name}-secret"),
    )
    return msgspec.structs.replace(settings, accounts=[*settings.accounts, account])

"""How the destinations of waiting recordings answer now, and whether they take the sign-in.

Nothing is stored by it: a store is asked about its collection, and a processor is given an empty
list of media files, which each one refuses.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Literal, TypeAlias

import aiohttp

from mcp_sim.destinations import Destinations
from mcp_sim.profiles import ProfileBook
from mcp_sim.readdressing import arrived, readdress
from mcp_sim.recording.delivery.errors import (
    DeliveryError,
    DestinationError,
    RefusedError,
    SignInRefusedError,
)
from mcp_sim.recording.delivery.http_exchange import Exchange
from mcp_sim.recording.delivery.processor_client import ProcessorClient
from mcp_sim.recording.keyring import SpoolKeyring
from mcp_sim.recording.spool.item import Part, read_progress
from reclab.recover.judging import Route
from reclab.recover.report import DestinationState
from reclab.recover.spool_scan import SpoolEntry, read_description
from recording_format.errors import MetadataError
from service_shell.accounts import basic_header

_EMPTY = b'{"mediaFiles":[]}'
_WELL = "it answers, and takes the profile's sign-in"
Account: TypeAlias = tuple[str, str] | None


class Probes:
    """Asks each destination once, as each account once."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        book: ProfileBook,
        keyring: SpoolKeyring | None,
        *,
        timeout: float,
    ) -> None:
        """`timeout` is how long a destination may be silent, in seconds."""
        self._store = Exchange(http, "the store", timeout=timeout)
        self._processor = Exchange(http, "the processor", timeout=timeout)
        self._book = book
        # Without the spool's keyring nobody knows the profiles that calls began with.
        self._destinations = Destinations(book, keyring or SpoolKeyring.generate())
        self._states: dict[tuple[str, str, Account], DestinationState] = {}
        self._routes: dict[tuple[Part, str, str, int, bool], Route] = {}

    @property
    def states(self) -> list[DestinationState]:
        """Every destination that was asked."""
        return list(self._states.values())

    async def route(self, entry: SpoolEntry) -> Route:
        """Return how the destinations of `entry` answer, at the addresses a retry would use."""
        key = (
            entry.part,
            entry.storage_url,
            entry.processor_url,
            entry.profile_dbid,
            entry.progress.stored,
        )
        if key not in self._routes:
            self._routes[key] = await self._find(entry)
        return self._routes[key]

    async def _find(self, entry: SpoolEntry) -> Route:
        folder = Path(entry.folder)
        try:
            item = await asyncio.to_thread(read_description, folder)
            progress = {part: read_progress(folder, part) for part in item.parts}
            profile = self._book.by_dbid(item.profile_dbid)
            item, replaced = readdress(entry.name, item, profile, arrived(progress))
        except (OSError, ValueError, MetadataError):
            return Route()  # it has moved on, or is found unreadable anyway
        item = item.for_part(entry.part)
        credentials = await self._destinations.credentials(item)
        store = await self._state("store", item.storage_url, item.profile, credentials.storage)
        processor = None
        if entry.part is Part.RECORDING:
            processor = await self._state(
                "processor", item.processor_url, item.profile, credentials.processor
            )
        addresses = tuple((one.destination, one.before, one.after) for one in replaced)
        return Route(store, processor, addresses)

    async def _state(
        self, kind: Literal["store", "processor"], url: str, profile: str, account: Account
    ) -> DestinationState:
        key = (kind, url, account)
        if key not in self._states:
            ask = self._ask_store if kind == "store" else self._ask_processor
            answers, accepts, said = True, True, _WELL
            try:
                await ask(url, account)
            except SignInRefusedError as error:
                accepts, said = False, str(error)
            except DeliveryError as error:
                answers, accepts, said = False, False, str(error)
            self._states[key] = DestinationState(
                kind=kind, url=url, profile=profile, answers=answers, accepts=accepts, said=said
            )
        return self._states[key]

    async def _ask_store(self, url: str, account: Account) -> None:
        sign_in = {"Authorization": basic_header(*account)} if account else {}
        headers = {"Depth": "0", "Content-Length": "0", **sign_in}
        async with self._store.ask("PROPFIND", f"{url}/", headers=headers) as answer:
            said = f"the store answered {answer.status} to PROPFIND {url}/"
            if answer.status in (401, 403):
                raise SignInRefusedError(f"{said}: the sign-in was refused")
            # A collection that is not there (404) is made by the delivery.
            if answer.status >= 500 or 300 <= answer.status < 400:
                raise DestinationError(said)

    async def _ask_processor(self, url: str, account: Account) -> None:
        try:
            await ProcessorClient(self._processor, account).post(url, _EMPTY)
        except RefusedError as error:
            if "answered" not in str(error):
                raise  # it is no URL

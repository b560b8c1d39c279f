"""The console: one page with the recordings, and the sounds that it plays.

A sound comes from crypto_server, asked with the signed-in person's own name and password: the
processor has no key, and no right to listen of its own.
"""

from __future__ import annotations

import re
from urllib.parse import urlencode

import aiohttp
from aiohttp import web

from recording_processor.answers import play_path
from recording_processor.catalogue.catalogue import Catalogue
from recording_processor.catalogue.reading import Page
from recording_processor.console import page as console_page
from recording_processor.console.page import ASSETS, View
from recording_processor.cursor import Cursor
from recording_processor.errors import BadParameter, NotFound, ProcessorError, UpstreamFailed
from recording_processor.group_setting import DECRYPT_URI_PREFIX, SCREEN_RECORDING, effective
from recording_processor.location import parse_location
from recording_processor.onward.onward import Onward
from recording_processor.search import CRITERIA, read_search
from recording_processor.settings import ProcessorSettings
from recording_processor.tenancy import tenants_of
from recording_processor.web.metrics import Metrics
from recording_processor.web.playback import media_type
from recording_processor.web.relay import Relay
from recording_processor.web.slots import Slots
from service_shell.accounts import Account
from service_shell.web import RoleMissing, require_role

_PEOPLE = ("listener", "operator", "admin")
MENDERS = ("operator", "admin")
_ENTRIES = 25
_COUNTED = 100
ASSET_PATHS = tuple(f"/console/assets/{name}" for name in ASSETS)


class ConsoleRoutes:
    """``/`` and ``/console/…``."""

    def __init__(
        self,
        catalogue: Catalogue,
        settings: ProcessorSettings,
        http: aiohttp.ClientSession,
        slots: Slots,
        metrics: Metrics,
        onward: Onward | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._settings = settings
        self._onward = onward
        crypto_url = settings.crypto_url.rstrip("/")
        self._own_prefix = f"{crypto_url}/rcs" if crypto_url else ""
        self._node = parse_location(settings.node_path)
        self._relay = Relay(
            "crypto_server",
            http,
            slots,
            metrics,
            seconds=settings.limits.store_seconds,
            refused=_refused,
        )

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; a GET answers HEAD too."""
        return [
            web.get("/", self.page),
            web.get("/console/recordings/{recording_id:[^/]+}/play/{play_name}", self.play),
            web.get("/console/assets/{name}", self.asset),
        ]

    async def page(self, request: web.Request) -> web.Response:
        """Show a page of recordings, or what is wrong with the search."""
        person = require_role(request, *_PEOPLE)
        # An empty field of the form is no criterion.
        query = [(name, value) for name, value in request.query.items() if value]
        criteria = {name: value for name, value in query if name in CRITERIA}
        try:
            wanted = read_search(query, default_limit=_ENTRIES, maximum_limit=100, anything=True)
        except BadParameter as error:
            return await self._page(person, Page((), None, None), criteria, fault=f"{error}.")
        found = await self._catalogue.find(wanted, tenants=tenants_of(person))
        return await self._page(person, found, dict(wanted.criteria), fault=None)

    async def play(self, request: web.Request) -> web.StreamResponse:
        """Stream the decrypted sound; Range is passed on."""
        person = require_role(request, "listener")
        prefix = await self._decrypt_uri_prefix()
        if not prefix:
            raise UpstreamFailed("no crypto_server is configured")
        recording_id = request.match_info["recording_id"]
        media = await self._catalogue.media_file(
            recording_id, request.match_info["play_name"], tenants=tenants_of(person)
        )
        return await self._relay.stream(
            request,
            prefix + play_path(recording_id, media.play_name),
            authorization=request.headers["Authorization"],
            content_type=media_type,
            forwarded=_forwarded(request),
        )

    async def asset(self, request: web.Request) -> web.Response:
        """Answer the style, the script or the icon; they hold nothing private."""
        name = request.match_info["name"]
        if name not in ASSETS:
            raise NotFound("there is no such file")
        return web.Response(
            body=console_page.asset(name),
            content_type=ASSETS[name],
            charset="utf-8",
            headers={"Cache-Control": "public, max-age=300"},
        )

    async def _conflicts(self, person: Account) -> int:
        """Return how many conflicts this person can look at, counted up to a bound."""
        if not set(person.roles) & set(MENDERS) or not self._catalogue.conflicts.count:
            return 0
        return len(await self._catalogue.conflicts.newest(tenants_of(person), limit=_COUNTED))

    def _failed_onward(self, person: Account) -> int:
        """Return how many posts could not go onward, to who is to know."""
        if self._onward is None or not set(person.roles) & set(MENDERS) or not person.every_tenant:
            return 0
        return self._onward.failed

    async def _decrypt_uri_prefix(self) -> str:
        """Return where this node's sounds are decrypted, or an empty text."""
        known = effective(await self._catalogue.groups.settings(SCREEN_RECORDING), self._node)
        setting = known.get(DECRYPT_URI_PREFIX)
        return self._own_prefix if setting is None else str(setting.value).rstrip("/")

    async def _page(
        self, person: Account, found: Page, criteria: dict[str, str], *, fault: str | None
    ) -> web.Response:
        view = View(
            entries=tuple(console_page.entry(recording) for recording in found.recordings),
            criteria=criteria,
            newer=_link(found.previous),
            older=_link(found.next),
            fault=fault and fault[0].upper() + fault[1:],
            domain=self._settings.contact_center.domain,
            region=self._settings.contact_center.region,
            person=person.name,
            roles=tuple(person.roles),
            may_listen="listener" in person.roles,
            can_play=bool(await self._decrypt_uri_prefix()),
            conflicts=await self._conflicts(person),
            failed_onward=self._failed_onward(person),
        )
        status = 200 if fault is None else 400
        return web.Response(
            text=console_page.render(view), status=status, content_type="text/html", charset="utf-8"
        )


def _link(cursor: Cursor | None) -> str | None:
    return None if cursor is None else f"/?{urlencode([(cursor.direction, cursor.encode())])}"


def _forwarded(request: web.Request) -> str:
    """Return whom the sound is for: what a proxy before us said, and last whom we see ourselves."""
    said = request.headers.get("X-Forwarded-For", "")
    # A long list must not push out the address that nobody could make up.
    parts = [part.strip() for part in said.split(",")[-2:]]
    known = [part for part in parts if re.fullmatch(r"[0-9A-Za-z.:\[\]_-]{1,45}", part)]
    return ", ".join([*known, request.remote or "unknown"])


def _refused(status: int, told: str) -> ProcessorError | RoleMissing:
    if status in (401, 403):
        # Not 401: the browser would throw the name and password away and ask again.
        return RoleMissing("crypto_server does not let this account listen")
    if status == 404:
        return NotFound(f"crypto_server says: {told or 'not found'}")
    return UpstreamFailed(f"crypto_server says: {told or f'error {status}'}")

"""The HTTP control API of the platform: what runs, what was refused and why, and how to stop it.

GET    /calls                running calls, oldest first
GET    /calls/refused        refused calls, newest first
GET    /calls/sources        who calls: running, refused and malformed, by address
GET    /calls/{id}           one running call
DELETE /calls/{id}           stop it: the recording is completed and delivered
POST   /deliveries/retry     try what waits now, and what was put aside again
GET    /recordings/failed    recordings that were put aside, and why, newest first
GET    /livez  /readyz  /metrics  /openapi.yaml    without sign-in
       /faults               faults on purpose, where they are enabled (`service_shell.faults.api`)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Literal

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry

from mcp_sim.admission.sources import SourceView
from mcp_sim.call import Call
from mcp_sim.calls import Calls
from mcp_sim.legs import Leg
from mcp_sim.put_aside import PutAside
from mcp_sim.recording.capture.messages import CaptureStats, LegCounts
from mcp_sim.redelivery import RetryAnswer
from mcp_sim.refusals import Refusals
from recording_format.media_file import is_secret_parameter
from service_shell.accounts import Accounts
from service_shell.faults import FaultSwitch
from service_shell.faults.api import FaultApi
from service_shell.faults.metrics import FaultCollector
from service_shell.openapi import OPENAPI_PATH, openapi_route
from service_shell.sign_in import SignInSettings, sign_ins_refused
from service_shell.web import (
    BAD_PARAMETER,
    INTERNAL,
    NOT_FOUND,
    basic_auth,
    errors_as_json,
    failure,
    metrics_response,
    require_own_page,
    require_role,
)

_OPEN_PATHS = ("/livez", "/readyz", "/metrics", OPENAPI_PATH)
_BODY_LIMIT = 64 * 1024


class LegView(msgspec.Struct, frozen=True):
    """One leg, as the API shows it. `packets` is at most about a second old."""

    leg: int
    state: Literal["active", "inactive", "closed"]
    label: str
    channel: str
    codecs: list[str]
    host: str
    port: int
    packets: int


class CallView(msgspec.Struct, frozen=True):
    """One running call, as the API shows it.

    `dialogs` are SIP Call-IDs, `conference` that of a GIR call. No parameter is a password.
    """

    id: str
    kind: str
    conference: str
    profile: str
    tenant: str
    started: str | None
    paused: bool
    parameters: dict[str, str]
    dialogs: list[str]
    legs: list[LegView]


class RetryOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which items are to be retried, None: all."""

    items: list[str] | None = None


class ControlApi:
    """The routes. `ready` returns why the platform is not ready, or an empty text; `retry` retries
    deliveries. `aside` looks into the spool: it blocks.
    """

    def __init__(
        self,
        *,
        calls: Calls,
        refusals: Refusals,
        registry: CollectorRegistry,
        stats: Callable[[], list[CaptureStats]],
        ready: Callable[[], str],
        retry: Callable[[list[str] | None], Awaitable[RetryAnswer]],
        sources: Callable[[], list[SourceView]],
        sign_in: SignInSettings | None = None,
        aside: Callable[[], list[PutAside]],
    ) -> None:
        self._calls = calls
        self._refusals = refusals
        self._registry = registry
        self._stats = stats
        self._ready = ready
        self._retry = retry
        self._sources = sources
        self._sign_in = sign_in
        self._sign_ins_refused = sign_ins_refused(registry, "mcp")
        self._aside = aside

    def application(self, accounts: Accounts, faults: FaultSwitch | None = None) -> web.Application:
        """Return the aiohttp application; with `faults` these can be changed."""
        auth = basic_auth(
            accounts,
            realm="reclab mcp",
            open_paths=_OPEN_PATHS,
            sign_in=self._sign_in,
            refused=self._sign_ins_refused,
        )
        app = web.Application(middlewares=[errors_as_json, auth], client_max_size=_BODY_LIMIT)
        app.router.add_get("/calls", self._list)
        app.router.add_get("/calls/refused", self._refused)
        app.router.add_get("/calls/sources", self._told_sources)
        app.router.add_get("/calls/{id}", self._show)
        app.router.add_get("/recordings/failed", self._failed)
        app.router.add_delete("/calls/{id}", self._stop)
        app.router.add_post("/deliveries/retry", self._retry_deliveries)
        app.router.add_get("/livez", self._live)
        app.router.add_get("/readyz", self._readiness)
        app.router.add_get("/metrics", self._metrics)
        if faults is not None:
            FaultApi(faults).add_to(app, "/faults")
            self._registry.register(FaultCollector(faults, "mcp"))
        app.add_routes([openapi_route("mcp_sim")])
        return app

    async def _list(self, request: web.Request) -> web.Response:
        require_role(request, "operator", "admin")
        return _json({"calls": [self._view(call) for call in self._calls.running]})

    async def _refused(self, request: web.Request) -> web.Response:
        require_role(request, "operator", "admin")
        return _json({"refused": self._refusals.newest})

    async def _told_sources(self, request: web.Request) -> web.Response:
        require_role(request, "operator", "admin")
        return _json({"sources": self._sources()})

    async def _show(self, request: web.Request) -> web.Response:
        require_role(request, "operator", "admin")
        call = self._calls.get(request.match_info["id"])
        return _not_running(request) if call is None else _json(self._view(call))

    async def _stop(self, request: web.Request) -> web.Response:
        account = require_role(request, "operator", "admin")
        require_own_page(request)
        call = self._calls.get(request.match_info["id"])
        if call is None:
            return _not_running(request)
        await call.stop(f"stopped by {account.name}")
        return _json({"stopped": call.id})

    async def _retry_deliveries(self, request: web.Request) -> web.Response:
        require_role(request, "operator", "admin")
        require_own_page(request)
        body = await request.read()
        try:
            wanted = msgspec.json.decode(body, type=RetryOrder) if body.strip() else RetryOrder()
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return failure(400, BAD_PARAMETER, 'the body is not {"items": ["NAME", …]}')
        return _json(await self._retry(wanted.items))

    async def _failed(self, request: web.Request) -> web.Response:
        require_role(request, "operator", "admin")
        try:
            return _json({"failed": await asyncio.to_thread(self._aside)})
        except OSError as error:
            return failure(500, INTERNAL, f"the spool cannot be read: {error.strerror}")

    async def _live(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readiness(self, _request: web.Request) -> web.Response:
        reason = self._ready()
        return web.Response(text=f"{reason or 'ok'}\n", status=503 if reason else 200)

    async def _metrics(self, _request: web.Request) -> web.Response:
        return metrics_response(self._registry)

    def _view(self, call: Call) -> CallView:
        counts: dict[int, LegCounts] = {}
        for stats in self._stats():
            counts.update(stats.per_call.get(call.id, {}))
        shown = {k: v for k, v in call.parameters.items() if not is_secret_parameter(k)}
        return CallView(
            id=call.id,
            kind=call.kind,
            conference=call.conference,
            profile=call.plan.profile,
            tenant=call.plan.tenant,
            started=_time(call.started_wall_ns),
            paused=call.paused,
            parameters=shown,
            dialogs=[dialog.id for dialog in call.dialogs],
            legs=[_leg_view(call, leg, counts.get(leg.number)) for leg in call.legs.all],
        )


def _leg_view(call: Call, leg: Leg, counts: LegCounts | None) -> LegView:
    return LegView(
        leg=leg.number,
        state="closed" if leg.closed else "active" if leg.active else "inactive",
        label=leg.label,
        channel=call.channels.get(leg.number, ""),
        codecs=list(leg.payload_types.values()),
        host=leg.host,
        port=leg.port,
        packets=counts.received if counts else 0,
    )


def _json(value: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")


def _not_running(request: web.Request) -> web.Response:
    return failure(404, NOT_FOUND, f"no call {request.match_info['id']!r} is running")


def _time(wall_ns: int | None) -> str | None:
    if wall_ns is None:
        return None
    moment = datetime.fromtimestamp(wall_ns / 1e9, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

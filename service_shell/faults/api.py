"""``/faults``: what is broken on purpose is read, changed and healed over HTTP.

GET     the plan in force, its seconds, how often each fault struck, and the last strikes
PUT     a plan in place of what is in force
POST    one more fault
DELETE  no faults any more; what stalls or crawls goes on at once

All for the role ``faults`` alone, and there only where the settings enable it. Each change is
logged as a warning with the account.
"""

from __future__ import annotations

import asyncio

import msgspec
import structlog
from aiohttp import web

from service_shell.failure import BAD_PARAMETER, failure
from service_shell.faults.fault import Fault
from service_shell.faults.plan import FaultPlan, FaultPlanError, decode_fault, decode_plan
from service_shell.faults.run import FaultCount, Strike
from service_shell.faults.switch import FaultSwitch
from service_shell.web import require_own_page, require_role

_LONGEST_BODY = 256 * 1024
_BODY_SECONDS = 30.0
_log = structlog.get_logger()


class FaultState(msgspec.Struct, frozen=True):
    """What is in force; `seconds` is None when nothing is, `ignored` names others' faults."""

    target: str
    seconds: float | None
    plan: FaultPlan
    counts: dict[str, FaultCount]
    strikes: list[Strike]
    ignored: list[str] = []


class FaultApi:
    """The routes of one service."""

    def __init__(self, switch: FaultSwitch) -> None:
        self._switch = switch

    def add_to(self, app: web.Application, path: str) -> None:
        """Add the routes at `path`."""
        app.router.add_get(path, self._show)
        app.router.add_put(path, self._put)
        app.router.add_post(path, self._add)
        app.router.add_delete(path, self._clear)

    async def _show(self, request: web.Request) -> web.Response:
        require_role(request, "faults")
        return self._state()

    async def _put(self, request: web.Request) -> web.Response:
        by = _changer(request)
        try:
            plan = decode_plan(await _body(request))
        except FaultPlanError as error:
            return failure(400, BAD_PARAMETER, str(error))
        self._switch.put(plan)
        own = [_summary(fault) for fault in plan.only(self._switch.target).faults]
        if own:
            _log.warning("A fault plan was put in force", by=by, seed=plan.seed, faults=own)
        else:
            _log.warning("A plan without faults of this service was put: none is in force", by=by)
        return self._state([f.name for f in plan.named if f.target != self._switch.target])

    async def _add(self, request: web.Request) -> web.Response:
        by = _changer(request)
        try:
            fault = decode_fault(await _body(request))
            name = self._switch.add(fault)
        except FaultPlanError as error:
            return failure(400, BAD_PARAMETER, str(error))
        added = _summary(msgspec.structs.replace(fault, name=name))
        _log.warning("A fault on purpose was added", by=by, fault=added)
        return self._state()

    async def _clear(self, request: web.Request) -> web.Response:
        by = _changer(request)
        self._switch.clear()
        _log.warning("All faults on purpose were ended", by=by)
        return self._state()

    def _state(self, ignored: list[str] | None = None) -> web.Response:
        run, seconds = self._switch.run, self._switch.seconds
        state = FaultState(
            target=self._switch.target,
            seconds=None if seconds is None else round(seconds, 3),
            plan=run.plan if run else FaultPlan(),
            counts=run.counts if run else {},
            strikes=list(run.strikes) if run else [],
            ignored=ignored or [],
        )
        return web.Response(body=msgspec.json.encode(state), content_type="application/json")


async def _body(request: web.Request) -> bytes:
    """Return the body. Raises `FaultPlanError` when it is too long, or does not come."""
    body = b""
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for part in request.content.iter_any():
                body += part
                if len(body) > _LONGEST_BODY:
                    raise FaultPlanError(f"the body is above {_LONGEST_BODY} bytes")
    except TimeoutError:
        raise FaultPlanError(f"the body did not come within {_BODY_SECONDS:.0f} seconds") from None
    return body


def _changer(request: web.Request) -> str:
    """Return whose change it is. Raises `RoleMissing`, for another site's page too."""
    account = require_role(request, "faults")
    require_own_page(request)
    return account.name


def _summary(fault: Fault) -> str:
    """Return the fault in a line of the log: what differs from the usual."""
    return msgspec.json.encode(fault).decode()

"""The faults of an HTTP service, caused around its application: it is as broken as a real one is.

They strike when a request's head was read, before the application knows of it: before sign-in, and
before ``100 Continue``. What a client sees of each is told in `fault`. Ending the faults lets go on
at once what stalls or crawls.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from fnmatch import translate
from functools import lru_cache
from typing import Any, TypeAlias

from aiohttp import web
from aiohttp.http import SERVER_SOFTWARE
from aiohttp.streams import EmptyStreamReader
from aiohttp.typedefs import Handler

from service_shell.failure import BAD_PARAMETER, INTERNAL, NO_PERMISSION, NOT_FOUND, failure
from service_shell.faults.breaking import hold, reset
from service_shell.faults.fault import CryptoFault, HttpFault, ProcessorFault, StoreFault
from service_shell.faults.passage import Inflow, Outflow, Passage
from service_shell.faults.run import PlanRun
from service_shell.faults.switch import FaultSwitch

Answering: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Factory: TypeAlias = Callable[..., web.BaseRequest]
Count: TypeAlias = Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]

_TYPES: dict[str, type[HttpFault]] = {
    kind.target: kind for kind in (StoreFault, ProcessorFault, CryptoFault)
}
_REFUSALS = ("status", "full", "auth")
_STORING = frozenset({"PUT", "POST", "PATCH", "MKCOL", "COPY", "MOVE", "PROPPATCH", "LOCK"})
_CODES = {401: NO_PERMISSION, 403: NO_PERMISSION, 404: NOT_FOUND}
_STREAMS: web.RequestKey[tuple[Inflow | None, Outflow]] = web.RequestKey("fault_streams", tuple)


class HttpFaults:
    """Causes the faults of `switch` in the requests of one application.

    `exempt` are paths that always work; `realm` is the one of the service's sign-in.
    """

    def __init__(
        self, switch: FaultSwitch, app: web.Application, *, realm: str, exempt: Collection[str]
    ) -> None:
        self._switch = switch
        self._app = app
        self._kind = _TYPES[switch.target]
        self._challenge = {"WWW-Authenticate": f'Basic realm="{realm}", charset="UTF-8"'}
        self._exempt = frozenset(exempt)
        self._ended = False
        self._run: PlanRun | None = None
        self._healed = asyncio.Event()
        switch.follow(self._changed)

    def around(self, answer: Answering, make: Factory, count: Count) -> tuple[Answering, Factory]:
        """Return what answers and makes requests in place of `answer` and `make`.

        `count` knows of every request, also of one that stalls.
        """

        def made(
            message: Any, payload: Any, protocol: Any, _writer: Any, task: Any
        ) -> web.BaseRequest:
            has_body = not isinstance(payload, EmptyStreamReader)
            inflow = Inflow(payload, protocol) if has_body else None
            outflow = Outflow(protocol, asyncio.get_running_loop())
            request = make(message, inflow or payload, protocol, outflow, task)
            request[_STREAMS] = inflow, outflow
            return request

        async def struck(request: web.Request) -> web.StreamResponse:
            return await self._answer(request, answer)

        async def answered(request: Any) -> web.StreamResponse:
            return await count(request, struck)

        return answered, made

    def end(self) -> None:
        """The service ends: what is under way goes on, and nothing is struck any more."""
        self._ended = True
        self._healed.set()

    def _changed(self, run: PlanRun | None) -> None:
        if run is not self._run:
            self._healed.set()
            self._healed = asyncio.Event()
            self._run = run

    async def _answer(self, request: web.Request, answer: Answering) -> web.StreamResponse:
        run = self._switch.run
        if run is None or self._ended or request.path in self._exempt:
            return await answer(request)
        method, path = request.method, request.path
        struck = run.strike(
            self._kind,
            lambda fault: _fits(fault, method, path),
            now=self._switch.clock(),
            # As it was sent: a decoded path may move the cursor of whoever reads it.
            operation=f"{method} {request.rel_url.raw_path}",
        )
        if not struck:
            return await answer(request)
        return await self._break(request, answer, run, struck)

    async def _break(
        self, request: web.Request, answer: Answering, run: PlanRun, struck: Sequence[HttpFault]
    ) -> web.StreamResponse:
        healed = self._healed
        # Drawn now, so that the order of the draws is that of the requests.
        late = [f.seconds + f.jitter * run.draw(f) for f in struck if f.kind == "latency"]
        if any(fault.kind == "down" for fault in struck):
            raise reset(request.transport)
        for fault in struck:
            if fault.kind == "stall":
                await _stall(request, fault.seconds, healed)
        inflow, outflow = request[_STREAMS]
        if inflow is not None:
            inflow.passage = Passage(struck, healed)
        outflow.impair(struck, sum(late), healed)
        refusals = [fault for fault in struck if fault.kind in _REFUSALS]
        if refusals and not healed.is_set():
            return await self._refuse(request, refusals[0])
        return await answer(request)

    async def _refuse(self, request: web.Request, fault: HttpFault) -> web.Response:
        status = {"full": 507, "auth": 401}.get(fault.kind, fault.status)
        headers = dict(self._challenge) if fault.kind == "auth" else {}
        if fault.kind == "status" and fault.retry_after is not None:
            headers["Retry-After"] = str(math.ceil(fault.retry_after))
        code = _CODES.get(status, INTERNAL if status >= 500 else BAD_PARAMETER)
        refusal = failure(status, code, f"a fault on purpose: {fault.name}", headers)
        # No route was looked for, so the headers of every answer are added here.
        refusal.headers["Server"] = SERVER_SOFTWARE
        await self._app.on_response_prepare.send(request, refusal)
        return refusal


HTTP_FAULTS: web.AppKey[HttpFaults] = web.AppKey("http_faults", HttpFaults)
"""What breaks an application's requests on purpose; there only where that is enabled."""


def _fits(fault: HttpFault, method: str, path: str) -> bool:
    if fault.kind == "full" and method not in _STORING:
        return False
    wanted, _, pattern = fault.match.partition(" ")
    return wanted in ("*", method) and _pattern(pattern).fullmatch(path) is not None


@lru_cache(maxsize=512)
def _pattern(text: str) -> re.Pattern[str]:
    # `translate` knows two more signs; and it makes no pattern that takes for ever to fail.
    return re.compile(translate(re.sub(r"[?\[]", r"[\g<0>]", text)))


async def _stall(request: web.Request, seconds: float, healed: asyncio.Event) -> None:
    """Do nothing for `seconds`, then reset the connection; once healed, go on."""
    if not await hold(seconds, healed, lambda: request.transport is not None):
        raise reset(request.transport)

"""What is broken on purpose in a lab: each fault is told to the service that has it.

As the account of the role ``faults``, which a lab has that was started with ``--faults``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import msgspec

from reclab.https import trusting, unanswered
from reclab.lab import FAULTS_ROLE, Lab
from reclab.lab_client import LabError
from service_shell.accounts import basic_header
from service_shell.faults.fault import Fault
from service_shell.faults.plan import FaultPlan
from service_shell.settings import SettingsError

_TIMEOUT: Final = aiohttp.ClientTimeout(total=30, connect=5)

State = dict[str, Any]
"""A service's answer: `seconds`, `plan`, `counts`, `strikes`."""


class LabFaults:
    """The faults of a lab's services, by their names in a plan; made by `lab_faults`.

    Each method raises `LabError` when a service does not answer, or refuses.
    """

    def __init__(self, lab: Lab, http: aiohttp.ClientSession) -> None:
        self._http = http
        self._urls = {
            "mcp": f"{lab.control}/faults",
            "store": f"{_origin(lab.store)}/-/faults",
            "processor": f"{lab.processor}/faults",
            "crypto": f"{lab.crypto}/faults",
        }

    @property
    def targets(self) -> tuple[str, ...]:
        """The services, as faults name them."""
        return tuple(self._urls)

    async def show(self) -> dict[str, State]:
        """Return what is in force, by service."""
        return await self._everywhere("GET")

    async def put(self, plan: FaultPlan) -> dict[str, State]:
        """Put `plan` in force; a service that has no fault in it has none afterwards."""
        return await self._everywhere("PUT", plan)

    async def add(self, fault: Fault) -> State:
        """Add a fault to its service."""
        return await self._ask("POST", fault.target, msgspec.json.encode(fault))

    async def clear(self) -> dict[str, State]:
        """End all faults."""
        return await self._everywhere("DELETE")

    async def _everywhere(self, method: str, plan: FaultPlan | None = None) -> dict[str, State]:
        """Ask every service, also when one fails; then raise the first failure."""
        asked = [self._ask(method, target, _encoded(plan, target)) for target in self._urls]
        states = await asyncio.gather(*asked, return_exceptions=True)
        found: dict[str, State] = {}
        for target, state in zip(self._urls, states, strict=True):
            if isinstance(state, BaseException):
                raise state
            found[target] = state
        return found

    async def _ask(self, method: str, target: str, body: bytes | None = None) -> State:
        url = self._urls[target]
        try:
            async with self._http.request(method, url, data=body) as answer:
                said: State = await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise LabError(unanswered(error, url)) from None
        except ValueError:
            raise LabError(f"{url} does not answer as a service of the lab does") from None
        if answer.status == 404:
            raise LabError(f"{url} is not there: faults are not enabled in that service")
        if answer.status != 200:
            told = said.get("statusMessage", "") if isinstance(said, Mapping) else ""
            raise LabError(f"{url} answered {answer.status}: {told}")
        return said


@asynccontextmanager
async def lab_faults(lab: Lab) -> AsyncIterator[LabFaults]:
    """Sign in to `lab` to break it. Raises `SettingsError` when nobody may."""
    user = lab.users.get(FAULTS_ROLE)
    if user is None:
        raise SettingsError(
            "faults are not enabled in this lab: start it with `reclab up --faults`, "
            "or prepare it with `reclab prepare --faults`"
        )
    headers = {"Authorization": basic_header(user.name, user.password)}
    async with aiohttp.ClientSession(
        headers=headers, timeout=_TIMEOUT, connector=trusting(lab.services_ca)
    ) as http:
        yield LabFaults(lab, http)


def _encoded(plan: FaultPlan | None, target: str) -> bytes | None:
    return None if plan is None else msgspec.json.encode(plan.only(target))


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"

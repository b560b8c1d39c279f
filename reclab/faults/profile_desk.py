"""The lab's IVR profile as an administrator changes it, until the platform records by the change.

A change is in force when the platform's own figures tell its version: nobody has to guess how long
that takes.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final

import aiohttp

from reclab.faults.figures import figure
from reclab.https import trusting
from reclab.lab import Lab
from reclab.lab_client import LabError
from service_shell.accounts import basic_header

JsonDict = dict[str, Any]
_TIMEOUT: Final = aiohttp.ClientTimeout(total=30, connect=10)
_IN_FORCE_SECONDS: Final = 60.0
_LOOK_EVERY: Final = 0.05
_VERSION: Final = "reclab_mcp_profiles_version"


class ProfileUnchanged(Exception):
    """The profile was not changed, or the platform did not take the change up; one sentence."""


class ProfileDesk:
    """Reads and writes the profile of one lab, as its administrator."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        admin = lab.users["admin"]
        self._headers = {"Authorization": basic_header(admin.name, admin.password)}
        self._url = f"{lab.processor}/lab/profiles/{lab.profile_dbid}"

    async def read(self) -> JsonDict:
        """Return the profile as it is now. Raises `ProfileUnchanged`."""
        return await self._ask("GET")

    async def write(self, profile: JsonDict) -> None:
        """Put `profile` in force, and wait until it is. Raises `ProfileUnchanged`."""
        answer = await self._ask("PUT", profile)
        try:
            async with asyncio.timeout(_IN_FORCE_SECONDS):
                await self._in_force(int(answer["version"]))
        except TimeoutError:
            raise ProfileUnchanged(
                f"the platform did not take the profile up in {_IN_FORCE_SECONDS:.0f} s"
            ) from None

    async def _ask(self, method: str, body: JsonDict | None = None) -> JsonDict:
        try:
            async with (
                aiohttp.ClientSession(
                    headers=self._headers,
                    timeout=_TIMEOUT,
                    connector=trusting(self._lab.services_ca),
                ) as http,
                http.request(method, self._url, json=body) as answer,
            ):
                said: JsonDict = await answer.json(content_type=None)
                if answer.status != 200:
                    text = said.get("statusMessage", answer.status)
                    raise ProfileUnchanged(f"the processor did not let the profile change: {text}")
                return said
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise ProfileUnchanged(f"{self._url} could not be asked: {reason}") from None

    async def _in_force(self, version: int) -> None:
        while True:
            with suppress(LabError):  # the platform may be about to be started again
                if await figure(self._lab, _VERSION) >= version:
                    return
            await asyncio.sleep(_LOOK_EVERY)

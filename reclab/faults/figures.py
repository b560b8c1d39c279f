"""The platform's figures, as anybody may read them."""

from __future__ import annotations

import re
from typing import Final

import aiohttp

from reclab.https import trusting
from reclab.lab import Lab
from reclab.lab_client import LabError

_TIMEOUT: Final = aiohttp.ClientTimeout(total=30, connect=10)


async def figure(lab: Lab, name: str) -> float:
    """Return one figure (without labels) of the platform. Raises `LabError`."""
    url = f"{lab.control}/metrics"
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT, connector=trusting(lab.services_ca)) as http,
            http.get(url) as answer,
        ):
            text = await answer.text()
    except (aiohttp.ClientError, TimeoutError) as error:
        reason = str(error) or type(error).__name__
        raise LabError(f"{url} could not be read: {reason}") from None
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    if found is None:
        raise LabError(f"{url} does not tell {name}")
    return float(found[1])

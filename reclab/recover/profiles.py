"""The IVR profiles as they are now: from the processor, else from the platform's sealed copy."""

from __future__ import annotations

import aiohttp
import msgspec

from mcp_sim.profiles import ProfileBook, ProfileEdition, ProfileFeed
from mcp_sim.recording.keyring import SpoolKeyring
from reclab.recover.site import Site
from service_shell.accounts import basic_header

_COPY = "profiles.sealed"
_SECONDS = aiohttp.ClientTimeout(total=30, connect=5)


async def present_profiles(
    site: Site, http: aiohttp.ClientSession, keyring: SpoolKeyring | None
) -> tuple[ProfileBook, str]:
    """Return the profiles, and a sentence about why they may be old ones (empty: they are not).

    Nothing is written.
    """
    book = ProfileBook()
    if keyring is not None:
        feed = ProfileFeed(
            book,
            url=site.lab.processor,
            authorization="",
            http=http,
            keyring=keyring,
            copy=site.spool / _COPY,
        )
        feed.load_copy()
    url = f"{site.lab.processor}/lab/profiles"
    platform = site.lab.users["mcp"]
    headers = {"Authorization": basic_header(platform.name, platform.password)}
    try:
        async with http.get(url, headers=headers, timeout=_SECONDS) as answer:
            answer.raise_for_status()
            book.update(msgspec.json.decode(await answer.read(), type=ProfileEdition))
    except (aiohttp.ClientError, TimeoutError, ValueError):
        known = "those that the platform knew last are used" if book.loaded else "none are known"
        return book, f"the profiles could not be read at {url}: {known}"
    return book, ""

"""With which credentials a recording is delivered.

Those of the profile in force count, so that a password corrected later helps recordings that wait;
where it names another server by now, or is gone, those of the profile as the call began with it.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from mcp_sim.calls import PROFILE_PURPOSE
from mcp_sim.profiles import ProfileBook
from mcp_sim.recording.delivery.delivery import DeliveryCredentials
from mcp_sim.recording.keyring import KeyringError, SpoolKeyring
from mcp_sim.recording.spool.item import SpoolItem
from recording_format.ivr_profile import IvrProfile


class Destinations:
    """Finds the credentials of an item's storage and processor."""

    def __init__(self, book: ProfileBook, keyring: SpoolKeyring) -> None:
        self._book = book
        self._keyring = keyring

    async def credentials(self, item: SpoolItem) -> DeliveryCredentials:
        """Return the credentials for `item`; without any profile there are none."""
        profiles = (self._book.by_dbid(item.profile_dbid), self._as_begun(item))
        known = [profile for profile in profiles if profile is not None]
        return DeliveryCredentials(
            _for_place(
                item.storage_url, [pair for p in known for pair in _storages(p, item.storage_url)]
            ),
            _for_place(item.processor_url, [(p.processor, p.processor_credentials) for p in known]),
        )

    def _as_begun(self, item: SpoolItem) -> IvrProfile | None:
        if item.profile_box is None:
            return None
        try:
            text = self._keyring.open(item.profile_box, purpose=PROFILE_PURPOSE)
            return msgspec.json.decode(text, type=IvrProfile)
        except (KeyringError, msgspec.MsgspecError):
            return None


def _storages(profile: IvrProfile, url: str) -> list[tuple[str | None, tuple[str, str] | None]]:
    """Both storages of a profile; where they are on one server, that of `url` comes first."""
    both = [
        (profile.storage, profile.storage_credentials),
        (profile.second_storage, profile.second_storage_credentials),
    ]
    return sorted(both, key=lambda storage: (storage[0] or "").rstrip("/") != url)


def _for_place(
    url: str, offered: list[tuple[str | None, tuple[str, str] | None]]
) -> tuple[str, str] | None:
    """The first credentials that are meant for the server of `url`: no other one gets them."""
    for place, credentials in offered:
        if place is not None and _server(place) == _server(url):
            return credentials
    return None


def _server(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port
    except ValueError:
        return "", None, None

"""With which credentials a recording is delivered.

Those of the profile in force count, so that a password corrected later helps recordings that wait;
without such a profile, those of the profile as the call began with it.
"""

from __future__ import annotations

import msgspec

from mcp_sim.calls import PROFILE_PURPOSE
from mcp_sim.profiles import ProfileBook
from mcp_sim.recording.delivery import DeliveryCredentials
from mcp_sim.recording.keyring import KeyringError, SpoolKeyring
from mcp_sim.recording.spool_item import SpoolItem
from recording_format.ivr_profile import IvrProfile


class Destinations:
    """Finds the credentials of an item's storage and processor."""

    def __init__(self, book: ProfileBook, keyring: SpoolKeyring) -> None:
        self._book = book
        self._keyring = keyring

    async def credentials(self, item: SpoolItem) -> DeliveryCredentials:
        """Return the credentials for `item`; without any profile there are none."""
        profile = self._book.by_dbid(item.profile_dbid) or self._as_begun(item)
        if profile is None:
            return DeliveryCredentials()
        return DeliveryCredentials(profile.storage_credentials, profile.processor_credentials)

    def _as_begun(self, item: SpoolItem) -> IvrProfile | None:
        if item.profile_box is None:
            return None
        try:
            text = self._keyring.open(item.profile_box, purpose=PROFILE_PURPOSE)
            return msgspec.json.decode(text, type=IvrProfile)
        except (KeyringError, msgspec.MsgspecError):
            return None

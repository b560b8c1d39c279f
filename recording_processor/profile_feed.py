"""Wakes those who wait for a change of the IVR profiles: that there was one, not which."""

from __future__ import annotations

import asyncio


class ProfileFeed:
    """Take `change` first, look at the catalogue, then wait: no change falls between."""

    def __init__(self) -> None:
        self._next = asyncio.Event()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the service is ending."""
        return self._closed

    @property
    def change(self) -> asyncio.Event:
        """The event that the next change sets."""
        return self._next

    def changed(self) -> None:
        """Wake everyone who waits."""
        passed, self._next = self._next, asyncio.Event()
        passed.set()
        if self._closed:
            self._next.set()

    def close(self) -> None:
        """Wake everyone and let nobody wait again; for the end of the service."""
        self._closed = True
        self.changed()

"""WebDAV locks and dead properties: in memory, bounded, forgotten at a restart.

Recordings carry neither; they are kept so that WebDAV clients find the whole protocol (RFC 4918).
"""

from __future__ import annotations

import time
from typing import Any

from wsgidav.dav_error import HTTP_INSUFFICIENT_STORAGE, DAVError
from wsgidav.lock_man.lock_storage import LockStorageDict
from wsgidav.prop_man.property_manager import PropertyManager


class BoundedLocks(LockStorageDict):  # type: ignore[misc]  # WsgiDAV ships no types
    """At most `limit` locks at a time; one more is refused with 507."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def create(self, path: str, lock: dict[str, Any]) -> dict[str, Any]:
        """Store a lock (see WsgiDAV)."""
        self._forget_expired(time.time())
        if sum(isinstance(entry, dict) for entry in self._dict.values()) >= self._limit:
            raise DAVError(HTTP_INSUFFICIENT_STORAGE, "too many locks are held")
        created: dict[str, Any] = super().create(path, lock)
        return created

    def _forget_expired(self, now: float) -> None:
        entries = list(self._dict.items())
        for token, entry in entries:
            if isinstance(entry, dict) and entry["expire"] < now:
                self.delete(token)


class BoundedProperties(PropertyManager):  # type: ignore[misc]  # WsgiDAV ships no types
    """At most `limit` dead properties over all resources; one more is refused with 507."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def write_property(
        self,
        norm_url: str,
        name: str,
        property_value: str,
        dry_run: bool = False,
        environ: dict[str, Any] | None = None,
    ) -> None:
        """Set a property (see WsgiDAV)."""
        held: dict[str, dict[str, str]] = self._dict or {}
        known = name in held.get(norm_url, {})
        if not known and sum(map(len, held.values())) >= self._limit:
            raise DAVError(HTTP_INSUFFICIENT_STORAGE, "too many properties are kept")
        super().write_property(norm_url, name, property_value, dry_run, environ)

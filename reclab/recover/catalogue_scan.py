"""The catalogue's media files as rows to be compared, page by page, and whether keys open them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from reclab.lab_client import JsonDict, LabClient
from reclab.recover.causes import Cause
from reclab.recover.inventory import Inventory, MediaRow
from reclab.recover.keys import HeldKeys
from reclab.recover.report import Finding
from reclab.recover.store_view import StoreView

_TOGETHER = 500


class CatalogueScan:
    """Reads the catalogue into an inventory."""

    def __init__(
        self, client: LabClient, store: StoreView, inventory: Inventory, keys: HeldKeys | None
    ) -> None:
        self._client = client
        self._store = store
        self._inventory = inventory
        self._keys = keys

    async def findings(self, counted: Callable[[int], None]) -> AsyncIterator[Finding]:
        """Read all of it; yield the recordings that no key opens. Raises `LabError`."""
        rows: list[MediaRow] = []
        number = 0
        async for recording in self._client.recordings():
            for media in recording["mediaFiles"]:
                row = self._row(str(recording["id"]), media)
                rows.append(row)
                fault = self._fault(media)
                if fault:
                    yield Finding.of(
                        Cause.KEY_GONE,
                        fault,
                        place="catalogue",
                        where=self._store.url(row.path) if row.path else "",
                        recording=row.recording,
                        media=row.id,
                    )
            if len(rows) >= _TOGETHER:
                number += len(rows)
                counted(number)
                self._inventory.add_media(rows)
                rows = []
        self._inventory.add_media(rows)

    def _row(self, recording: str, media: JsonDict) -> MediaRow:
        lab = _object(media.get("lab"))
        size, sha256 = lab.get("size"), lab.get("sha256")
        url = _object(media.get("originalMediaDescriptor")).get("path")
        return MediaRow(
            id=str(media["mediaId"]),
            recording=recording,
            path=self._store.path(str(url)),
            size=int(size) if isinstance(size, int | str) and str(size).isdigit() else None,
            sha256=sha256.lower() if isinstance(sha256, str) else "",
        )

    def _fault(self, media: JsonDict) -> str:
        if self._keys is None:
            return ""
        aliases, pkcs7 = media.get("certAlias") or [], media.get("pkcs7")
        named = [str(one) for one in aliases] if isinstance(aliases, list) else []
        text = pkcs7 if isinstance(pkcs7, str) and pkcs7 else None
        return self._keys.fault(str(media.get("tenant", "")), named, text)


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}

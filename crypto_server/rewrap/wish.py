"""What is asked of a re-wrap, and what is told of it, as they stand in the JSON."""

from __future__ import annotations

import msgspec


class RewrapWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What shall be: certificates by their id (fingerprint) in the keystore, or as PEM.

    `force` allows that no recipient is left whose key is in the keystore.
    """

    add: list[str] = []
    remove: list[str] = []
    tenant: str | None = None
    dry_run: bool = False
    force: bool = False


class FileReport(msgspec.Struct, frozen=True, rename="camel"):
    """What became of one media file: ids that were added and removed, and its aliases now.

    `verified` is None where nothing was to be done, false where no mac proves the recording.
    """

    media_id: str
    changed: bool
    added: list[str]
    removed: list[str]
    cert_alias: list[str]
    verified: bool | None = None


class RewrapReport(msgspec.Struct, frozen=True, rename="camel"):
    """What became of the encrypted media files of a recording; it may have none."""

    recording: str
    tenant: str
    dry_run: bool
    media_files: list[FileReport]

    @property
    def changed(self) -> int:
        """How many media files got another envelope, or would have."""
        return sum(file.changed for file in self.media_files)

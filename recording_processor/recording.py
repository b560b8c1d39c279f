"""A recording as the catalogue knows it, on its way in (`Filing`) and on its way out (`Recording`).

Instants are milliseconds since 1970, UTC. A document is a media file's metadata as it was posted.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Document = dict[str, Any]


def places_of(storage_path: str, document: Document) -> tuple[str, ...]:
    """Return where an object lies: in its store, and in a second one where the metadata says so."""
    lab = document.get("lab")
    copy = lab.get("copyPath") if isinstance(lab, dict) else None
    return (storage_path, copy) if isinstance(copy, str) and copy else (storage_path,)


class Participation(msgspec.Struct, frozen=True):
    """One party's stay in a call: an agent (`User`) or a customer (`External`)."""

    contact_type: Literal["User", "External"]
    user_name: str | None
    phone_number: str | None
    call_uuid: str | None
    joined_at: int
    left_at: int


class FiledMedia(msgspec.Struct, frozen=True):
    """One media file that was posted, checked, and taken apart for the catalogue.

    `sha256` is the ciphertext's where the metadata tells it; `fingerprint` is the SHA-256 of the
    whole posted object, which decides where it does not. `extension` has no dot.
    """

    media_id: str
    type: str
    extension: str
    storage_path: str
    ivr_profile: str
    started_at: int
    stopped_at: int
    encrypted: bool
    sha256: str | None
    fingerprint: str
    parameters: dict[str, str]
    recipients: tuple[str, ...]
    participations: tuple[Participation, ...]
    document: Document

    def __repr__(self) -> str:
        # What was posted may hold passwords.
        return f"<FiledMedia {self.media_id}>"


class Filing(msgspec.Struct, frozen=True):
    """One post: media files of one recording. `caller` and `dialed` where the metadata tells."""

    recording_id: str
    tenant: str
    call_type: str
    caller: str | None
    dialed: str | None
    media_files: tuple[FiledMedia, ...]


class MediaFile(msgspec.Struct, frozen=True):
    """One media file of the catalogue. `play_name` is the last part of its play path."""

    media_id: str
    play_name: str
    type: str
    storage_path: str
    ivr_profile: str
    started_at: int
    stopped_at: int
    encrypted: bool
    document: Document

    def __repr__(self) -> str:
        return f"<MediaFile {self.media_id}>"

    @property
    def places(self) -> tuple[str, ...]:
        """Where its object lies: in its store, and in a second one where the metadata says so."""
        return places_of(self.storage_path, self.document)


class Recording(msgspec.Struct, frozen=True):
    """One recording of the catalogue with everything that belongs to it, oldest file first."""

    id: str
    tenant: str
    call_type: str
    caller: str | None
    dialed: str | None
    started_at: int
    stopped_at: int
    media_files: tuple[MediaFile, ...]
    participations: tuple[Participation, ...]

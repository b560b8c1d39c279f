"""A media file as the processor's answer describes it: what is needed to find, open and check it.

Only the fields that playback needs are read, so that an answer of the real web services, or of a
later release, is understood; a ruined sibling in the same recording disturbs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

import msgspec

from crypto_server.errors import (
    ProcessorFailed,
    RecordingDamaged,
    RecordingUnknown,
    TenantForbidden,
)
from recording_format.envelope import MAX_ENVELOPE_SIZE
from recording_format.errors import MetadataError
from recording_format.json_object import JsonObject
from recording_format.metadata import Lab

SOUNDS: dict[str, str] = {"wav": "audio/wav", "mp3": "audio/mpeg"}
SCREENS: dict[str, str] = {"mp4": "video/mp4"}
_MEDIA_NAME = re.compile(r"(?P<stem>[A-Za-z0-9_.-]{1,220})\.(?P<ext>wav|mp3|mp4)(?P<bin>\.bin)?")
_LONGEST_ID = 200
_SIZE_DIGITS = 15


@dataclass(frozen=True)
class MediaName:
    """The last part of a play path: ``<stem>.<mp3|wav|mp4>``, and ``.bin`` when it is encrypted."""

    stem: str
    extension: str
    encrypted: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the last part of a play path; `RecordingUnknown` when it is no media file's name."""
        match = _MEDIA_NAME.fullmatch(text)
        if match is None:
            raise RecordingUnknown(
                "media files are named <uuid>.wav, <uuid>.mp3 or <uuid>.mp4, then .bin or not"
            )
        return cls(match["stem"], match["ext"], match["bin"] is not None)

    def __str__(self) -> str:
        return f"{self.stem}.{self.extension}" + (".bin" if self.encrypted else "")

    @property
    def content_type(self) -> str:
        """The type of the plaintext."""
        return (SOUNDS | SCREENS)[self.extension]


@dataclass(frozen=True)
class RecordingAddress:
    """Which recording is asked for: its id, and the contact centre when the path names one."""

    recording_id: str
    ccid: str | None = None

    def check(self) -> None:
        """Raise `RecordingUnknown` for an id that no recording has and no URL may carry."""
        for part in (self.recording_id, self.ccid or "-"):
            if part in (".", "..") or len(part) > _LONGEST_ID or not part.isprintable():
                raise RecordingUnknown("no recording has such an id")


@dataclass(frozen=True)
class StoredMediaFile:
    """The fields of one ``mediaFiles`` element that playback reads.

    `plaintext_size` is in bytes, None when the metadata does not tell.
    """

    media_id: str
    tenant: str
    plaintext_size: int | None = None
    pkcs7: str = field(default="", repr=False)
    lab: Lab | None = None


class MediaEntry:
    """One ``mediaFiles`` element that was found by its name. Only its tenant is read so far.

    `tenant` is None when it cannot be read.
    """

    def __init__(self, source: JsonObject, name: MediaName) -> None:
        self._source = source
        self._name = name
        self.tenant: str | None = None
        try:
            self.tenant = source.text("tenant")
        except MetadataError as error:
            self._fault = error

    def check_tenant(self, may_reach: Callable[[str], bool]) -> None:
        """Raise `TenantForbidden` unless the account may reach the recording's tenant.

        To be called before everything that the file's own contents decide, so that what is wrong
        with another tenant's file shows nowhere. A file whose tenant cannot be read is open to
        those only who may reach every tenant.
        """
        if not may_reach(self.tenant or ""):
            raise TenantForbidden(unknown(self._name))

    def read(self) -> StoredMediaFile:
        """Return what playback needs; `RecordingDamaged` when the metadata cannot be read."""
        name = self._name
        try:
            file = self._read()
        except MetadataError as error:
            message = f"the metadata of media file {name} is damaged: {error}"
            raise RecordingDamaged(message) from None
        if name.encrypted != bool(file.pkcs7):
            trouble = "has no envelope" if name.encrypted else "has an envelope but a plain name"
            raise RecordingDamaged(f"media file {name} {trouble}")
        return file

    def _read(self) -> StoredMediaFile:
        if self.tenant is None:
            raise self._fault
        source = self._source
        size = source.text("size", "")
        lab = source.take("lab")
        return StoredMediaFile(
            media_id=source.text("mediaId"),
            tenant=self.tenant,
            plaintext_size=_bytes(size, source) if size else None,
            pkcs7=source.text("pkcs7", "", limit=MAX_ENVELOPE_SIZE),
            lab=None if lab is None else Lab.read(JsonObject(lab, source.path("lab"))),
        )


def unknown(name: MediaName) -> str:
    """Return the one sentence about what is not there, or not for this listener.

    An unknown recording, a media file that it does not have and another tenant's recording cannot
    be told apart.
    """
    return f"no recording of this id has a media file {name}"


def find_media_file(answer: bytes, name: MediaName) -> MediaEntry:
    """Return the element whose ``mediaPath`` ends with `name`.

    Raises `ProcessorFailed` when `answer` is not a recording, `RecordingUnknown` when it has no
    such file.
    """
    try:
        root = JsonObject(msgspec.json.decode(answer), "")
        recording = JsonObject(root.required("recording"), "recording")
        sources = recording.objects("mediaFiles")
    except (msgspec.DecodeError, UnicodeDecodeError, MetadataError, RecursionError):
        raise ProcessorFailed("the recording processor's answer is not a recording") from None
    for source in sources:
        if _play_name(source) == str(name):
            return MediaEntry(source, name)
    raise RecordingUnknown(unknown(name))


def _play_name(source: JsonObject) -> str:
    try:
        return source.text("mediaPath", "").rpartition("/")[2]
    except MetadataError:
        return ""


def _bytes(text: str, source: JsonObject) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _SIZE_DIGITS):
        raise source.fault("size", "is not a number of bytes")
    return int(text)

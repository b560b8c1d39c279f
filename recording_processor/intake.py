"""From posted metadata to what the catalogue files: read, checked, and taken apart. Nothing else.

A post speaks of one recording. Whatever is missing or contradicts itself is named by its path.
"""

from __future__ import annotations

import hashlib
import re
from urllib.parse import unquote, urlsplit

import msgspec

from recording_format.errors import MetadataError
from recording_format.media_file import MediaFile
from recording_format.metadata import decode_metadata, is_secret_parameter
from recording_processor.dates import instant_of
from recording_processor.parties import participations_of
from recording_processor.recording import FiledMedia, Filing, places_of

_EXTENSIONS = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mp3": "mp3",
    "audio/mpeg": "mp3",
}
#: Where `places_of` finds its URLs.
_PLACES = ("mediaDescriptor.path", "lab.copyPath")
_OPTIONAL = ("callerPhoneNumber", "dialedPhoneNumber")
_ONWARD = ("id", "ccid", "region", *_OPTIONAL)
_NAMED_EXTENSION = re.compile(r".*\.(?P<extension>[a-z0-9]{1,8})", re.IGNORECASE | re.DOTALL)


def read_post(body: bytes) -> Filing:
    """Read the body of a post. Raises `recording_format.errors.MetadataError`."""
    return _filing(decode_metadata(body).media_files)


def read_onward_post(body: bytes, *, ccid: str) -> Filing:
    """Read a recording that another processor passes on. Raises `MetadataError`."""
    metadata = decode_metadata(body)
    filing = _filing(metadata.media_files)
    told = {name: metadata.other.get(name) for name in _ONWARD}
    for name, value in told.items():
        if value is None and name not in _OPTIONAL:
            raise MetadataError(name, "is missing")
        if value is not None and not isinstance(value, str):
            raise MetadataError(name, "is not text")
    if told["ccid"] != ccid:
        raise MetadataError("ccid", "is not that of the address")
    if told["id"] != filing.recording_id:
        raise MetadataError("id", "differs from mediaFiles[0].parameters.id")
    caller, dialed = (told[name] for name in _OPTIONAL)
    return msgspec.structs.replace(
        filing,
        caller=caller if isinstance(caller, str) else filing.caller,
        dialed=dialed if isinstance(dialed, str) else filing.dialed,
    )


def check_own_objects(filing: Filing) -> None:
    """Raise `MetadataError` unless each media file lies under its own name, as platforms store it.

    Its copy in a second store too. Media ids are unique, so nobody reaches another's object through
    a recording of their own.
    """
    for position, media in enumerate(filing.media_files):
        for path, url in zip(_PLACES, places_of(media.storage_path, media.document), strict=False):
            name = unquote(url.rpartition("/")[2])
            if name not in (media.media_id, f"{media.media_id}.bin"):
                where = f"mediaFiles[{position}].{path}"
                raise MetadataError(where, "does not end in the media file's own id")


def _filing(files: list[MediaFile]) -> Filing:
    first = files[0]
    _check_unity(files)
    return Filing(
        recording_id=first.recording_id,
        tenant=first.tenant,
        call_type=_told(files, "callType") or "Unknown",
        caller=_told(files, "ani"),
        dialed=_told(files, "dnis"),
        media_files=tuple(
            filed_media(media, f"mediaFiles[{position}]") for position, media in enumerate(files)
        ),
    )


def _check_unity(files: list[MediaFile]) -> None:
    first, seen = files[0], set[str]()
    for position, media in enumerate(files):
        where = f"mediaFiles[{position}]"
        if media.recording_id != first.recording_id:
            raise MetadataError(
                f"{where}.parameters.id", "differs from mediaFiles[0].parameters.id"
            )
        if media.tenant != first.tenant:
            raise MetadataError(f"{where}.tenant", "differs from mediaFiles[0].tenant")
        if media.media_id in seen:
            raise MetadataError(f"{where}.mediaId", "is given twice")
        seen.add(media.media_id)


def _told(files: list[MediaFile], name: str) -> str | None:
    return next((value for media in files if (value := media.parameter(name))), None)


def filed_media(media: MediaFile, path: str = "mediaFile") -> FiledMedia:
    """Return what the catalogue files of one media file; `path` is for messages.

    Raises `MetadataError`.
    """
    document = media.to_wire()
    places = places_of(media.media_descriptor.path, document)
    for place, url in zip(_PLACES, places, strict=False):
        _check_published(url, f"{path}.{place}")
    started_at = instant_of(media.started)
    return FiledMedia(
        media_id=media.media_id,
        type=media.type,
        extension=_extension(media),
        storage_path=media.media_descriptor.path,
        ivr_profile=media.ivrprofile,
        started_at=started_at,
        # A clock that was set back during the call must not make the recording end before it began.
        stopped_at=max(started_at, instant_of(media.stopped)),
        encrypted=media.encrypted,
        sha256=media.lab.sha256.lower() if media.lab is not None else None,
        fingerprint=_fingerprint(document),
        parameters={k: v for k, v in media.parameters.items() if not is_secret_parameter(k)},
        recipients=tuple(media.cert_alias) if media.encrypted else (),
        participations=tuple(participations_of(media)),
        document=document,
    )


def _check_published(url: str, path: str) -> None:
    try:
        has_user = "@" in urlsplit(url).netloc
    except ValueError:
        raise MetadataError(path, "is not a URL") from None
    if has_user:
        raise MetadataError(path, "holds a name or a password")


def _extension(media: MediaFile) -> str:
    known = _EXTENSIONS.get(media.type.lower())
    named = _NAMED_EXTENSION.fullmatch(media.media_id)
    return known or (named["extension"].lower() if named else "media")


def _fingerprint(document: dict[str, object]) -> str:
    return hashlib.sha256(msgspec.json.encode(document, order="sorted")).hexdigest()

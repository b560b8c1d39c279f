"""Metadata that somebody kept as files: a processor's ``failed`` folder, an archive, a backup.

A file holds one JSON document with ``mediaFiles`` somewhere at its top: a post of a platform, a
post to the web services, an answer of the processor, or an archive's ``recording.json``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from reclab.recover.inventory import PaperRow
from recording_format.errors import MetadataError
from recording_format.media_file import MediaFile
from recording_format.metadata import MAX_METADATA_SIZE, decode_media_file

_DEEPEST = 3
#: What a catalogue adds to a media file when it tells of it.
_ADDED = {
    "callUUID", "mediaUri", "mediaPath", "playPath", "originalMediaDescriptor", "partitions",
    "accessgroups",
}  # fmt: skip
Document: TypeAlias = dict[str, Any]


def scan_papers(folder: Path) -> Iterator[PaperRow | str]:
    """Yield the media files of every JSON file below `folder`, and a sentence for an unusable one.

    Files that are JSON and tell of no media files are passed over.
    """
    for file in sorted(folder.rglob("*.json")):
        try:
            documents = _documents(file)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            yield f"{file} cannot be read: {reason}"
            continue
        for position, document in enumerate(documents):
            media, parameters = document.get("mediaId"), document.get("parameters")
            recording = parameters.get("id") if isinstance(parameters, dict) else ""
            if isinstance(media, str):
                yield PaperRow(media, str(recording or ""), str(file), position)


def read_paper(row: PaperRow) -> MediaFile:
    """Return the media file as a platform posts it. Raises `MetadataError`."""
    try:
        document = _documents(Path(row.file))[row.position]
    except (OSError, ValueError, LookupError):
        raise MetadataError(row.file, "cannot be read any more") from None
    descriptor = document.get("mediaDescriptor") or document.get("originalMediaDescriptor")
    posted = {name: value for name, value in document.items() if name not in _ADDED}
    return decode_media_file(posted | {"mediaDescriptor": descriptor}, path=row.file)


def _documents(file: Path) -> list[Document]:
    if file.stat().st_size > MAX_METADATA_SIZE:
        raise ValueError(f"it has more than {MAX_METADATA_SIZE} bytes")
    try:
        content = msgspec.json.decode(file.read_bytes())
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ValueError("it is not JSON") from None
    found = _media_files(content, _DEEPEST)
    return [one for one in found if isinstance(one, dict)]


def _media_files(content: object, depth: int) -> list[object]:
    if not isinstance(content, dict) or not depth:
        return []
    files = content.get("mediaFiles")
    if isinstance(files, list):
        return files
    inside = (_media_files(value, depth - 1) for value in content.values())
    return next((found for found in inside if found), [])

"""Recording metadata: the JSON that is posted after the bytes are stored.

Reading is bounded and says by path what is missing or wrong; what it does not know, it keeps.
"""

from __future__ import annotations

import msgspec

from .errors import MetadataError
from .json_object import JsonObject, with_rest
from .lab import Lab, LegReport
from .media_file import (
    Mask,
    MediaDescriptor,
    MediaFile,
    is_secret_parameter,
    read_media_file,
)
from .timestamps import DurationUnit

__all__ = [
    "DurationUnit",
    "Lab",
    "LegReport",
    "Mask",
    "MediaDescriptor",
    "MediaFile",
    "RecordingMetadata",
    "decode_media_file",
    "decode_metadata",
    "encode_metadata",
    "is_secret_parameter",
]

#: Largest body that is read, in bytes.
MAX_METADATA_SIZE = 8 * 1024 * 1024
MAX_MEDIA_FILES = 100


class RecordingMetadata(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The media files of one post, one at least; `other` are the unknown keys."""

    media_files: list[MediaFile]
    other: dict[str, object] = {}

    def __repr__(self) -> str:
        # Unknown keys can be passwords.
        return f"<RecordingMetadata {self.media_files}>"

    def to_wire(self) -> dict[str, object]:
        """Return the JSON object."""
        files: list[object] = [media.to_wire() for media in self.media_files]
        return with_rest({"mediaFiles": files}, self.other)


def decode_metadata(body: bytes, *, max_size: int = MAX_METADATA_SIZE) -> RecordingMetadata:
    """Read a posted body; `MetadataError` has the path, for example
    ``mediaFiles[0].mediaId is missing``.
    """
    root = JsonObject(_decode_json(body, max_size), "")
    root_files = root.objects("mediaFiles", limit=MAX_MEDIA_FILES)
    if not root_files:
        raise MetadataError("mediaFiles", "is missing or empty")
    files = [read_media_file(source) for source in root_files]
    return RecordingMetadata(media_files=files, other=root.rest())


def decode_media_file(body: bytes | object, *, path: str = "mediaFile") -> MediaFile:
    """Read one media file from JSON or from an already decoded object; errors as above."""
    value = _decode_json(body, MAX_METADATA_SIZE) if isinstance(body, bytes) else body
    return read_media_file(JsonObject(value, path))


def encode_metadata(metadata: RecordingMetadata) -> bytes:
    """Return the body as JSON."""
    return msgspec.json.encode(metadata.to_wire())


def _decode_json(body: bytes, max_size: int) -> object:
    if len(body) > max_size:
        raise MetadataError("the metadata", f"has {len(body)} bytes, more than {max_size}")
    try:
        decoded: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MetadataError("the metadata", "is not JSON") from None
    return decoded

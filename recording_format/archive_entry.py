"""What an archive holds of one recording: its ``recording.json``, and how each media file is made.

``recording.json`` is the processor's answer about the recording, and beside it ``archive``: which
file belongs to which media file, and what is missing and why.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from .archive import archive_prefix
from .envelope import Envelope
from .errors import IntegrityError
from .json_object import JsonObject
from .lab import Lab


class ArchivedFile(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One media file of an archive. `size` and `sha256` are the stored object's (the ciphertext's
    where it is encrypted); `verified`: they were proven by the metadata.
    """

    media_id: str
    name: str
    encrypted: bool
    size: int
    sha256: str
    verified: bool


class Problem(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A media file that is not in the archive; `problem` is one sentence."""

    id: str
    media_id: str
    problem: str


class ArchiveFacts(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``archive`` of a ``recording.json``."""

    contact_center: str
    tenant: str
    files: Sequence[ArchivedFile]
    problems: Sequence[Problem] = ()


def recording_document(recording: object, facts: ArchiveFacts) -> bytes:
    """Return ``recording.json``; `recording` is the object of the processor's answer."""
    whole = {"statusCode": 0, "recording": recording, "archive": facts}
    return msgspec.json.format(msgspec.json.encode(whole), indent=2) + b"\n"


def file_prefix(pkcs7: str | None, size: int) -> bytes:
    """Return what stands before a stored object of `size` bytes in its archive file.

    Nothing where there is no envelope. Raises `EnvelopeError`, `ArchiveError`.
    """
    return archive_prefix(Envelope.from_pem(pkcs7), size) if pkcs7 else b""


def stored_size(lab: Lab | None, declared: int | None) -> int:
    """Return a stored object's length: what the store declares, else what the metadata says."""
    if declared is not None:
        return declared
    if lab is None:
        raise IntegrityError("nobody tells the stored object's length")
    return lab.size


def lab_of(media: dict[str, object]) -> Lab | None:
    """Return ``lab`` of a media file's JSON object; None where it has none. `MetadataError`."""
    told = media.get("lab")
    return None if told is None else Lab.read(JsonObject(told, "lab"))

"""What lies beside a sealed recording in the spool: what it is, where it goes, how far it came.

``item.json`` is written once, with the recording; the progress of each part whenever something was
tried.
Parameters that are passwords are not in the metadata there: they wait in a box that only the spool
keyring opens.
"""

from __future__ import annotations

import errno
from enum import Enum
from pathlib import Path

import msgspec

from mcp_sim.recording.keyring import SpoolKeyring
from mcp_sim.recording.plan import SealedBox
from mcp_sim.recording.spool.durable import write_file
from mcp_sim.recording.spool.folders import COPY_PROGRESS, ITEM, MEDIA, PROGRESS
from mcp_sim.recording.spool.public_url import public_url
from recording_format.errors import MetadataError
from recording_format.media_file import MediaFile, is_secret_parameter
from recording_format.metadata import RecordingMetadata, decode_metadata, encode_metadata

_SECRETS_PURPOSE = "secret parameters"
_LATER = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class ItemError(Exception):
    """An item in the spool cannot be read; the text is one sentence that names it."""


class Part(Enum):
    """What is delivered by itself, with progress of its own; the value names its file.

    RECORDING is the object in its store, and then its metadata; COPY the object in the second one.
    """

    RECORDING = PROGRESS
    COPY = COPY_PROGRESS


class SealedCopy(msgspec.Struct, frozen=True):
    """How ``media.bin`` opens when the recording itself shall not be encrypted.

    `key_box` holds the session key, as in the journal's preamble.
    """

    iv: bytes
    key_box: SealedBox


class SpoolItem(msgspec.Struct, frozen=True, kw_only=True):
    """One recording, sealed and ready to be delivered.

    - `object_url`: where the store shall hold it, in the collection `storage_url`
    - `processor_url`: where its metadata is posted
    - `copy_url`: where a second store shall hold it too, in `copy_storage_url`; both may be empty
    - `size`, `sha256` (hex) of the object as the store shall hold it
    - `metadata`: the post's body without `secrets`
    - `sealed`: None unless the object is the plain recording
    """

    recording_id: str
    media_id: str
    tenant: str
    tenant_dbid: int
    profile: str
    profile_dbid: int
    profile_box: SealedBox | None
    storage_url: str
    object_url: str
    processor_url: str
    size: int
    sha256: str
    metadata: msgspec.Raw
    secrets: SealedBox | None = None
    sealed: SealedCopy | None = None
    copy_storage_url: str = ""
    copy_url: str = ""
    format: int = 1

    def __repr__(self) -> str:
        return f"<SpoolItem {self.media_id}>"

    @property
    def parts(self) -> tuple[Part, ...]:
        """What has to be delivered of it, each by itself."""
        return (Part.RECORDING, Part.COPY) if self.copy_url else (Part.RECORDING,)

    def for_part(self, part: Part) -> SpoolItem:
        """Return the item as `part` is delivered: the copy's store is the second one."""
        if part is Part.RECORDING:
            return self
        return msgspec.structs.replace(
            self, storage_url=self.copy_storage_url, object_url=self.copy_url
        )


class Progress(msgspec.Struct, frozen=True):
    """How far the delivery of an item came.

    `tries` have failed so far, the last one by `fault`; the next is due at `next_try` (Unix time,
    seconds). `unconfirmed`: a PUT of ours may have changed the store. `stored`: the store was seen
    to hold the object. `refused`: the last one failed by the sign-in. `settled`: nothing more is to
    be done for this part, as it arrived, or can never arrive because of `given_up`.
    """

    tries: int = 0
    next_try: float = 0.0
    unconfirmed: bool = False
    stored: bool = False
    fault: str = ""
    refused: bool = False
    settled: bool = False
    given_up: str = ""


def split_secrets(media: MediaFile, keyring: SpoolKeyring) -> tuple[msgspec.Raw, SealedBox | None]:
    """Return a post's body without parameters that are passwords, and the box that holds these."""
    secrets = {name: text for name, text in media.parameters.items() if is_secret_parameter(name)}
    public = {name: text for name, text in media.parameters.items() if name not in secrets}
    body = _body(msgspec.structs.replace(media, parameters=public))
    if not secrets:
        return msgspec.Raw(body), None
    return msgspec.Raw(body), keyring.seal(msgspec.json.encode(secrets), purpose=_SECRETS_PURPOSE)


def whole_body(item: SpoolItem, keyring: SpoolKeyring) -> bytes:
    """Return the body to be posted, secrets included. Raises `KeyringError` or `ItemError`."""
    if item.secrets is None:
        return bytes(item.metadata)
    try:
        (media,) = decode_metadata(bytes(item.metadata)).media_files
        secrets = msgspec.json.decode(
            keyring.open(item.secrets, purpose=_SECRETS_PURPOSE), type=dict[str, str]
        )
    except (MetadataError, ValueError) as error:
        raise ItemError(f"the metadata of {item.media_id} cannot be read: {error}") from None
    return _body(msgspec.structs.replace(media, parameters=media.parameters | secrets))


def write_item(folder: Path, item: SpoolItem) -> None:
    """Write ``item.json`` into an item's folder; no URL in it has a password. Raises `OSError`."""
    told = msgspec.structs.replace(
        item,
        storage_url=public_url(item.storage_url),
        object_url=public_url(item.object_url),
        processor_url=public_url(item.processor_url),
        copy_storage_url=public_url(item.copy_storage_url),
        copy_url=public_url(item.copy_url),
    )
    write_file(folder / ITEM, msgspec.json.encode(told))


def read_item(folder: Path) -> SpoolItem:
    """Read ``item.json``, and see that the sound lies beside it. Raises `ItemError`, `OSError`."""
    try:
        item = msgspec.json.decode((folder / ITEM).read_bytes(), type=SpoolItem)
    except FileNotFoundError:
        raise ItemError(f"{folder} has no {ITEM}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ItemError(f"{folder / ITEM} cannot be read: {error}") from None
    if not (folder / MEDIA).is_file():
        raise ItemError(f"{folder} has no {MEDIA}")
    return item


def write_progress(folder: Path, progress: Progress, part: Part = Part.RECORDING) -> None:
    """Write how far a part came. Raises `OSError`."""
    write_file(folder / part.value, msgspec.json.encode(progress))


def read_progress(folder: Path, part: Part = Part.RECORDING) -> Progress:
    """Read how far a part came; without a readable file it may have been tried before.

    Raises `OSError` where that is not the file's fault: too many files are open.
    """
    try:
        return msgspec.json.decode((folder / part.value).read_bytes(), type=Progress)
    except FileNotFoundError:
        return Progress()
    except (msgspec.MsgspecError, UnicodeDecodeError, OSError) as error:
        if isinstance(error, OSError) and error.errno in _LATER:
            raise
        return Progress(unconfirmed=True)


def _body(media: MediaFile) -> bytes:
    return encode_metadata(RecordingMetadata(media_files=[media]))

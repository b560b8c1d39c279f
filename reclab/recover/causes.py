"""Why a recording is not where it belongs: one slug and one sentence for each cause.

The classes are those that operators of such platforms know: what can be recovered as soon as
somebody mends its cause, and what cannot, because a part of it is gone.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class _Facts(NamedTuple):
    slug: str
    recoverable: bool
    sentence: str


class Cause(Enum):
    """A cause; `slug` never changes, `sentence` is for people."""

    STORAGE_DOWN = _Facts("storage-down", True, "the storage is down, or does not take it for now")
    STORAGE_CREDENTIALS = _Facts(
        "storage-credentials", True, "the storage refuses the profile's name or password"
    )
    STORAGE_ADDRESS = _Facts("storage-address", True, "the address of the storage is wrong")
    STORAGE_REFUSED = _Facts("storage-refused", True, "the storage refused the file for good")
    PROCESSOR_DOWN = _Facts("processor-down", True, "the recording processor is down")
    PROCESSOR_CREDENTIALS = _Facts(
        "processor-credentials", True, "the processor refuses the profile's name or password"
    )
    PROCESSOR_ADDRESS = _Facts("processor-address", True, "the URI of the processor is wrong")
    INDEXER_REFUSED = _Facts("indexer-refused", True, "the processor refused the metadata")
    NOT_DELIVERED = _Facts("not-delivered", True, "it is ready, and nobody has delivered it")
    UNFINISHED = _Facts(
        "unfinished", True, "the platform ended before the recording was rendered and sealed"
    )
    RENDER_FAILED = _Facts("render-failed", True, "its journal could not be rendered")
    NOT_FILED = _Facts(
        "not-filed", True, "the store holds it, the catalogue does not, and its metadata are known"
    )
    OBJECT_LOST = _Facts(
        "object-lost", True, "the store has lost the file, and the spool still holds it"
    )
    OTHER = _Facts("other", True, "it was put aside for another reason")
    CONFLICT = _Facts(
        "conflict", False, "something else is stored under its name: a person must decide"
    )
    METADATA_UNPARSABLE = _Facts("metadata-unparsable", False, "its metadata cannot be read")
    METADATA_INCOMPLETE = _Facts("metadata-incomplete", False, "its metadata lack what is needed")
    METADATA_MISSING = _Facts("metadata-missing", False, "its metadata are gone")
    MEDIA_MISSING = _Facts("media-missing", False, "its media file is gone")
    MEDIA_DAMAGED = _Facts(
        "media-damaged", False, "its media file is not the one that was recorded"
    )
    KEY_GONE = _Facts("key-gone", False, "it is encrypted, and no key of the keystore opens it")
    SPOOL_KEY_GONE = _Facts(
        "spool-key-gone", False, "the spool's keyring lacks the key that it waits under"
    )

    @property
    def slug(self) -> str:
        """The word for programs."""
        return self.value.slug

    @property
    def recoverable(self) -> bool:
        """Whether mending the cause brings the recording back."""
        return self.value.recoverable

    @property
    def sentence(self) -> str:
        """The words for people."""
        return self.value.sentence

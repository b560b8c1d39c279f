"""The archive form of a recording: the full DER PKCS#7, envelope and ciphertext in one file.

The ciphertext stands last, so the file is a prefix and then the stored bytes as they are. It can
be made and read as a stream, without any key, and its length is known beforehand.
"""

from __future__ import annotations

from typing import NamedTuple

from . import der
from .cipher import BLOCK_SIZE
from .envelope import MAX_ENVELOPE_SIZE, Envelope
from .errors import ArchiveError

#: So many bytes from a file's beginning are always enough for `parse_archive_header`.
MAX_HEADER_SIZE = MAX_ENVELOPE_SIZE


class ArchiveHeader(NamedTuple):
    """The envelope, and where the ciphertext begins and how long it is, in bytes."""

    envelope: Envelope
    offset: int
    size: int


def archive_prefix(envelope: Envelope, ciphertext_size: int) -> bytes:
    """Return what stands before the ciphertext; nothing stands behind it."""
    _check_size(ciphertext_size)
    return envelope.encode(ciphertext_size)


def parse_archive_header(data: bytes) -> ArchiveHeader:
    """Read the beginning of an archive file; `data` may end anywhere in the ciphertext.

    `ArchiveError` when `data` is too short for it or not the definite-length form, `EnvelopeError`
    when the envelope in it cannot be used.
    """
    try:
        detached, content = _take_apart(data)
    except ValueError as error:
        raise ArchiveError(
            f"the archive file does not begin with PKCS#7 enveloped data in DER: {error}"
        ) from error
    envelope = Envelope.from_der(detached)
    _check_size(content.length)
    return ArchiveHeader(envelope, content.start, content.length)


def _check_size(ciphertext_size: int) -> None:
    if ciphertext_size <= 0 or ciphertext_size % BLOCK_SIZE:
        raise ArchiveError(f"a ciphertext cannot have {ciphertext_size} bytes")


def _take_apart(data: bytes) -> tuple[bytes, der.Header]:
    """Return the envelope without its ciphertext, and the ciphertext's header."""
    outer = _enter(data, 0, der.SEQUENCE)
    kind = _enter(data, outer.start, der.OBJECT_IDENTIFIER)
    wrapper = _enter(data, kind.end, der.CONTEXT_0_CONSTRUCTED)
    enveloped = _enter(data, wrapper.start, der.SEQUENCE)
    version = _enter(data, enveloped.start, der.INTEGER)
    recipients = _enter(data, version.end, der.SET)
    info = _enter(data, recipients.end, der.SEQUENCE)
    content_kind = _enter(data, info.start, der.OBJECT_IDENTIFIER)
    algorithm = _enter(data, content_kind.end, der.SEQUENCE)
    content = _enter(data, algorithm.end, der.CONTEXT_0)
    if not outer.end == wrapper.end == enveloped.end == info.end == content.end:
        raise ValueError("the ciphertext is not its last part")
    detached = der.value(der.SEQUENCE, data[info.start : algorithm.end])
    enveloped_data = der.value(der.SEQUENCE, data[enveloped.start : recipients.end], detached)
    wrapped = der.value(der.CONTEXT_0_CONSTRUCTED, enveloped_data)
    return der.value(der.SEQUENCE, data[outer.start : kind.end], wrapped), content


def _enter(data: bytes, offset: int, tag: int) -> der.Header:
    found = der.read_header(data, offset)
    if found.tag != tag:
        raise ValueError(f"tag {found.tag:02x} stands where {tag:02x} belongs")
    return found

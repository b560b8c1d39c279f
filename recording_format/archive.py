"""The archive form of a recording: the full DER PKCS#7, envelope and ciphertext in one file.

The ciphertext stands last, so the file is a prefix and then the stored bytes as they are. It can
be made and read as a stream, without any key, and its length is known beforehand. Files of others
are read too: indefinite lengths, and ciphertexts in segments.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, cast

from asn1crypto import cms

from . import der
from .ber_stream import BerReader, Torn
from .cipher import BLOCK_SIZE
from .envelope import MAX_ENVELOPE_SIZE, Envelope
from .errors import ArchiveError, EnvelopeError

#: So many bytes from a file's beginning are always enough for `parse_archive_header`.
MAX_HEADER_SIZE = MAX_ENVELOPE_SIZE

_ENVELOPED_DATA = bytes.fromhex("06092a864886f70d010703")
# Those of PKCS#7, and those that CMS added (RFC 5083, RFC 5652 §12.1).
_PKCS7_KINDS = (bytes.fromhex("06092a864886f70d0107"), bytes.fromhex("060b2a864886f70d01091001"))
_UNPROTECTED_ATTRIBUTES = 0xA1
_SMALL = 4096
_PIECE = 1 << 18


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


def looks_like_archive(beginning: bytes) -> bool:
    """Tell whether a file with this beginning (24 bytes are enough) is PKCS#7, of any kind.

    A ciphertext, which is as good as random, looks so once in 2⁷⁰ times.
    """
    return beginning[:1] == b"\x30" and any(kind in beginning[2:24] for kind in _PKCS7_KINDS)


def open_archive(file: BinaryIO) -> tuple[Envelope, Iterator[bytes]]:
    """Read an archive file in DER or BER: its envelope, and its ciphertext in pieces up to 512 KiB.

    Whether the file is whole is known at its end only: until the pieces have come to an end
    without an error, nothing made of them may count.

    `ArchiveError` when the file is torn, goes on behind its end or is something else, here or
    between the pieces; `EnvelopeError` when the envelope cannot be used.
    """
    reader = BerReader(file)
    try:
        envelope, segmented = _read_beginning(reader)
    except Torn:
        raise ArchiveError("the archive file ends before its ciphertext begins") from None
    except ValueError as error:
        raise ArchiveError(
            f"the archive file does not begin with PKCS#7 enveloped data: {error}"
        ) from error
    return envelope, _read_ciphertext(reader, segmented)


def _read_beginning(reader: BerReader) -> tuple[Envelope, bool]:
    """Read up to the ciphertext; return whether it comes in segments."""
    reader.enter(der.SEQUENCE)
    kind = reader.take_value(_SMALL)
    if kind != _ENVELOPED_DATA:
        raise EnvelopeError(f"the file is PKCS#7 {_kind_name(kind)}, not enveloped data")
    reader.enter(der.CONTEXT_0_CONSTRUCTED)
    reader.enter(der.SEQUENCE)
    head = reader.take_value(_SMALL)
    if reader.next_tag() == der.CONTEXT_0_CONSTRUCTED:
        reader.take_value(MAX_ENVELOPE_SIZE)  # certificates of the originator: nothing to open with
    if reader.next_tag() != der.SET:
        raise ValueError("its recipients are missing")
    head += reader.take_value(MAX_ENVELOPE_SIZE)
    reader.enter(der.SEQUENCE)
    info = reader.take_value(_SMALL) + reader.take_value(_SMALL)
    if reader.at_end():
        raise ArchiveError("the file holds an envelope without its ciphertext")
    tag = reader.enter(der.CONTEXT_0, der.CONTEXT_0_CONSTRUCTED)
    if tag == der.CONTEXT_0:
        _check_size(reader.left() or 0)
    enveloped = der.value(der.SEQUENCE, head, der.value(der.SEQUENCE, info))
    wrapped = der.value(der.CONTEXT_0_CONSTRUCTED, enveloped)
    return Envelope.from_der(der.value(der.SEQUENCE, kind, wrapped)), tag != der.CONTEXT_0


def _kind_name(kind: bytes) -> str:
    return cast("str", cms.ContentType.load(kind).native)


def _read_ciphertext(reader: BerReader, segmented: bool) -> Iterator[bytes]:
    size = 0
    try:
        for piece in _gathered(reader.segments() if segmented else reader.octets()):
            size += len(piece)
            yield piece
        reader.leave()
        if not reader.at_end() and reader.next_tag() == _UNPROTECTED_ATTRIBUTES:
            reader.take_value(MAX_ENVELOPE_SIZE)
        for _ in ("EnvelopedData", "content", "ContentInfo"):
            reader.leave()
    except Torn as torn:
        raise ArchiveError(f"the archive file is torn: it ends after {torn.size} bytes") from None
    except ValueError as error:
        raise ArchiveError(f"the archive file is broken: {error}") from error
    if not reader.at_end():
        raise ArchiveError(f"the archive file goes on after its end at {reader.position} bytes")
    _check_size(size)


def _gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Put small pieces together."""
    gathered = bytearray()
    for piece in pieces:
        gathered += piece
        if len(gathered) >= _PIECE:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)


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

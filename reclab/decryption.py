"""Decrypting one stored media file with a private key at hand, without any lab.

What can be proved is proved before it counts: the session key by the metadata's mac, else by the
look of the plaintext, each chunk by its digest, the end by padding and length. The plaintext is
written in constant memory, to a file that has no name until all of it is right.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from cryptography.hazmat.primitives.asymmetric import rsa

from recording_format.archive import looks_like_archive, open_archive
from recording_format.archive_layout import media_file_names
from recording_format.certificates import RecordingCertificate
from recording_format.cipher import MediaDecryptor
from recording_format.digests import CHUNK_SIZE
from recording_format.envelope import Envelope
from recording_format.errors import (
    ArchiveError,
    CiphertextError,
    EnvelopeError,
    IntegrityError,
    MetadataError,
)
from recording_format.integrity import ChunkVerifier, check_mac
from recording_format.json_object import JsonObject
from recording_format.media_look import ENOUGH, media_kind
from recording_format.metadata import MAX_METADATA_SIZE, Lab
from recording_format.session_key import SessionKey

_BLOCK = 16
_SMALLEST = 24
_SIZE = re.compile(r"[0-9]{1,18}")
_TEXTS = (b"-----BEGIN ", b"MIME-Version:", b"Content-Type:")


@dataclass(frozen=True)
class MediaPapers:
    """What belongs to a ciphertext: its envelope, and what the metadata says where there is any.

    `envelope` is None where it is in the file itself. `size` is the plaintext's.
    """

    envelope: Envelope | None = None
    media_id: str = ""
    lab: Lab | None = None
    size: int | None = None


@dataclass(frozen=True)
class Opener:
    """The private key, and the certificate of the recipient if it was given.

    `any_content` takes a plaintext that does not begin like a media file.
    """

    private_key: rsa.RSAPrivateKey
    certificate: RecordingCertificate | None = None
    any_content: bool = False

    def session_keys(self, envelope: Envelope) -> list[SessionKey]:
        """Return the keys that it may be; one of them, where it is the right key at all."""
        if self.certificate is not None:
            return [envelope.unwrap(self.certificate, self.private_key)]
        found = envelope.unwrap_any(self.private_key)
        if not found:
            raise EnvelopeError("the envelope does not open with this private key")
        return found


def read_papers(text: bytes, name: str, file_name: str, media: str = "") -> MediaPapers:
    """Read an envelope in PEM, or a recording's metadata in JSON: `name` is for messages.

    Of several media files the one is taken that is called `media`, else like the file.

    Raises `EnvelopeError` or `MetadataError`.
    """
    if not text.lstrip().startswith((b"{", b"[")):
        return MediaPapers(envelope=Envelope.from_pem(text.decode("latin-1")))
    if len(text) > MAX_METADATA_SIZE:
        raise MetadataError(name, f"has {len(text)} bytes, too many for metadata")
    try:
        source = _choose(_media_files(json.loads(text), name), name, file_name, media)
    except (ValueError, RecursionError):
        raise MetadataError(name, "is not JSON") from None
    media_id = source.text("mediaId")
    pkcs7 = source.take("pkcs7")
    if not pkcs7 or not isinstance(pkcs7, str):
        raise MetadataError(media_id, "has no envelope: it is not encrypted")
    lab = source.take("lab")
    size = source.text("size", "")
    return MediaPapers(
        envelope=Envelope.from_pem(pkcs7),
        media_id=media_id,
        lab=None if lab is None else Lab.read(JsonObject(lab, source.path("lab"))),
        size=int(size) if _SIZE.fullmatch(size) else None,
    )


def decrypted(file: BufferedReader, papers: MediaPapers, opener: Opener) -> Iterator[bytes]:
    """Yield the plaintext of a stored ciphertext, or of a file in the archive form.

    Nothing of it may count before it has come to its end.

    Raises a `RecordingFormatError`: envelope, key, digests, padding or length are wrong.
    """
    envelope, ciphertext = _open(file, papers)
    keys = opener.session_keys(envelope)
    if papers.lab is not None:
        key = _proved_by_mac(keys, envelope, papers, papers.lab)
        ciphertext = _verified(ciphertext, papers.lab)
    else:
        beginning, ciphertext = _peek(ciphertext)
        key = _proved_by_look(keys, envelope, beginning, opener)
    decryptor = MediaDecryptor(key, envelope.iv)
    size = 0
    for piece in ciphertext:
        plaintext = decryptor.update(piece)
        size += len(plaintext)
        yield plaintext
    plaintext = decryptor.finalize()
    size += len(plaintext)
    if papers.size not in (None, size):
        raise CiphertextError(f"the plaintext has {size} bytes, the metadata says {papers.size}")
    yield plaintext


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """Give a file of mode 0600 that becomes `path` when the block ends without an error.

    Until then it has no name, so that not even a killed process leaves anything; where the file
    system cannot do that, it has another name and is taken away.
    """
    temporary = path.with_name(f".{path.name[:200]}.{secrets.token_hex(6)}")
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    named = False
    try:
        try:
            descriptor = os.open(".", os.O_TMPFILE | os.O_WRONLY, 0o600, dir_fd=folder)
        except OSError:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            named = True
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
            if not named:
                # Only with a dir_fd does Python follow the link to the file itself (linkat(2)).
                os.link(f"/proc/self/fd/{descriptor}", temporary.name, dst_dir_fd=folder)
                named = True
        temporary.replace(path)
        named = False
        os.fsync(folder)
    finally:
        if named:
            temporary.unlink(missing_ok=True)
        os.close(folder)


def _media_files(root: object, name: str) -> list[JsonObject]:
    """Return the media files of a posted body, a recording, an answer about one, or one alone."""
    if isinstance(root, dict) and isinstance(root.get("recording"), dict):
        root = root["recording"]
    if isinstance(root, dict) and "mediaFiles" in root:
        return JsonObject(root, "").objects("mediaFiles")
    if isinstance(root, dict) and "mediaId" in root:
        return [JsonObject(root, "")]
    raise MetadataError(name, "holds neither an envelope nor a recording's metadata")


def _choose(files: list[JsonObject], name: str, file_name: str, media: str) -> JsonObject:
    known = [(JsonObject(one.rest(), ""), one) for one in files]
    ids = [probe.text("mediaId", "") for probe, _ in known]
    wanted = media or file_name
    for (probe, one), media_id, archived in zip(known, ids, _archived(files, ids), strict=True):
        if wanted in {media_id, f"{media_id}.bin", archived, *_paths(probe)}:
            return one
    if len(files) == 1 and not media:
        return files[0]
    listed = ", ".join(ids)
    choice = f"; choose one by --media: {listed}" if ids else ""
    raise MetadataError(name, f"has no media file {wanted}{choice}")


def _archived(files: list[JsonObject], ids: list[str]) -> list[str]:
    encrypted = [bool(one.rest().get("pkcs7")) for one in files]
    return media_file_names(list(zip(ids, encrypted, strict=True)))


def _paths(probe: JsonObject) -> list[str]:
    """Return the last parts of the addresses that a media file has."""
    paths = [probe.take("mediaPath"), probe.take("mediaUri")]
    for key in ("mediaDescriptor", "originalMediaDescriptor"):
        descriptor = probe.take(key)
        paths.append(descriptor.get("path") if isinstance(descriptor, dict) else None)
    return [path.rpartition("/")[2] for path in paths if isinstance(path, str)]


def _open(file: BufferedReader, papers: MediaPapers) -> tuple[Envelope, Iterator[bytes]]:
    beginning = file.peek(_SMALLEST)
    if not beginning:
        raise CiphertextError("the file is empty")
    if looks_like_archive(beginning):
        return open_archive(file)
    if beginning.startswith(_TEXTS):
        raise ArchiveError(
            "the file is text (PEM or S/MIME): only DER is read, as archives have it"
        )
    if papers.envelope is None:
        raise EnvelopeError(
            "the file is not in the archive form: its envelope is needed too (--envelope)"
        )
    return papers.envelope, iter(lambda: file.read(CHUNK_SIZE), b"")


def _verified(pieces: Iterable[bytes], lab: Lab) -> Iterator[bytes]:
    verifier = ChunkVerifier(lab.digests)
    for piece in pieces:
        yield from verifier.feed(piece)
    verifier.finish()


def _peek(pieces: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Return the beginning, and all of it again."""
    first = next(pieces, b"")

    def again() -> Iterator[bytes]:
        yield first
        yield from pieces

    return first[: ENOUGH + _BLOCK], again()


def _proved_by_mac(
    keys: list[SessionKey], envelope: Envelope, papers: MediaPapers, lab: Lab
) -> SessionKey:
    fault: IntegrityError | None = None
    for key in keys:
        try:
            check_mac(key, media_id=papers.media_id, iv=envelope.iv, lab=lab)
        except IntegrityError as error:
            fault = error
        else:
            return key
    raise fault or IntegrityError("no session key came out of the envelope")


def _proved_by_look(
    keys: list[SessionKey], envelope: Envelope, beginning: bytes, opener: Opener
) -> SessionKey:
    for key in keys:
        if media_kind(MediaDecryptor(key, envelope.iv).update(beginning)):
            return key
    if opener.any_content and len(keys) == 1:
        return keys[0]
    raise CiphertextError(
        "what comes out is no WAV, MP3 or MP4: the private key is not a recipient's, or file and"
        " envelope do not belong together"
    )

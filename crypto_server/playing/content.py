"""What a media file's papers say: its sizes, its digests, and the session key that opens it.

`open_content` decides before anything is read whether envelope, key and digests fit together. Which
stored bytes then make which part of the plaintext, and whether they may leave, is `section`'s.
"""

from __future__ import annotations

import hashlib

from crypto_server.errors import KeyMissing, RecordingDamaged
from crypto_server.keystore.key_entry import KeyEntry
from crypto_server.playing.media_file import MediaName, StoredMediaFile
from recording_format.cipher import BLOCK_SIZE, ciphertext_size
from recording_format.digests import CiphertextDigests
from recording_format.envelope import Envelope
from recording_format.errors import EnvelopeError, IntegrityError
from recording_format.integrity import check_digests, check_mac
from recording_format.session_key import SessionKey

_ETAG = b"reclab entity tag 1"


class MediaContent:
    """One media file whose papers are in order.

    `digests` is None for a recording that nobody can verify; `key` and `iv` are None for one that
    is not encrypted. Sizes are in bytes, None where nobody has told yet.
    """

    def __init__(
        self,
        file: StoredMediaFile,
        name: MediaName,
        key: SessionKey | None = None,
        iv: bytes | None = None,
    ) -> None:
        self.name = name
        self.digests: CiphertextDigests | None = file.lab.digests if file.lab else None
        self.key = key
        self.iv = iv
        self.stored_size = _stored_size(file, name)
        self.plaintext_size = file.plaintext_size
        if key is None and self.plaintext_size is None:
            self.plaintext_size = self.stored_size
        self.etag = _etag(file)

    @property
    def verified(self) -> bool:
        """Whether digests say of each stored byte if it is the one that was recorded."""
        return self.digests is not None

    @property
    def authenticated(self) -> bool:
        """Whether a mac has proved session key and digests."""
        return self.digests is not None and self.key is not None

    def check_length(self, length: int | None) -> None:
        """Raise `RecordingDamaged` when the stored file cannot be `length` bytes long."""
        if length is None or self.stored_size is None or length == self.stored_size:
            return
        trouble = "it was cut" if length < self.stored_size else "it has grown"
        raise RecordingDamaged(
            f"the stored file of {self.name} has {length} bytes instead of {self.stored_size}: "
            f"{trouble}"
        )

    def learn_sizes(self, stored: int, plaintext: int) -> None:
        """Take the sizes that the stored file itself shows; they must not contradict the papers."""
        self.check_length(stored)
        if self.plaintext_size not in (None, plaintext):
            raise self.other_size()
        self.stored_size, self.plaintext_size = stored, plaintext

    def other_bytes(self) -> RecordingDamaged:
        """Return what is said of stored bytes that are not the recorded ones."""
        return RecordingDamaged(
            f"the stored bytes of media file {self.name} are not what was recorded"
        )

    def other_size(self) -> RecordingDamaged:
        """Return what is said of a plaintext that is shorter or longer than its metadata says."""
        return RecordingDamaged(
            f"media file {self.name} does not have its {self.plaintext_size} bytes"
        )

    def undecryptable(self) -> RecordingDamaged:
        """Return the one answer to every failure of session key, mac and padding."""
        return undecryptable(self.name)


def open_content(file: StoredMediaFile, name: MediaName, entry: KeyEntry | None) -> MediaContent:
    """Return the content of `file`, after its session key and `mac` have been checked.

    `entry` is the recipient's key from the keystore; None for a file that is not encrypted.

    Raises `RecordingDamaged` when the file's papers do not fit together.
    """
    if file.lab is not None:
        try:
            check_digests(file.lab.digests)
        except IntegrityError:
            raise RecordingDamaged(f"the digests of media file {name} cannot be used") from None
    if not file.pkcs7:
        return MediaContent(file, name)
    if entry is None:
        raise KeyMissing(f"media file {name} is encrypted and no key was found")
    envelope = read_envelope(file, name)
    key = _session_key(envelope, entry, name)
    if file.lab is not None:
        try:
            check_mac(key, media_id=file.media_id, iv=envelope.iv, lab=file.lab)
        except IntegrityError:
            raise undecryptable(name) from None
    return MediaContent(file, name, key, envelope.iv)


def read_envelope(file: StoredMediaFile, name: MediaName) -> Envelope:
    """Return the envelope of an encrypted file; `RecordingDamaged` when it is not one."""
    try:
        return Envelope.from_pem(file.pkcs7)
    except EnvelopeError as error:
        raise RecordingDamaged(
            f"the envelope of media file {name} cannot be read: {error}"
        ) from None


def undecryptable(name: MediaName) -> RecordingDamaged:
    """Return the one answer to every failure of session key, mac and padding."""
    return RecordingDamaged(
        f"media file {name} cannot be decrypted: envelope, key and digests differ"
    )


def _session_key(envelope: Envelope, entry: KeyEntry, name: MediaName) -> SessionKey:
    """Return the session key, or a substitute for it that only the mac or the look will tell.

    An error is only what everybody can read in the envelope.
    """
    try:
        return envelope.unwrap_blindly(entry.certificate, entry.private_key)
    except EnvelopeError as error:
        raise RecordingDamaged(
            f"the envelope of media file {name} cannot be used: {error}"
        ) from None


def _stored_size(file: StoredMediaFile, name: MediaName) -> int | None:
    """Return how long the stored file must be, None when the metadata does not tell."""
    plain = file.plaintext_size
    told = None if plain is None else ciphertext_size(plain) if file.pkcs7 else plain
    if file.lab is None:
        return told
    size = file.lab.size
    blocks = size > 0 and size % BLOCK_SIZE == 0
    if told not in (None, size) or (file.pkcs7 and not blocks):
        raise RecordingDamaged(f"the sizes of media file {name} contradict each other")
    return size


def _etag(file: StoredMediaFile) -> str | None:
    """Return a strong entity tag (RFC 9110 §8.8.3), None where nobody can tell versions apart.

    It names the stored bytes, not who may open them: other recipients do not change it.
    """
    if file.lab is None:
        return None
    digest = hashlib.sha256(_ETAG)
    for part in (file.media_id, str(file.plaintext_size), *file.lab.chunks):
        text = part.encode("utf-8", "surrogatepass")
        digest.update(len(text).to_bytes(8, "big") + text)
    return f'"{digest.hexdigest()[:32]}"'

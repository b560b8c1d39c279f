"""From stored chunks to what a listener gets: checked first, then decrypted.

`open_content` decides before anything is read whether envelope, key and digests fit together;
`MediaContent.open_chunk` lets no byte out that was not checked. Pure: no clock, sockets or disk.
Chunks are whole `CHUNK_SIZE` pieces in order, only the last may be shorter.
"""

from __future__ import annotations

from crypto_server.errors import KeyMissing, RecordingDamaged
from crypto_server.key_entry import KeyEntry
from crypto_server.media_file import MediaName, StoredMediaFile
from recording_format.cipher import MediaDecryptor, ciphertext_size
from recording_format.digests import CiphertextDigests
from recording_format.envelope import Envelope
from recording_format.errors import CiphertextError, EnvelopeError, IntegrityError
from recording_format.integrity import check_chunk, check_digests, check_mac
from recording_format.session_key import SessionKey

_MP3_SYNC = 0xE0


class MediaContent:
    """What one media file plays as, fed with its stored chunks."""

    def __init__(
        self,
        file: StoredMediaFile,
        name: MediaName,
        decryptor: MediaDecryptor | None = None,
        *,
        doomed: bool = False,
    ) -> None:
        """`doomed` refuses the first chunk: the session key was not unwrapped, but nobody is told
        earlier than for a session key that was unwrapped to something else.
        """
        self.verified = file.lab is not None
        self.plaintext_size = file.plaintext_size
        self.stored_size = _stored_size(file, name)
        self._name = name
        self._digests: CiphertextDigests | None = file.lab.digests if file.lab else None
        self._decryptor = decryptor
        self._doomed = doomed
        self._chunks = 0
        self._taken = 0
        self._given = 0

    def open_chunk(self, chunk: bytes, *, last: bool) -> bytes:
        """Check the next stored chunk and return its plaintext; CPU work of some milliseconds.

        Raises `RecordingDamaged` when chunk, padding or length are not what was recorded.
        """
        self._check_stored(chunk, last=last)
        plaintext = chunk if self._decryptor is None else self._decrypt(chunk, last=last)
        if self._given == 0 and not self._authenticated:
            self._check_beginning(plaintext)
        self._given += len(plaintext)
        size = self.plaintext_size
        if size is not None and (self._given > size or (last and self._given != size)):
            raise RecordingDamaged(f"media file {self._name} does not have its {size} bytes")
        return plaintext

    def check_length(self, length: int | None) -> None:
        """Raise `RecordingDamaged` when the stored file cannot be `length` bytes long."""
        if None not in (length, self.stored_size) and length != self.stored_size:
            raise _other_bytes(self._name)

    @property
    def _authenticated(self) -> bool:
        """Whether a mac has proved session key and digests."""
        return self._digests is not None and self._decryptor is not None

    def _check_stored(self, chunk: bytes, *, last: bool) -> None:
        self._taken += len(chunk)
        if self._digests is not None:
            try:
                check_chunk(self._digests, self._chunks, chunk)
            except IntegrityError:
                raise _other_bytes(self._name) from None
            self._chunks += 1
        size = self.stored_size
        if size is not None and (self._taken > size or (last and self._taken != size)):
            raise _other_bytes(self._name)

    def _decrypt(self, chunk: bytes, *, last: bool) -> bytes:
        assert self._decryptor is not None
        try:
            plaintext = self._decryptor.update(chunk)
            return plaintext + self._decryptor.finalize() if last else plaintext
        except CiphertextError:
            raise undecryptable(self._name) from None

    def _check_beginning(self, plaintext: bytes) -> None:
        """Without a mac, only the look of the first bytes tells a wrong key from a right one."""
        if self._doomed or not looks_like_audio(plaintext, self._name):
            raise undecryptable(self._name) if self._decryptor else _other_bytes(self._name)


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
    key, doomed = _session_key(envelope, entry)
    if file.lab is not None:
        try:
            check_mac(key, media_id=file.media_id, iv=envelope.iv, lab=file.lab)
        except IntegrityError:
            doomed = True
        if doomed:
            raise undecryptable(name)
    return MediaContent(file, name, MediaDecryptor(key, envelope.iv), doomed=doomed)


def read_envelope(file: StoredMediaFile, name: MediaName) -> Envelope:
    """Return the envelope of an encrypted file; `RecordingDamaged` when it is not one."""
    try:
        return Envelope.from_pem(file.pkcs7)
    except EnvelopeError:
        raise RecordingDamaged(f"the envelope of media file {name} cannot be read") from None


def undecryptable(name: MediaName) -> RecordingDamaged:
    """Return the one answer to every failure of session key, mac and padding."""
    return RecordingDamaged(
        f"media file {name} cannot be decrypted: envelope, key and digests differ"
    )


def looks_like_audio(beginning: bytes, name: MediaName) -> bool:
    """Tell whether a plaintext begins like a file of its kind: RIFF/WAVE, ID3 or MP3 frame."""
    if name.extension == "wav":
        return beginning[:4] in (b"RIFF", b"RF64") and beginning[8:12] == b"WAVE"
    if beginning.startswith(b"ID3"):
        return True
    return len(beginning) > 1 and beginning[0] == 0xFF and beginning[1] & _MP3_SYNC == _MP3_SYNC


def _session_key(envelope: Envelope, entry: KeyEntry) -> tuple[SessionKey, bool]:
    """Return the session key, or a random one and True, so that the work after it is the same."""
    try:
        return envelope.unwrap(entry.certificate, entry.private_key), False
    except EnvelopeError:
        return SessionKey.generate(), True


def _stored_size(file: StoredMediaFile, name: MediaName) -> int | None:
    """Return how long the stored file must be, None when the metadata does not tell."""
    plain = file.plaintext_size
    told = None if plain is None else ciphertext_size(plain) if file.pkcs7 else plain
    if file.lab is not None and told not in (None, file.lab.size):
        raise RecordingDamaged(f"the sizes of media file {name} contradict each other")
    return told if file.lab is None else file.lab.size


def _other_bytes(name: MediaName) -> RecordingDamaged:
    return RecordingDamaged(f"the stored bytes of media file {name} are not what was recorded")

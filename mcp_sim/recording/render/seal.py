"""From a container's bytes to a sealed file: encrypted as it is written, durable, with its proofs.

Plaintext never reaches the disk. Each `Sealer` draws a new IV, so a recording that is rendered
again is sealed under another one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from mcp_sim.recording.disk_calls import DISK, DiskCalls
from recording_format.cipher import MediaEncryptor
from recording_format.digests import CiphertextDigests, CiphertextHasher
from recording_format.envelope import Envelope, decode_recipients
from recording_format.integrity import media_mac
from recording_format.session_key import SessionKey


@dataclass(frozen=True, slots=True)
class SealedFile:
    """`digests` are those of the object to be stored, `plaintext_size` its size before sealing.

    `envelope` (PEM) and `mac` are empty when the object is stored as plaintext.
    """

    iv: bytes
    digests: CiphertextDigests
    plaintext_size: int
    envelope: str = ""
    mac: str = ""


class Sealer:
    """Writes one sealed file: `write` … `finish`, or `abandon`."""

    def __init__(
        self, path: Path, key: SessionKey, *, plain: bool = False, disk: DiskCalls = DISK
    ) -> None:
        """Begin ``<path>.part``; `plain` says that the object is stored unencrypted later.

        The file itself is encrypted in either case. Raises `OSError`.
        """
        self._disk = disk
        self._path = path
        self._part = path.with_name(f"{path.name}.part")
        self._key = key
        self._encryptor = MediaEncryptor(key)
        self._plain = CiphertextHasher() if plain else None
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        self._descriptor = os.open(self._part, flags, 0o600)

    def write(self, data: bytes) -> None:
        """Take the next bytes of the plaintext. Raises `OSError`."""
        if self._plain is not None:
            self._plain.update(data)
        self._put(self._encryptor.update(data))

    def finish(self, *, media_id: str, recipients: bytes) -> SealedFile:
        """Complete the file under its name, on stable storage. Raises `OSError`.

        `recipients` is the DER SET OF RecipientInfo that wraps the session key; it is not looked at
        for a plain object.
        """
        self._put(self._encryptor.finalize())
        self._disk.sync(self._descriptor)
        self._close()
        self._part.replace(self._path)
        iv, size = self._encryptor.iv, self._encryptor.plaintext_size
        if self._plain is not None:
            return SealedFile(iv, self._plain.finish(), size)
        digests = self._encryptor.digests
        envelope = Envelope(decode_recipients(recipients), self._key.algorithm, iv)
        mac = media_mac(self._key, media_id=media_id, iv=iv, digests=digests)
        return SealedFile(iv, digests, size, envelope.to_pem(), mac)

    def abandon(self) -> None:
        """Close and remove what was written."""
        self._close()
        self._part.unlink(missing_ok=True)

    def _put(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._disk.write(self._descriptor, view) :]

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

"""The bytes of an object on their way from the spool to the store, in pieces, when asked for.

An encrypted recording goes as it lies there. One that shall be stored plain lies encrypted in the
spool too, and is decrypted while it is read.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import closing
from io import BufferedReader
from pathlib import Path

from mcp_sim.recording.delivery.errors import BrokenItemError
from mcp_sim.recording.journal.frames import open_session_key
from mcp_sim.recording.keyring import KeyringError, SpoolKeyring
from mcp_sim.recording.spool.folders import MEDIA
from mcp_sim.recording.spool.item import SpoolItem
from recording_format.cipher import MediaDecryptor, ciphertext_size
from recording_format.errors import CiphertextError

_CHUNK = 1 << 20


class ObjectBody:
    """The object of one item, which may be read several times.

    An HTTP client hides what went wrong in the body that it sent: `fault` tells.
    """

    def __init__(self, folder: Path, item: SpoolItem, keyring: SpoolKeyring) -> None:
        self._path = folder / MEDIA
        self._item = item
        self._keyring = keyring
        self.fault: BrokenItemError | OSError | None = None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give the object's bytes. Raises `BrokenItemError`, or `OSError` of the disk."""
        try:
            pieces = await asyncio.to_thread(self._open)
            # When this is cancelled while a thread still reads, closing waits for that one read.
            with closing(pieces):
                while piece := await asyncio.to_thread(self._next, pieces):
                    yield piece
        except (BrokenItemError, OSError) as error:
            self.fault = error
            raise

    def is_sound(self) -> bool:
        """Return whether the object is still what was sealed. Reads all of it."""
        digest, size = hashlib.sha256(), 0
        try:
            with closing(self._open()) as pieces:
                while piece := self._next(pieces):
                    digest.update(piece)
                    size += len(piece)
        except BrokenItemError:
            return False
        return size == self._item.size and digest.hexdigest() == self._item.sha256

    def _open(self) -> _Pieces:
        try:
            decryptor = self._decryptor()
            self._check_size()
            return _Pieces(self._path.open("rb"), decryptor)
        except KeyringError as error:
            raise self._broken(str(error)) from None
        except FileNotFoundError:
            raise self._broken("its file is gone") from None

    def _next(self, pieces: _Pieces) -> bytes:
        try:
            return pieces.read()
        except CiphertextError as error:
            raise self._broken(str(error)) from None

    def _check_size(self) -> None:
        size = self._path.stat().st_size
        expected = ciphertext_size(self._item.size) if self._item.sealed else self._item.size
        if size != expected:
            raise self._broken(f"its file has {size} bytes instead of {expected}")

    def _decryptor(self) -> MediaDecryptor | None:
        sealed = self._item.sealed
        if sealed is None:
            return None
        return MediaDecryptor(open_session_key(self._keyring, sealed.key_box), sealed.iv)

    def _broken(self, reason: str) -> BrokenItemError:
        return BrokenItemError(
            f"the recording {self._item.media_id} cannot be read from the spool: {reason}"
        )


class _Pieces:
    """Reads an object piece by piece, from whichever thread; not from two at a time.

    An object of its own and no generator: CPython does not survive a generator that is closed in
    one thread while another one is about to run it.
    """

    def __init__(self, file: BufferedReader, decryptor: MediaDecryptor | None) -> None:
        self._file = file
        self._decryptor = decryptor

    def read(self) -> bytes:
        """Return the next piece, empty at the end. Raises `CiphertextError` or `OSError`."""
        while data := self._file.read(_CHUNK):
            piece = self._decryptor.update(data) if self._decryptor else data
            if piece:
                return piece
        decryptor, self._decryptor = self._decryptor, None
        return decryptor.finalize() if decryptor else b""

    def close(self) -> None:
        """Close the file."""
        self._file.close()

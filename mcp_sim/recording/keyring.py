"""The spool keyring: the keys under which session keys and profiles wait in the spool.

A small JSON text, ``{"current": "<key id>", "keys": {"<key id>": "<32 bytes, base64>"}}``, in a
file of mode 0600 outside the spool, or in the environment. New boxes use the current key; older
keys stay to open older boxes. Several nodes may share one text. No key is ever shown or logged, and
none is made where recordings wait that only another one opens.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mcp_sim.recording.plan import SealedBox
from mcp_sim.recording.spool.folders import State

KEY_SIZE = 32
VARIABLE = "RECLAB_SPOOL_KEYRING"
"""The variable that may hold the keyring's text instead of a file."""
_BOX_NONCE_SIZE = 32


class KeyringError(Exception):
    """The keyring cannot be used; the text is one sentence that names it."""


class UnknownKeyError(KeyringError):
    """A box was sealed under a key that this keyring does not have: another keyring may."""


class BrokenBoxError(KeyringError):
    """A box is damaged, or was sealed for another purpose."""


class _KeyringText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    current: str
    keys: dict[str, str]


class SpoolKeyring:
    """Seals small secrets and opens them again.

    Each box is sealed by AES-256-GCM under its own key and nonce, derived by HKDF from the ring's
    key and a random 32-byte salt, so that the number of boxes under one key has no practical limit.
    """

    def __init__(self, keys: dict[str, bytes], current: str) -> None:
        """Take `keys` (key id to 32 bytes); raise `KeyringError` when one cannot be used."""
        for kid, key in keys.items():
            if len(key) != KEY_SIZE:
                raise KeyringError(f"spool key {kid!r} is not {KEY_SIZE} bytes long")
        if current not in keys:
            raise KeyringError(f"the current spool key {current!r} is not in the keyring")
        self._keys = dict(keys)
        self.current = current

    def __repr__(self) -> str:
        return f"SpoolKeyring(current={self.current!r}, {len(self._keys)} keys)"

    @classmethod
    def generate(cls) -> SpoolKeyring:
        """Return a keyring with one new random key."""
        kid = os.urandom(4).hex()
        return cls({kid: os.urandom(KEY_SIZE)}, kid)

    @classmethod
    def from_text(cls, text: str | bytes, *, name: str) -> SpoolKeyring:
        """Read the JSON text; `name` stands in errors for where it came from."""
        try:
            content = msgspec.json.decode(text, type=_KeyringText)
            keys = {
                kid: base64.b64decode(encoded, validate=True)
                for kid, encoded in content.keys.items()
            }
        except ValueError:  # the decoder's own text could quote a key
            raise KeyringError(f"{name}: is not a spool keyring") from None
        try:
            return cls(keys, content.current)
        except KeyringError as error:
            raise KeyringError(f"{name}: {error}") from None

    @classmethod
    def from_file(cls, path: Path) -> SpoolKeyring:
        """Read a file, which nobody but its owner may be able to read."""
        try:
            with path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                text = file.read()
        except OSError as error:
            raise KeyringError(f"{path}: cannot be read ({error.strerror})") from None
        if stat.S_IMODE(mode) & 0o077:
            raise KeyringError(f"{path}: others may read it, its mode must be 0600")
        return cls.from_text(text, name=str(path))

    @classmethod
    def open_or_create(cls, path: Path) -> SpoolKeyring:
        """Read the file, or make one with a new key; it is on disk before this returns.

        Two processes that start at once end with the same keyring.
        """
        if not path.exists():
            try:
                _publish(path, cls.generate().to_text())
            except OSError as error:
                raise KeyringError(f"{path}: cannot be written ({error.strerror})") from None
        return cls.from_file(path)

    @classmethod
    def for_spool(cls, path: Path, spool: Path, environ: Mapping[str, str]) -> SpoolKeyring:
        """Return the keyring of the spool in folder `spool`: of the environment, else of the file.

        Raises `KeyringError` also where the file lies in the spool that it protects, or is missing
        while the spool holds recordings: a new keyring could not open them.
        """
        if environ.get(VARIABLE):
            return cls.from_text(environ[VARIABLE], name=VARIABLE)
        if path.resolve().is_relative_to(spool.resolve()):
            raise KeyringError(f"{path}: lies in the spool that it protects")
        if not path.exists() and _holds_recordings(spool):
            raise KeyringError(
                f"{path}: is missing, and the spool {spool} holds recordings that only it opens"
            )
        return cls.open_or_create(path)

    def to_text(self) -> str:
        """Return the JSON text. It holds the keys: write it with mode 0600 only."""
        keys = {kid: base64.b64encode(key).decode("ascii") for kid, key in self._keys.items()}
        return json.dumps({"current": self.current, "keys": keys}, indent=1) + "\n"

    def seal(self, data: bytes, *, purpose: str = "") -> SealedBox:
        """Seal `data` under the current key. `purpose` must be said again to open it."""
        nonce = os.urandom(_BOX_NONCE_SIZE)
        cipher, iv = _box_cipher(self._keys[self.current], nonce)
        return SealedBox(self.current, nonce, cipher.encrypt(iv, data, purpose.encode()))

    def open(self, box: SealedBox, *, purpose: str = "") -> bytes:
        """Return what was sealed. Raises `UnknownKeyError` or `BrokenBoxError`."""
        key = self._keys.get(box.kid)
        if key is None:
            raise UnknownKeyError(f"spool key {box.kid!r} is not in the keyring")
        cipher, iv = _box_cipher(key, box.nonce)
        try:
            return cipher.decrypt(iv, box.box, purpose.encode())
        except (InvalidTag, ValueError):
            raise BrokenBoxError(f"a box sealed under spool key {box.kid!r} is damaged") from None


def _box_cipher(key: bytes, nonce: bytes) -> tuple[AESGCM, bytes]:
    derived = HKDF(SHA256(), KEY_SIZE + 12, salt=nonce, info=b"reclab spool box 1").derive(key)
    return AESGCM(derived[:KEY_SIZE]), derived[KEY_SIZE:]


def _holds_recordings(spool: Path) -> bool:
    states = set(State) - {State.DELIVERED}
    return any(any(folder.iterdir()) for state in states if (folder := spool / state).is_dir())


def _publish(path: Path, text: str) -> None:
    """Put a new file in place whole and durably, unless another process was first."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

"""Files of the keystore on disk: written whole or not at all, read without following links.

A file is 0600 from its first moment. What is not a plain file (a link, a pipe) is never opened for
its contents, so that nobody leads the server to another tenant's key by a link in a folder.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from crypto_server.errors import KeystoreError

LARGEST_FILE = 1 << 20


def write_whole(path: Path, data: bytes, *, mode: int = 0o600, sync: bool = True) -> None:
    """Put `data` under `path` at once: temporary file, fsync, rename, fsync of the folder.

    Without `sync` the last is left to the caller, who writes several files there.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    try:
        with open(temporary, "xb", opener=_private_opener) as file:
            os.fchmod(file.fileno(), mode)
            keep_owner(file.fileno(), path if path.exists() else path.parent)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    if sync:
        sync_folder(path.parent)


def make_folder(path: Path) -> None:
    """Make the folder of a tenant (0700) where it is missing; its owner is that of the keystore."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        keep_owner(descriptor, path.parent)
    finally:
        os.close(descriptor)


def keep_owner(descriptor: int, like: Path) -> None:
    """Give what the superuser made to the owner of `like`: what it replaces, or its folder.

    A server that runs as somebody else could not read what an administrator as root left it.
    """
    if os.geteuid() == 0:
        found = like.stat()
        with contextlib.suppress(PermissionError):  # a superuser who may not
            os.fchown(descriptor, found.st_uid, found.st_gid)


def read_plain(path: Path, *, most: int = LARGEST_FILE) -> bytes:
    """Return the content of a plain file of up to `most` bytes.

    Raises `KeystoreError` for a link, what is no plain file, and a larger one; and `OSError`.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    if path.is_symlink():
        raise KeystoreError(f"{path.name} is a symbolic link, which is not followed")
    with open(path, "rb", opener=lambda name, _flags: os.open(name, flags)) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise KeystoreError(f"{path.name} is not a plain file")
        if found.st_size > most:
            raise KeystoreError(f"{path.name} is too large for a keystore entry")
        return file.read(most)


def sync_folder(folder: Path) -> None:
    """Let the names in `folder` survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_to_others(mode: int) -> bool:
    """Return whether a file's or folder's mode lets anybody but its owner read or write it."""
    return bool(stat.S_IMODE(mode) & 0o066)


def unusable(folder: Path, error: OSError) -> KeystoreError:
    """Return the sentence about a folder of the keystore that the disk says no to."""
    reason = os.strerror(error.errno or 0).lower()
    return KeystoreError(f"the keystore folder {folder} cannot be used: {reason}")


def _private_opener(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)

"""The files of a keystore as they were last read: one folder per tenant, one entry per file.

A folder is looked at again each time; only what changed is read and decrypted anew. What cannot be
used is logged once, counted, and stops no other file. Links are not followed.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

import structlog

from crypto_server.errors import KeystoreError
from crypto_server.keystore.key_entry import KeyEntry
from crypto_server.keystore.private_files import open_to_others, read_plain, unusable

_SUFFIX = ".p12"
_LONGEST_NAME = 255
_log = structlog.get_logger()


class _State(NamedTuple):
    """What tells that a file has changed: its content, its name or its permissions."""

    changed_ns: int
    size: int
    inode: int


class _Loaded(NamedTuple):
    """A file as it was last read: `entry` is None when it could not be used."""

    state: _State
    entry: KeyEntry | None


#: Of a file that is to be read again at the next look.
_UNSEEN = _State(0, 0, 0)


class KeystoreCount(NamedTuple):
    """How many keys stand ready, and how many files could not be used."""

    keys: int
    unusable: int


class TenantFolders:
    """What lies in a keystore's folder. Not thread-safe: its owner holds a lock.

    `passwords` are tried in turn: there are two only while the keystore password changes.
    """

    def __init__(self, root: Path, password: str) -> None:
        self.passwords: tuple[str, ...] = (password,)
        self._root = root
        self._files: dict[str, dict[str, _Loaded]] = {}
        self._reported: set[tuple[str, int]] = set()

    def names(self) -> list[str]:
        """Return the names of the tenants that have a folder, sorted, as they were last seen."""
        return sorted(self.all_entries())

    def count(self) -> KeystoreCount:
        """Return how many files were usable when they were last seen."""
        loaded = [file for files in self._files.values() for file in files.values()]
        keys = sum(file.entry is not None for file in loaded)
        return KeystoreCount(keys, len(loaded) - keys)

    def refresh_all(self) -> None:
        """Look at every tenant's folder. Raises `KeystoreError` when the disk says no."""
        try:
            names = [item.name for item in os.scandir(self._root) if self._is_tenant(item)]
        except OSError as error:
            raise unusable(self._root, error) from None
        for gone in self._files.keys() - set(names):
            del self._files[gone]
        for name in names:
            self._refresh(name)

    def entries(self, tenant: str) -> dict[str, KeyEntry]:
        """Look at the folder of `tenant`; return the usable entries by the names of their files."""
        found = self._refresh(folder_name(tenant))
        return {name: file.entry for name, file in found.items() if file.entry is not None}

    def all_entries(self) -> dict[str, list[KeyEntry]]:
        """Return the usable entries by tenant, sorted by alias, as they were last seen."""
        return {
            unquote(name): sorted(
                (file.entry for file in files.values() if file.entry is not None),
                key=lambda entry: entry.alias,
            )
            for name, files in sorted(self._files.items())
            if _names_a_tenant(name)
        }

    def files(self) -> dict[str, KeyEntry]:
        """Return the usable entries by ``<folder>/<file>``, as they were last seen."""
        return {
            f"{folder}/{name}": file.entry
            for folder, files in self._files.items()
            for name, file in files.items()
            if file.entry is not None
        }

    def learn(self, name: str, entry: KeyEntry) -> None:
        """Take `entry` as what the file ``<folder>/<file>`` holds now: it was just written.

        Reading it again would cost some 35 ms, most of it for the check of the RSA key.
        """
        folder, _, file = name.partition("/")
        with contextlib.suppress(OSError):
            found = (self._root / name).lstat()
            self._files.setdefault(folder, {})[file] = _Loaded(_state_of(found), entry)

    def _is_tenant(self, item: os.DirEntry[str]) -> bool:
        if item.name.startswith("."):
            return False
        if item.is_symlink():
            self._report(Path(item.path), item.stat(follow_symlinks=False), "is a symbolic link")
            return False
        return item.is_dir()

    def _refresh(self, name: str) -> dict[str, _Loaded]:
        """Load the new and changed files of one tenant's folder, forget the ones that are gone."""
        known = self._files.get(name, {})
        folder = self._root / name
        fresh: dict[str, _Loaded] = {}
        try:
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode):
                raise KeystoreError(f"the keystore folder {folder} is not a folder of its own")
            self._check_mode(folder, found)
            if not _names_a_tenant(name):
                self._report(folder, found, "is not named as a tenant's folder is")
            for file in os.scandir(folder):
                if file.name.endswith(_SUFFIX) and not file.name.startswith("."):
                    with contextlib.suppress(FileNotFoundError):  # gone meanwhile
                        fresh[file.name] = self._current(Path(file.path), known.get(file.name))
        except FileNotFoundError:
            self._files.pop(name, None)
            return {}
        except OSError as error:
            raise unusable(folder, error) from None
        self._files[name] = fresh
        return fresh

    def _current(self, path: Path, known: _Loaded | None) -> _Loaded:
        """Return what a file holds now; raises `FileNotFoundError`."""
        found = path.lstat()
        state = _state_of(found)
        if known is not None and known.state == state:
            return known
        if not _names_a_tenant(path.parent.name):
            return _Loaded(state, None)
        try:
            data = read_plain(path)
            self._check_mode(path, found)
            return _Loaded(state, self._open(data, path.name))
        except FileNotFoundError:
            raise
        except OSError as error:
            # Too many open files, a disk that does not answer: it may do so the next time.
            self._report_unusable(path, error.errno or 0, error)
            return _Loaded(_UNSEEN, None)
        except KeystoreError as error:
            self._report_unusable(path, -state.changed_ns, error)
            return _Loaded(state, None)

    def _open(self, data: bytes, name: str) -> KeyEntry:
        for password in self.passwords[1:]:
            try:
                return KeyEntry.from_pkcs12(data, password, name=name)
            except KeystoreError:
                continue
        return KeyEntry.from_pkcs12(data, self.passwords[0], name=name)

    def _check_mode(self, path: Path, found: os.stat_result) -> None:
        if open_to_others(found.st_mode):
            mode = f"{stat.S_IMODE(found.st_mode):04o}"
            self._report(path, found, f"is open to others (mode {mode})")

    def _report_unusable(self, path: Path, why: int, error: Exception) -> None:
        """Warn once about a file, for each reason and each content of it."""
        if (str(path), why) not in self._reported:
            self._reported.add((str(path), why))
            _log.warning("A keystore file could not be used", file=str(path), reason=str(error))

    def _report(self, path: Path, found: os.stat_result, fault: str) -> None:
        """Warn once about a file's or folder's way of lying there."""
        seen = (str(path), found.st_mode)
        if seen not in self._reported:
            self._reported.add(seen)
            _log.warning("Something in the keystore is not safe", path=str(path), fault=fault)


def _names_a_tenant(folder: str) -> bool:
    """Return whether a folder is the one that its tenant's keys are looked for in."""
    try:
        return folder_name(unquote(folder)) == folder
    except KeystoreError:
        return False


def _state_of(found: os.stat_result) -> _State:
    return _State(found.st_ctime_ns, found.st_size, found.st_ino)


def folder_name(tenant: str) -> str:
    """Return the folder of a tenant: its name, percent-encoded, so that any name is a safe one."""
    try:
        name = quote(tenant, safe="")
    except UnicodeEncodeError:  # half a character
        raise KeystoreError("the tenant's name is not made of whole characters") from None
    if name.startswith("."):
        name = "%2E" + name[1:]
    if not name or len(name) > _LONGEST_NAME:
        raise KeystoreError("the tenant's name is empty or too long for a keystore folder")
    return name

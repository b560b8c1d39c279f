"""The change of the keystore password: every file twice on disk until the password file has it.

The order is what makes it safe: both states, then the files, then the password file, then the end.
Killed before the password file is rewritten, its old password finds the old state at the next
start; killed after it, the new password finds the new one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import structlog

from crypto_server.errors import KeystoreError
from crypto_server.keystore.folder_change import FolderChange, Side
from crypto_server.keystore.key_entry import KeyEntry
from crypto_server.keystore.password_files import PasswordFileError, file_says, replace_password
from crypto_server.keystore.private_files import read_plain, unusable

_SIDES: tuple[Side, Side] = ("after", "before")
_log = structlog.get_logger()


class PasswordChange:
    """One change of the password, by a process that has the folder alone."""

    def __init__(
        self,
        root: Path,
        password_file: Path | None,
        use_passwords: Callable[..., None],
        learn: Callable[[str, KeyEntry], None],
    ) -> None:
        """`use_passwords` tells readers in this process which ones open the files now.

        `learn` tells them what a file holds that was just written.
        """
        self._root = root
        self._password_file = password_file
        self._use = use_passwords
        self._learn = learn

    def run(self, entries: Mapping[str, KeyEntry], old: str, new: str) -> None:
        """Encrypt the files of `entries` (by ``<folder>/<file>``) with `new` instead of `old`.

        Raises `KeystoreError` when that cannot be; nothing is changed then.
        """
        try:
            before = {name: read_plain(self._root / name) for name in entries}
            after = {name: entry.to_pkcs12(new) for name, entry in entries.items()}
            if after and not _opens(next(iter(after.values())), new):
                raise KeystoreError("no keystore file can have this password")
            change = FolderChange.begin(self._root, before, after)
        except OSError as error:
            raise unusable(self._root, error) from None
        self._use(old, new)
        try:
            change.apply("after", lambda name: self._learn(name, entries[name]))
        except OSError as error:
            raise self._undo(change, old, error) from None
        self._rewrite_password_file(change, old, new)
        self._use(new)
        change.close()

    def _rewrite_password_file(self, change: FolderChange, old: str, new: str) -> None:
        """Put `new` into the file; where it does not come to hold it, undo the change."""
        if self._password_file is None:
            return
        try:
            replace_password(self._password_file, new)
        except PasswordFileError as error:
            if not file_says(self._password_file, new):
                raise self._undo(change, old, error) from None

    def _undo(
        self, change: FolderChange, old: str, error: OSError | PasswordFileError
    ) -> KeystoreError:
        """Go back to the old state; where the disk says no again, the next start does it."""
        try:
            change.apply("before")
            self._use(old)
            change.close()
        except OSError as again:
            _log.error("A change of the keystore password is to be undone", reason=str(again))
        if isinstance(error, OSError):
            return unusable(self._root, error)
        return KeystoreError(f"the keystore password was not changed: {error}")


def settle(root: Path, passwords: Sequence[str]) -> None:
    """Finish or undo the change that a killed process left in `root`: as the password opens it.

    Raises `OSError`, and `KeystoreError` when no password opens either state.
    """
    change = FolderChange.pending(root)
    if change is None:
        return
    if not any(change.files(side) for side in _SIDES):
        change.close()  # of a keystore without entries: any password opens both states
        return
    for password in passwords:
        for side in _SIDES:
            files = change.files(side)
            if any(_opens(data, password) for data in files.values()):
                change.apply(side)
                change.close()
                _log.warning("A change of the keystore that had been cut was settled", to=side)
                return
    raise KeystoreError(f"the keystore password opens no entry of the change left in {root}")


def _opens(data: bytes, password: str) -> bool:
    try:
        KeyEntry.from_pkcs12(data, password, name="an entry")
    except KeystoreError:
        return False
    return True

"""A change of many files of a folder, whole or not at all, whatever moment the process is killed.

Both states of the files, before and after, are put beside them first and stay until the change is
over. Whoever finds a change that was left chooses which of the two it shall be; being killed while
settling loses nothing, the next one settles again.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import structlog

from crypto_server.keystore.private_files import make_folder, read_plain, sync_folder, write_whole

_log = structlog.get_logger()
#: Which state: as it was before the change, or as it is after it.
Side = Literal["before", "after"]
Files = Mapping[str, bytes]
_SIDES: tuple[Side, Side] = ("before", "after")
_HALF_WRITTEN = re.compile(r"\..+\.p12\.[0-9a-f]{12}")
_UNFINISHED, _PENDING, _OVER = ".change.new", ".change", ".change.over"


class FolderChange:
    """A change of files ``<folder>/<file>`` below `root`; their paths are the keys of `Files`.

    A file of one side only is one that the change adds or removes. All methods raise `OSError`.
    """

    def __init__(self, root: Path) -> None:
        """Use what lies in `root`; by `begin` and `pending`."""
        self._root = root
        self._folder = root / _PENDING

    @classmethod
    def begin(cls, root: Path, before: Files, after: Files) -> FolderChange:
        """Put both states on disk; from here on the change is `pending`. No file is changed yet."""
        drop_remains(root)
        new = root / _UNFINISHED
        try:
            for side, files in zip(_SIDES, (before, after), strict=True):
                _write_all(new / side, files)
            sync_folder(new)
            new.rename(root / _PENDING)
            sync_folder(root)
        except OSError:
            with contextlib.suppress(OSError):
                (root / _PENDING).rename(root / _OVER)  # in one step: half a change is none
            shutil.rmtree(new, ignore_errors=True)
            shutil.rmtree(root / _OVER, ignore_errors=True)
            raise
        return cls(root)

    @classmethod
    def pending(cls, root: Path) -> FolderChange | None:
        """Return the change that a killed process left in `root`, if any."""
        return cls(root) if (root / _PENDING).is_dir() else None

    def files(self, side: Side) -> dict[str, bytes]:
        """Return the files of one state."""
        folder = self._folder / side
        return {
            str(path.relative_to(folder)): read_plain(path) for path in sorted(folder.glob("*/*"))
        }

    def apply(self, side: Side, written: Callable[[str], None] | None = None) -> None:
        """Make the files what they are on that side; the change stays pending.

        `written` is told the name of each file as soon as it is in place.
        """
        wanted = self.files(side)
        for name, data in wanted.items():
            path = self._root / name
            make_folder(path.parent)
            write_whole(path, data, sync=False)
            if written is not None:
                written(name)
        other = self.files("after" if side == "before" else "before")
        for name in other.keys() - wanted.keys():
            (self._root / name).unlink(missing_ok=True)
        for folder in {(self._root / name).parent for name in {*wanted, *other}}:
            with contextlib.suppress(FileNotFoundError):
                sync_folder(folder)
        sync_folder(self._root)

    def close(self) -> None:
        """End the change: what the files are now, they stay.

        What the disk does not take here is done by the next one who writes; never raises.
        """
        try:
            self._folder.rename(self._root / _OVER)
            sync_folder(self._root)
            drop_remains(self._root)
        except OSError as error:
            _log.warning("A change of the keystore is to be ended", reason=str(error))


def drop_remains(root: Path) -> None:
    """Remove what a killed process left: half-written files, a change not begun, one that is over.

    Only for one who keeps other writers away.
    """
    for name in (_UNFINISHED, _OVER):
        if (root / name).exists():
            shutil.rmtree(root / name)
    for file in root.glob("[!.]*/.*.p12.*"):
        if _HALF_WRITTEN.fullmatch(file.name):
            file.unlink(missing_ok=True)


def _write_all(folder: Path, files: Files) -> None:
    make_folder(folder.parent)
    make_folder(folder)
    for name, data in files.items():
        path = folder / name
        make_folder(path.parent)
        write_whole(path, data, sync=False)
    for inside in folder.iterdir():
        sync_folder(inside)
    sync_folder(folder)
    sync_folder(folder.parent)

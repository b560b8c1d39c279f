"""A disk that keeps nothing but what was synced: the worst that a power loss can leave.

Files are as at their last fsync (empty without one), folders list what they did at theirs. A rename
is atomic, as on every journaling file system: an entry is in one of its two folders. Power is cut
after each sync; nothing else changes what would be left.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest

from mcp_sim.recording.spool import durable

Tree: TypeAlias = "dict[str, Tree | bytes]"


@dataclass(frozen=True)
class _Entry:
    number: int
    is_folder: bool


class PowerLoss:
    """Watches what lies under `root`. `cuts` are the trees that power losses would have left."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self._root = root
        self._files: dict[int, bytes] = {}
        self._folders: dict[int, dict[str, _Entry]] = {}
        self._held: dict[int, int] = {}
        self._fsync = os.fsync
        self.cuts: list[Tree] = []
        patch.setattr(os, "fsync", self.fsync)
        patch.setattr(durable, "_syncfs", self._sync_all)
        self._note(root)

    def close(self) -> None:
        """Close what was held open, so that no number of a file was used twice."""
        for descriptor in self._held.values():
            os.close(descriptor)

    def fsync(self, descriptor: int) -> None:
        """As `os.fsync`."""
        self._fsync(descriptor)
        self._note(Path(f"/proc/self/fd/{descriptor}"))
        self._cut()

    def sync_file_system(self, _descriptor: int) -> None:
        """As `durable.sync_file_system`."""
        self._sync_all(_descriptor)

    def now(self) -> Tree:
        """What a power loss would leave now."""
        return self._tree(self._root.stat().st_ino)

    def _sync_all(self, _descriptor: int) -> int:
        for folder, _, files in os.walk(self._root):
            self._note(Path(folder))
            for name in files:
                self._note(Path(folder) / name)
        self._cut()
        return 0

    def _cut(self) -> None:
        tree = self.now()
        if not self.cuts or self.cuts[-1] != tree:
            self.cuts.append(tree)

    def _note(self, path: Path) -> None:
        number = self._hold(path)
        if not path.is_dir():
            self._files[number] = path.read_bytes()
            return
        entries = {}
        for inside in path.iterdir():
            entry = inside.stat()
            self._hold(inside)
            entries[inside.name] = _Entry(entry.st_ino, stat.S_ISDIR(entry.st_mode))
        moved = set(entries.values())
        for other, listed in self._folders.items():
            if other != number:
                self._folders[other] = {n: e for n, e in listed.items() if e not in moved}
        self._folders[number] = entries

    def _hold(self, path: Path) -> int:
        number = path.stat().st_ino
        if number not in self._held:
            self._held[number] = os.open(path, os.O_RDONLY)
        return number

    def _tree(self, number: int) -> Tree:
        return {
            name: self._tree(entry.number)
            if entry.is_folder
            else self._files.get(entry.number, b"")
            for name, entry in self._folders.get(number, {}).items()
        }


def put_down(tree: Tree, folder: Path) -> None:
    """Write a tree to the disk, for the next process to find."""
    folder.mkdir(mode=0o700)
    for name, content in tree.items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            put_down(content, folder / name)

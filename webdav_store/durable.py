"""Changes of the tree that are on the disk when they return, and of which nobody sees a half.

All calls block.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from webdav_store.upload import Upload, sync_folder

_FOLDER_MODE = 0o700
_PIECE = 1 << 20


def copy_file(source: Path, target: Path) -> None:
    """Copy a file to a name that appears, or changes, when the copy is whole."""
    upload = Upload(target)
    try:
        with source.open("rb", buffering=0) as file:
            while piece := file.read(_PIECE):
                upload.write([piece])
        upload.finish()
        upload.commit()
    finally:
        upload.close()


def create_empty_file(target: Path) -> None:
    """Make an empty file."""
    upload = Upload(target)
    try:
        upload.finish()
        upload.commit()
    finally:
        upload.close()


def rename(source: Path, target: Path) -> None:
    """Rename a file or folder, over an existing file too."""
    source.replace(target)
    sync_folder(target.parent)
    if source.parent != target.parent:
        sync_folder(source.parent)


def make_folder(folder: Path, *, exist_ok: bool = False) -> None:
    """Make a folder that only its owner may enter."""
    folder.mkdir(mode=_FOLDER_MODE, exist_ok=exist_ok)
    sync_folder(folder.parent)


def remove_file(file: Path) -> None:
    """Remove a file."""
    file.unlink()
    sync_folder(file.parent)


def remove_folder(folder: Path) -> None:
    """Remove a folder with all in it."""
    shutil.rmtree(folder)
    sync_folder(folder.parent)

"""A folder as WsgiDAV handles it; the collection itself always stays."""

from __future__ import annotations

import os
from pathlib import Path

from wsgidav import util
from wsgidav.dav_error import HTTP_FORBIDDEN, HTTP_PRECONDITION_FAILED, DAVError
from wsgidav.dav_provider import DAVCollection
from wsgidav.fs_dav_provider import FolderResource

from webdav_store.durable import create_empty_file, make_folder, remove_folder, rename
from webdav_store.resource import UPLOAD, Environ, as_dav_error, carry_properties
from webdav_store.stored_file import StoredFile
from webdav_store.upload import is_temporary


class StoredFolder(FolderResource):  # type: ignore[misc]  # WsgiDAV ships no types
    """A folder. Temporaries, links and special files are not members of it."""

    def __init__(self, path: str, environ: Environ, file_path: str, status: os.stat_result) -> None:
        DAVCollection.__init__(self, path, environ)
        self._file_path = file_path
        self.file_stat = status
        self.name = file_path.rpartition("/")[2]

    def get_member_names(self) -> list[str]:
        """Return the members' names, sorted."""
        with as_dav_error(), os.scandir(self._file_path) as entries:
            return sorted(entry.name for entry in entries if _is_member(entry))

    def get_member_list(self) -> list[StoredFile | StoredFolder]:
        """Return the members that are still there."""
        members = (self.get_member(name) for name in self.get_member_names())
        return [member for member in members if member is not None]

    def create_empty_resource(self, name: str) -> StoredFile:
        """Return the name that the request's upload gets; for LOCK, make an empty file."""
        if "HTTP_IF_MATCH" in self.environ:
            # WsgiDAV evaluates it only for what exists; RFC 9110 §13.1.1 says false for nothing.
            raise DAVError(HTTP_PRECONDITION_FAILED, "the file does not exist")
        path = util.join_uri(self.path, name)
        file_path = self.provider._loc_to_file_path(path)
        if self.environ.get(UPLOAD) is not None:
            return StoredFile(path, self.environ, file_path, None)
        with as_dav_error():
            create_empty_file(Path(file_path))
        created: StoredFile = self.provider.get_resource_inst(path, self.environ)
        return created

    def create_collection(self, name: str) -> None:
        """Make a folder."""
        path = Path(self.provider._loc_to_file_path(util.join_uri(self.path, name)))
        with as_dav_error():
            make_folder(path)

    def handle_delete(self) -> bool:
        """Refuse to remove the collection itself, before anything in it is removed."""
        self._refuse_root(self.path)
        return False

    def handle_copy(self, dest_path: str, *, depth_infinity: bool) -> bool:
        """Refuse to copy over the collection itself."""
        self._refuse_root(dest_path)
        return False

    def handle_move(self, dest_path: str) -> bool:
        """Refuse to move the collection itself, or anything over it."""
        self._refuse_root(dest_path)
        self._refuse_root(self.path)
        return False

    def delete(self) -> None:
        """Remove the folder with what is left in it."""
        self._refuse_root(self.path)
        with as_dav_error():
            remove_folder(Path(self._file_path))
        self.remove_all_properties(recursive=True)
        self.remove_all_locks(recursive=True)

    def copy_move_single(self, dest_path: str, *, is_move: bool) -> None:
        """Make the folder at its new place; WsgiDAV copies the members."""
        target = Path(self.provider._loc_to_file_path(dest_path))
        with as_dav_error():
            make_folder(target, exist_ok=True)
        carry_properties(self, dest_path, is_move=is_move)

    def move_recursive(self, dest_path: str) -> None:
        """Rename the folder."""
        with as_dav_error():
            rename(Path(self._file_path), Path(self.provider._loc_to_file_path(dest_path)))
        carry_properties(self, dest_path, is_move=True)
        self.remove_all_locks(recursive=True)

    @staticmethod
    def _refuse_root(path: str) -> None:
        if path.strip("/") == "":
            raise DAVError(HTTP_FORBIDDEN, "the collection itself stays")


def _is_member(entry: os.DirEntry[str]) -> bool:
    if is_temporary(entry.name) or not entry.name.isprintable():
        return False  # not printable: also what is not UTF-8, which no URL of ours could name
    return entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)

"""WsgiDAV's view of the root folder, under the store's law: a file is there whole or not at all.

A PUT's bytes have all arrived before WsgiDAV is asked (`webdav_store.reception`); here they only
get their name. A reader's file is opened once per request, so that its headers and its bytes are of
one file whatever is renamed meanwhile. COPY, MOVE, MKCOL and DELETE are durable when answered.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from wsgidav.dav_error import HTTP_FORBIDDEN, DAVError
from wsgidav.fs_dav_provider import FilesystemProvider

from webdav_store.errors import refusal_of
from webdav_store.opened_file import OpenedFile
from webdav_store.resource import OPENED, Environ
from webdav_store.stored_file import StoredFile
from webdav_store.stored_folder import StoredFolder
from webdav_store.upload import is_temporary

_ABSENT = (FileNotFoundError, NotADirectoryError)


class WholeFileProvider(FilesystemProvider):  # type: ignore[misc]  # WsgiDAV ships no types
    """Serves the files and folders below `root`; no links, no temporaries, nothing outside."""

    def __init__(self, root: Path) -> None:
        super().__init__(str(root), fs_opts={"follow_symlinks": False})

    def get_resource_inst(
        self, path: str | None, environ: Environ
    ) -> StoredFile | StoredFolder | None:
        """Return what lies at `path` (relative to the collection), None for nothing.

        Raises `DAVError` (403) for links, special files and reserved names.
        """
        if path is None:  # how WsgiDAV names the parent of the collection itself
            return None
        file_path = self._loc_to_file_path(path, environ)
        opened: OpenedFile | None = environ.get(OPENED)
        if path != environ["PATH_INFO"]:
            opened = None
        try:
            status = opened.open(file_path) if opened else os.lstat(file_path)
        except _ABSENT:
            return None
        except OSError as error:
            refused = refusal_of(error)
            raise DAVError(refused.status, refused.sentence) from error
        if stat.S_ISDIR(status.st_mode):
            return StoredFolder(path, environ, file_path, status)
        if stat.S_ISREG(status.st_mode):
            return StoredFile(path, environ, file_path, status, opened)
        raise DAVError(HTTP_FORBIDDEN, "links and special files are not served")

    def _loc_to_file_path(self, path: str, environ: Environ | None = None) -> str:
        """Return the file path of `path`; the folders on the way must not be links."""
        names = [name for name in path.split("/") if name]
        if any(is_temporary(name) for name in names):
            raise DAVError(HTTP_FORBIDDEN, "the name is reserved for uploads under way")
        if any(name in (".", "..") or "\0" in name for name in names):
            raise DAVError(HTTP_FORBIDDEN, "the path leaves the collection")
        file_path = str(self.root_folder_path)
        for name in names[:-1]:
            file_path = f"{file_path}/{name}"
            if os.path.islink(file_path):  # noqa: PTH114 - called for every folder of every path
                raise DAVError(HTTP_FORBIDDEN, "links are not followed")
        return f"{file_path}/{names[-1]}" if names else file_path

"""A file as WsgiDAV handles it: read from one descriptor, changed in one step, durable."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from wsgidav.dav_error import HTTP_FORBIDDEN, DAVError
from wsgidav.dav_provider import DAVNonCollection
from wsgidav.fs_dav_provider import FileResource

from webdav_store.digests import digest_of_file, format_digest, wanted_algorithm
from webdav_store.durable import copy_file, remove_file, rename
from webdav_store.opened_file import OpenedFile
from webdav_store.resource import UPLOAD, Environ, as_dav_error, carry_properties
from webdav_store.upload import Upload


class StoredFile(FileResource):  # type: ignore[misc]  # WsgiDAV ships no types
    """A file. Without `status` it is a name that the request's upload is about to get."""

    def __init__(
        self,
        path: str,
        environ: Environ,
        file_path: str,
        status: os.stat_result | None,
        opened: OpenedFile | None = None,
    ) -> None:
        DAVNonCollection.__init__(self, path, environ)
        self._file_path = file_path
        self._opened = opened
        self.file_stat: os.stat_result | None = status
        self.name = file_path.rpartition("/")[2]

    def get_etag(self) -> str:
        """Return a strong tag: it changes with each upload, also within one second."""
        status = self.file_stat or os.lstat(self._file_path)
        return f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"

    def get_content(self) -> IO[bytes]:
        """Return the file that the headers were made from."""
        if self._opened is None:
            raise DAVError(HTTP_FORBIDDEN, "the file was not asked for")
        return open(self._opened.descriptor, "rb", buffering=0, closefd=False)

    def finalize_headers(self, environ: Environ, response_headers: list[tuple[str, str]]) -> None:
        """Add ``Repr-Digest`` when it is wanted, computed from the disk (RFC 9530 §3)."""
        response_headers.append(("X-Content-Type-Options", "nosniff"))
        # What is stored is data: a page among it must not run in the browser of who reads it.
        response_headers.append(("Content-Security-Policy", "sandbox"))
        algorithm = wanted_algorithm(environ.get("HTTP_WANT_REPR_DIGEST"))
        if algorithm is not None and self._opened is not None:
            digest = digest_of_file(self._opened.descriptor, algorithm)
            response_headers.append(("Repr-Digest", format_digest(algorithm, digest)))

    def begin_write(self, *, content_type: str | None = None) -> _Received:
        """Accept the body, which has arrived already."""
        return _Received()

    def end_write(self, *, with_errors: bool) -> None:
        """Give the upload its name."""
        upload: Upload = self.environ[UPLOAD]
        if not with_errors:
            with as_dav_error():
                upload.commit()
                self.file_stat = os.lstat(self._file_path)

    def delete(self) -> None:
        """Remove the file, its properties and its locks."""
        with as_dav_error():
            remove_file(Path(self._file_path))
        self.remove_all_properties(recursive=True)
        self.remove_all_locks(recursive=True)

    def handle_copy(self, dest_path: str, *, depth_infinity: bool) -> bool:
        """Copy over an existing file in one step; leave everything else to WsgiDAV."""
        return self._replace(dest_path, is_move=False)

    def handle_move(self, dest_path: str) -> bool:
        """Move over an existing file in one step; leave everything else to WsgiDAV."""
        return self._replace(dest_path, is_move=True)

    def copy_move_single(self, dest_path: str, *, is_move: bool) -> None:
        """Copy the file to a name that appears when the copy is whole."""
        with as_dav_error():
            copy_file(Path(self._file_path), Path(self.provider._loc_to_file_path(dest_path)))
        carry_properties(self, dest_path, is_move=is_move)

    def move_recursive(self, dest_path: str) -> None:
        """Rename the file."""
        with as_dav_error():
            rename(Path(self._file_path), Path(self.provider._loc_to_file_path(dest_path)))
        carry_properties(self, dest_path, is_move=True)
        self.remove_all_locks(recursive=True)

    def _replace(self, dest_path: str, *, is_move: bool) -> bool:
        target = self.provider.get_resource_inst(dest_path, self.environ)
        if not isinstance(target, StoredFile):
            return False
        target.remove_all_properties(recursive=True)
        if is_move:
            self.move_recursive(dest_path)
        else:
            self.copy_move_single(dest_path, is_move=False)
        return True


class _Received:
    """What WsgiDAV writes a body to; the body has been written by the upload already."""

    def writelines(self, blocks: Iterable[bytes]) -> None:
        for _ in blocks:
            raise DAVError(500, "a body arrived twice")

    def close(self) -> None:
        pass

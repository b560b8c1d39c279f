"""WsgiDAV as one blocking call: a request's facts in, an answer out."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from wsgidav.dav_error import DAVError
from wsgidav.dir_browser import WsgiDavDirBrowser
from wsgidav.request_resolver import RequestResolver
from wsgidav.wsgidav_app import WsgiDAVApp

from webdav_store.bounds import BoundedLocks, BoundedProperties
from webdav_store.errors import Refused
from webdav_store.exchange import Answer, DavRequest, Headers
from webdav_store.opened_file import OpenedFile
from webdav_store.outcome import failure_answer, plain_answer
from webdav_store.provider import WholeFileProvider
from webdav_store.resource import OPENED, UPLOAD, Environ
from webdav_store.stored_folder import StoredFolder
from webdav_store.upload import Upload

# One read and one hand-over of the interpreter's lock per block: WsgiDAV's 8 KiB make most of a
# large file's time hand-overs.
BLOCK = 256 * 1024


class Dav:
    """The collection below `root`, served as ``/<collection>``."""

    def __init__(self, root: Path, collection: str, *, locks: int, properties: int) -> None:
        # Its records repeat what becomes an answer here; unexpected errors are logged by `answer`.
        logging.getLogger("wsgidav").setLevel(logging.CRITICAL)
        self._provider = WholeFileProvider(root)
        self._prefix = f"/{collection}"
        self._app = WsgiDAVApp(
            {
                "provider_mapping": {self._prefix: self._provider},
                "middleware_stack": [Listing, RequestResolver],
                "lock_storage": BoundedLocks(locks),
                "property_manager": BoundedProperties(properties),
                "block_size": BLOCK,
                "add_header_MS_Author_Via": False,
                "logging": {"enable": False},
                "verbose": 1,
                "dir_browser": {
                    "directory_slash": False,
                    "response_trailer": False,
                    "davmount": False,
                    "ms_sharepoint_support": False,
                    "libre_office_support": False,
                },
            }
        )

    def file_path(self, path: str) -> Path:
        """Return where an upload to the decoded URL `path` goes. Raises `Refused`."""
        local = path.removeprefix(self._prefix)
        if not local.strip("/"):
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "the collection itself is not a file")
        try:
            return Path(self._provider._loc_to_file_path(local))
        except DAVError as error:
            raise Refused(error.value, str(error.context_info)) from error

    def answer(self, request: DavRequest, upload: Upload | None = None) -> Answer:
        """Let WsgiDAV answer; what it raises becomes an answer too."""
        opened = OpenedFile() if request.method in ("GET", "HEAD") else None
        started = _Started()
        try:
            blocks = iter(self._app(_environ(request, upload, opened), started))
            first = next(blocks, b"")
            return plain_answer(Answer(started.status, started.headers, first, blocks, opened))
        except Exception as error:  # noqa: BLE001 - the boundary to a library; nothing may pass it
            if opened is not None:
                opened.close()
            return failure_answer(request, error)

    def store(self, request: DavRequest, upload: Upload, rest: Sequence[bytes]) -> Answer:
        """Write the last of an upload, make it durable, and let WsgiDAV give it its name."""
        try:
            upload.write(rest)
            upload.finish()
            return self.answer(request, upload)
        finally:
            upload.close()


class Listing(WsgiDavDirBrowser):  # type: ignore[misc]  # WsgiDAV ships no types
    """The browsing page; its own redirect to the trailing slash would lose the collection."""

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Any:
        """Answer GET and HEAD on folders, pass everything else on (WSGI)."""
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] in ("GET", "HEAD") and not path.endswith("/"):
            provider = environ["wsgidav.provider"]
            if provider and isinstance(provider.get_resource_inst(path, environ), StoredFolder):
                location = quote(environ["SCRIPT_NAME"] + path) + "/"
                start_response(
                    "301 Moved Permanently", [("Location", location), ("Content-Length", "0")]
                )
                return [b""]
        return super().__call__(environ, start_response)


class _Started:
    """WSGI's ``start_response`` that keeps what it was told."""

    def __init__(self) -> None:
        self.status = HTTPStatus.INTERNAL_SERVER_ERROR.value
        self.headers: Headers = []

    def __call__(self, status: str, headers: Headers, exc_info: object = None) -> None:
        self.status = int(status[:3])
        self.headers = headers


def _environ(request: DavRequest, upload: Upload | None, opened: OpenedFile | None) -> Environ:
    """Return the WSGI environment (PEP 3333), with what WsgiDAV's own sign-in would add."""
    environ = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": request.path.encode().decode("latin-1"),
        "QUERY_STRING": request.query,
        "CONTENT_LENGTH": str(len(request.body)),
        "SERVER_NAME": request.host,
        "SERVER_PORT": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": request.host,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": request.scheme,
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgidav.auth.realm": "recordings",
        "wsgidav.auth.user_name": request.account,
        "wsgidav.auth.roles": tuple(request.roles),
        "wsgidav.auth.permissions": (),
        UPLOAD: upload,
        OPENED: opened,
    }
    for name, value in request.headers.items():
        environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
    return environ

"""Something that listens where a crypto server could, plays one sound, and keeps what was asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import NamedTuple

SOUND = b"decoy"


class Decoy(NamedTuple):
    """Its URL without ``/rcs``, and the paths that were asked for."""

    rcs_uri: str
    asked: list[str]


@contextmanager
def decoy_up() -> Iterator[Decoy]:
    """Listen on a free port meanwhile."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "audio/wav")
            self.send_header("Content-Length", str(len(SOUND)))
            self.end_headers()
            self.wfile.write(SOUND)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            """Say nothing on standard error."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Decoy(f"http://127.0.0.1:{server.server_address[1]}", asked)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

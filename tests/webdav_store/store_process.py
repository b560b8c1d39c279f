"""A store in a process of its own, and the two ways the tests talk to it: HTTP and raw bytes."""

from __future__ import annotations

import base64
import http.client
import json
import os
import selectors
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from service_shell.accounts import hash_password

PASSWORD = "correct horse"
ROLES = ("mcp", "operator", "admin", "processor", "listener")
_HASH = hash_password(PASSWORD)
_PATIENCE = 30.0


class Reply(NamedTuple):
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def basic(account: str, password: str = PASSWORD) -> str:
    """Return a Basic Authorization value."""
    return "Basic " + base64.b64encode(f"{account}:{password}".encode()).decode()


def settings_text(
    root: Path, *, listen: str = "127.0.0.1:0", first: str = "", more: str = ""
) -> str:
    """Return a settings file with one account per role; `first` goes above, `more` below."""
    accounts = "".join(
        f'[[accounts]]\nname = "{role}"\nroles = ["{role}"]\npassword_hash = "{_HASH}"\n'
        for role in ROLES
    )
    return f'{first}\nlisten = "{listen}"\nroot = "{root}"\n{accounts}{more}\n'


class StoreProcess:
    """``python -m webdav_store``; it ends with this process, because it reads its pipe."""

    def __init__(
        self,
        folder: Path,
        *,
        root: Path | None = None,
        listen: str = "127.0.0.1:0",
        first: str = "",
        more: str = "",
        wrapper: Sequence[str] = (),
        pass_fds: Sequence[int] = (),
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.root = root or folder / "root"
        self.log = folder / "store.log"
        config = folder / "store.toml"
        config.write_text(
            settings_text(self.root, listen=listen, first=first, more=more), encoding="utf-8"
        )
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*wrapper, sys.executable, "-m", "webdav_store", "--config", str(config)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "RECLAB_PARENT_PIPE": "stdin"},
                pass_fds=pass_fds,
            )
        self.port = 0

    def __enter__(self) -> Self:
        try:
            self.port = int(self.ready_url().rpartition(":")[2].partition("/")[0])
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def ready_url(self) -> str:
        """Wait for the ready line and return its URL."""
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            assert selector.select(_PATIENCE), "the store did not say that it is ready"
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        url: str = json.loads(line)["ready"]["store"]
        return url

    def stop(self) -> int:
        """End the store, by force when it does not end by itself; return its exit code."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            return self.process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            self.process.stdout.close()

    def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        account: str | None = "mcp",
    ) -> Reply:
        """Send one request on a connection of its own. `path` is below the collection."""
        sent = dict(headers or {})
        if account is not None:
            sent.setdefault("Authorization", basic(account))
        target = path if path.startswith("/") else f"/recordings/{path}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE)
        try:
            connection.request(method, target, body or None, sent)
            response = connection.getresponse()
            return Reply(response.status, _lowered(response.getheaders()), response.read())
        finally:
            connection.close()

    def put(self, path: str, body: bytes, **headers: str) -> Reply:
        """PUT as the account `mcp`; underscores in header names stand for hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("PUT", path, body, {"Content-Length": str(len(body)), **named})

    def get(self, path: str, **headers: str) -> Reply:
        """GET as the account `operator`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("GET", path, headers=named, account="operator")

    def connect(self) -> socket.socket:
        """Return a connected socket with a time-out."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=_PATIENCE)

    def head_of_put(self, path: str, *fields: str, length: int | None = None) -> bytes:
        """Return the head of a PUT request, as bytes to send by hand."""
        lines = [
            f"PUT /recordings/{path} HTTP/1.1",
            "Host: store",
            f"Authorization: {basic('mcp')}",
            *fields,
        ]
        if length is not None:
            lines.append(f"Content-Length: {length}")
        return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")

    def raw(self, request: bytes) -> bytes:
        """Send `request`, say that nothing follows, and return all that comes back."""
        with self.connect() as sock:
            sock.sendall(request)
            sock.shutdown(socket.SHUT_WR)
            return received(sock)

    def temporaries(self) -> list[Path]:
        """Return the uploads' temporaries that lie on the disk now."""
        return [path for path in self.root.rglob(".reclab-upload-*") if path.exists()]

    def metric(self, name: str) -> float:
        """Return the sum of a metric's samples."""
        text = self.request("GET", "/-/metrics", account=None).body.decode()
        lines = [line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
        return sum(float(line.rpartition(" ")[2]) for line in lines)


def received(sock: socket.socket) -> bytes:
    """Return everything up to the end of the connection, also when it is reset."""
    parts: list[bytes] = []
    try:
        while part := sock.recv(1 << 16):
            parts.append(part)
    except ConnectionError:
        pass
    return b"".join(parts)


def status_of(answer: bytes) -> int:
    """Return the status of a raw answer, 0 for none."""
    return int(answer.split(None, 2)[1]) if answer.startswith(b"HTTP/1.") else 0


def read_head(sock: socket.socket) -> bytes:
    """Return one answer up to the empty line after its head, or a little more."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = sock.recv(1 << 16)
        if not part:
            break
        data += part
    return data


def read_answer(sock: socket.socket) -> bytes:
    """Return one answer's head and body from a connection that stays open (not for HEAD)."""
    head, _, body = read_head(sock).partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        part = sock.recv(1 << 16)
        if not part:
            break
        body += part
    return head + b"\r\n\r\n" + body


def _lowered(headers: Sequence[tuple[str, str]]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}

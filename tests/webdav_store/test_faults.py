"""The store broken on purpose: what each fault does to real clients of the real process."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service_shell.accounts import hash_password
from tests.webdav_store.conftest import StartStore, until
from tests.webdav_store.store_process import (
    PASSWORD,
    ROLES,
    Reply,
    StoreProcess,
    basic,
    read_head,
    status_of,
)

PATH = "/-/faults"
CONTENT = bytes(range(200)) * 5000
OLD = b"what was there before"
ENABLED = (
    f'[[accounts]]\nname = "faults"\nroles = ["faults"]\n'
    f'password_hash = "{hash_password(PASSWORD)}"\n[faults]\nenabled = true\n'
)


@pytest.fixture(scope="module")
def breakable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreProcess]:
    """A store that may be broken, with one file in it."""
    with StoreProcess(tmp_path_factory.mktemp("breakable"), more=ENABLED) as process:
        assert process.put("file.bin", CONTENT).status == 201
        yield process
        assert "Traceback" not in process.log.read_text()


@pytest.fixture
def store(breakable: StoreProcess) -> Iterator[StoreProcess]:
    """The same, and healed after the test."""
    yield breakable
    assert ask(breakable, "DELETE").status == 200


def ask(store: StoreProcess, method: str, body: object = None, account: str = "faults") -> Reply:
    """Ask the faults' API."""
    sent = b"" if body is None else json.dumps(body).encode()
    return store.request(method, PATH, sent, account=account)


def put_fault(store: StoreProcess, kind: str, **fields: Any) -> None:
    """Put one fault in force."""
    fault = {"on": "store", "kind": kind, "name": "it", **fields}
    assert ask(store, "PUT", {"seed": 1, "faults": [fault]}).status == 200


def struck(store: StoreProcess) -> int:
    """Return how often the fault struck."""
    count: int = json.loads(ask(store, "GET").body)["counts"]["it"]["struck"]
    return count


def all_of(sock: socket.socket) -> tuple[bytes, bool]:
    """Return what comes until the end of the connection, and whether it was reset."""
    received = b""
    try:
        while part := sock.recv(1 << 16):
            received += part
    except ConnectionResetError:
        return received, True
    return received, False


def exchange(store: StoreProcess, head: bytes, body: bytes = b"") -> tuple[bytes, bool]:
    """Send a request; a reset may come while it is being sent."""
    with store.connect() as sock:
        try:
            sock.sendall(head + body)
        except (ConnectionResetError, BrokenPipeError):
            return b"", True
        return all_of(sock)


def get_head(path: str = "file.bin", method: str = "GET", *fields: str) -> bytes:
    """Return a request of the operator, after which the connection ends."""
    lines = [
        f"{method} /recordings/{path} HTTP/1.1",
        "Host: store",
        f"Authorization: {basic('operator')}",
        "Connection: close",
        *fields,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize(
    ("kind", "fields", "method", "status"),
    [
        ("status", {"status": 423}, "GET", 423),
        ("status", {"status": 411}, "PUT", 411),
        ("full", {}, "PUT", 507),
        ("full", {}, "MKCOL", 507),
        ("full", {}, "GET", 200),
        ("full", {}, "PROPFIND", 207),
        ("auth", {}, "GET", 401),
        ("auth", {}, "PUT", 401),
        ("latency", {"seconds": 0.1}, "GET", 200),
        ("latency", {"seconds": 0.1}, "HEAD", 200),
    ],
)
def test_what_is_answered(
    store: StoreProcess, kind: str, fields: dict[str, Any], method: str, status: int
) -> None:
    """Each refusal has its status, and what a fault does not concern goes on."""
    put_fault(store, kind, **fields)
    body = b"x" if method == "PUT" else b""
    reply = store.request(method, "file.bin", body, {"Depth": "0"})
    assert reply.status == status
    if kind == "auth":
        assert reply.headers["www-authenticate"] == 'Basic realm="recordings", charset="UTF-8"'
    assert store.request("GET", "/-/readyz", account=None).status == 200
    ask(store, "DELETE")
    assert store.get("file.bin").body == CONTENT


def test_a_download_is_cut(store: StoreProcess) -> None:
    """A reader gets exactly so many bytes, then a reset; HEAD and 304 have nothing to be cut."""
    put_fault(store, "cut", after_bytes=300_001)
    received, was_reset = exchange(store, get_head())
    assert received.partition(b"\r\n\r\n")[2] == CONTENT[:300_001]
    assert was_reset
    assert store.request("HEAD", "file.bin").headers["content-length"] == str(len(CONTENT))
    etag = store.request("HEAD", "file.bin").headers["etag"]
    assert store.get("file.bin", If_None_Match=etag).status == 304
    part = store.get("file.bin", Range="bytes=5-9")
    assert (part.status, part.body) == (206, CONTENT[5:10])


@pytest.mark.parametrize("fields", [(), ("Expect: 100-continue",)])
@pytest.mark.parametrize("after", [0, 1, 262_144, len(CONTENT) - 1])
def test_a_cut_upload_changes_nothing(
    store: StoreProcess, after: int, fields: tuple[str, ...]
) -> None:
    """The old file stays whole, a new name is not there, and no temporary is left."""
    store.put("kept.bin", OLD)
    put_fault(store, "cut", after_bytes=after, match="PUT /*")
    for name in ("kept.bin", "new.bin"):
        head = store.head_of_put(name, *fields, length=len(CONTENT))
        _, was_reset = exchange(store, head, CONTENT)
        assert was_reset
    until(lambda: not store.temporaries(), "a temporary was left behind")
    assert store.get("kept.bin").body == OLD
    assert store.get("new.bin").status == 404


def test_a_cut_upload_without_a_length_changes_nothing(store: StoreProcess) -> None:
    """Nor does a chunked upload that is cut."""
    put_fault(store, "cut", after_bytes=1000, match="PUT /*")
    chunk = b"%x\r\n%s\r\n" % (len(CONTENT), CONTENT)
    head = store.head_of_put("chunked.bin", "Transfer-Encoding: chunked")
    assert exchange(store, head, chunk + b"0\r\n\r\n")[1]
    until(lambda: not store.temporaries(), "a temporary was left behind")
    assert store.get("chunked.bin").status == 404


@pytest.mark.parametrize(("by", "comes"), [(-100, len(CONTENT)), (100, len(CONTENT))])
def test_a_length_is_wrong(store: StoreProcess, by: int, comes: int) -> None:
    """A reader is told another length than comes, and the connection ends after it."""
    put_fault(store, "length", by_bytes=by)
    received, was_reset = exchange(store, get_head().replace(b"Connection: close\r\n", b""))
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"content-length: %d\r\n" % (len(CONTENT) + by) in head.lower() + b"\r\n"
    assert (len(body), was_reset) == (comes, False)


def test_a_slow_network_is_slow_in_both_directions(store: StoreProcess) -> None:
    """An upload and a download take what their bytes need, arrive whole, and hold up nobody."""
    put_fault(store, "bandwidth", bytes_per_second=2_000_000, match="* /recordings/*.bin")
    began = time.monotonic()
    assert store.put("slow.bin", CONTENT).status == 201
    assert store.get("slow.bin").body == CONTENT
    assert time.monotonic() - began >= 2 * (len(CONTENT) / 2_000_000 - 0.1)
    assert struck(store) == 2


def test_a_dead_store_resets(store: StoreProcess) -> None:
    """Nothing is answered, whatever is asked and however."""
    put_fault(store, "down")
    head = store.head_of_put("x.bin", "Expect: 100-continue", length=5)
    assert exchange(store, head) == (b"", True)
    assert exchange(store, get_head()) == (b"", True)
    assert exchange(store, get_head(method="PROPFIND")) == (b"", True)


def test_delete_heals_a_stalled_upload(store: StoreProcess) -> None:
    """An upload that waits for 100 Continue from a stalled store goes on after DELETE."""
    put_fault(store, "stall", seconds=3600)
    head = store.head_of_put(
        "stalled.bin", "Expect: 100-continue", "Connection: close", length=len(CONTENT)
    )
    with store.connect() as sock:
        sock.sendall(head)
        until(lambda: struck(store) == 1, "the request was not struck")
        ask(store, "DELETE")
        assert read_head(sock).startswith(b"HTTP/1.1 100")
        sock.sendall(CONTENT)
        assert status_of(all_of(sock)[0]) == 201
    assert store.get("stalled.bin").body == CONTENT


@pytest.mark.parametrize("role", [*ROLES, "faults"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE"])
def test_only_the_role_may_break_it(store: StoreProcess, role: str, method: str) -> None:
    """The role `faults` may, and nothing else; nobody else may, and strangers get 401."""
    bodies = {
        "PUT": {"faults": []},
        "POST": {"on": "store", "kind": "down", "match": "* /never"},
    }
    reply = ask(store, method, bodies.get(method), account=role)
    assert reply.status == (200 if role == "faults" else 403)
    assert store.request(method, PATH, account=None).status == 401
    assert store.get("file.bin").status == 200
    assert store.request("GET", "file.bin", account="faults").status == 403


def test_it_is_not_there_unless_enabled(start_store: StartStore) -> None:
    """Without the setting there is no such path, for whoever may read or write here."""
    store = start_store(more=ENABLED.replace("enabled = true", "enabled = false"))
    for method in ("GET", "PUT", "DELETE"):
        assert ask(store, method, account="mcp").status == 404
    assert ask(store, "GET", account="admin").status == 404
    assert "FAULTS" not in store.log.read_text()
    assert "faults" not in store.request("GET", "/-/metrics", account=None).body.decode()


def test_a_plan_may_be_in_force_from_the_start(start_store: StartStore, tmp_path: Path) -> None:
    """The settings' file is in force before the first request, and the log says so loudly."""
    plan = tmp_path / "plan.toml"
    plan.write_text('[[faults]]\non = "store"\nkind = "status"\nstatus = 500\ntimes = 1\n')
    store = start_store(more=f'{ENABLED}file = "{plan}"\n')
    assert [store.get("none.bin").status for _ in range(2)] == [500, 404]
    assert "FAULTS ON PURPOSE ARE ENABLED" in store.log.read_text()
    assert store.metric("reclab_store_faults_struck_total") == 1
    assert store.metric("reclab_store_fault_plan_in_force") == 1


def test_the_end_waits_for_no_fault(start_store: StartStore) -> None:
    """A store that is told to end answers what stalls, and ends in time and well."""
    store = start_store(more=ENABLED)
    put_fault(store, "stall", seconds=3600)
    with store.connect() as sock:
        sock.sendall(get_head())
        until(lambda: struck(store) == 1, "the request was not struck")
        assert store.stop() == 0
        assert status_of(all_of(sock)[0]) == 404
    assert "Traceback" not in store.log.read_text()

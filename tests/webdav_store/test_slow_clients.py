"""Clients that stall hold up nobody, and not for ever."""

from __future__ import annotations

import socket
from contextlib import ExitStack, suppress
from pathlib import Path

from tests.webdav_store.conftest import StartStore, until
from tests.webdav_store.store_process import StoreProcess, read_answer, received, status_of

LARGE = 1_000_000


def open_uploads(store: StoreProcess, stack: ExitStack, count: int) -> list[socket.socket]:
    """Begin `count` uploads; half of them small, half with a part on the disk; none goes on."""
    sockets = []
    for number in range(count):
        sock = stack.enter_context(store.connect())
        sent = b"x" * (10 if number % 2 else LARGE // 2)
        sock.sendall(store.head_of_put(f"stalled-{number}.bin", length=LARGE) + sent)
        sockets.append(sock)
    until(lambda: store.metric("reclab_store_uploads_in_progress") == count, "not all began")
    return sockets


def test_half_open_uploads_do_not_hold_up_readers(store: StoreProcess) -> None:
    """With 60 of them, reading, storing and listing go on; a store out of threads never would."""
    store.put("read.bin", b"x" * LARGE)
    with ExitStack() as stack:
        open_uploads(store, stack, 60)
        assert store.get("read.bin").body == b"x" * LARGE
        assert store.put("written.bin", b"y").status == 201
        assert store.request("PROPFIND", "", headers={"Depth": "1"}).status == 207
    until(lambda: store.metric("reclab_store_uploads_in_progress") == 0, "they never ended")
    assert store.temporaries() == []


def test_stalled_readers_do_not_hold_up_others(store: StoreProcess) -> None:
    """With 40 who take nothing of a large file, others read it."""
    body = b"r" * 20_000_000
    store.put("slow.bin", body)
    request = store.head_of_put("slow.bin").replace(b"PUT", b"GET", 1)
    with ExitStack() as stack:
        for _ in range(40):
            sock = stack.enter_context(store.connect())
            sock.sendall(request)
            sock.recv(1000)
        assert store.get("slow.bin").body == body


def test_a_stalled_upload_ends(start_store: StartStore) -> None:
    """It answers 408, its temporary goes, and the cut is counted."""
    store = start_store(more="[limits]\nidle_seconds = 0.3")
    with store.connect() as sock:
        sock.sendall(store.head_of_put("stalled.bin", length=LARGE) + b"x" * (LARGE // 2))
        assert status_of(received(sock)) == 408
    assert store.temporaries() == []
    assert store.get("stalled.bin").status == 404
    assert store.metric("reclab_store_cut_uploads_total") == 1


def test_a_stalled_reader_is_cut_off(start_store: StartStore) -> None:
    """Its connection ends and is counted, and its file is closed."""
    store = start_store(more="[limits]\nidle_seconds = 0.3")
    store.put("long.bin", b"x" * 50_000_000)
    with store.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(store.head_of_put("long.bin").replace(b"PUT", b"GET", 1))
        until(lambda: store.metric("reclab_store_cut_downloads_total") == 1, "it never ended")
    folder = f"/proc/{store.process.pid}/fd"
    assert not any("long.bin" in target for target in links_in(folder))


def links_in(folder: str) -> list[str]:
    """Return what a process has open."""
    targets = []
    for link in Path(folder).iterdir():
        with suppress(OSError):
            targets.append(str(link.readlink()))
    return targets


def test_uploads_are_bounded(start_store: StartStore) -> None:
    """One more than the limit answers 503 and when to come again; then there is room again."""
    store = start_store(more="[limits]\nuploads = 2")
    with ExitStack() as stack:
        first, _ = open_uploads(store, stack, 2)
        reply = store.put("third.bin", b"x")
        assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        first.sendall(b"x" * (LARGE - LARGE // 2))
        assert status_of(read_answer(first)) == 201
        assert store.put("third.bin", b"x").status == 201


def test_a_body_over_the_limit_is_refused(start_store: StartStore) -> None:
    """By its declared length at once, and a chunked one as soon as it is too long."""
    store = start_store(more="[limits]\nbody_bytes = 1000")
    assert store.put("limit.bin", b"x" * 1000).status == 201
    with store.connect() as sock:
        sock.sendall(store.head_of_put("limit.bin", "Expect: 100-continue", length=1001))
        assert status_of(read_answer(sock)) == 413
    with store.connect() as sock:
        head = store.head_of_put("limit.bin", "Transfer-Encoding: chunked")
        sock.sendall(head + b"3e9\r\n" + b"y" * 1001)
        assert status_of(read_answer(sock)) == 413
    assert store.get("limit.bin").body == b"x" * 1000

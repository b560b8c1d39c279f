"""A disk that fills up in the middle of an upload: a small file system of its own."""

from __future__ import annotations

import select
import socket
from pathlib import Path

from tests.small_disk import small_disk
from tests.webdav_store.conftest import StartStore, until
from tests.webdav_store.store_process import read_answer, status_of

SIZE = 4 * 1024 * 1024


def test_a_full_disk_answers_507_and_keeps_the_old_file(
    start_store: StartStore, tmp_path: Path
) -> None:
    """Known beforehand or found out on the way: 507, the old file stays, space comes back."""
    root = tmp_path / "small"
    store = start_store(
        root=root, wrapper=small_disk(root, SIZE), more="[limits]\nreserved_bytes = 0"
    )
    store.put("old.bin", b"o" * (SIZE // 4))
    declared = store.put("old.bin", b"n" * (2 * SIZE))
    assert (declared.status, declared.headers["content-type"]) == (507, "text/plain; charset=utf-8")
    with store.connect() as sock:
        head = store.head_of_put("old.bin", "Transfer-Encoding: chunked")
        sock.sendall(head + f"{2 * SIZE:x}\r\n".encode())
        sent = send_until_answered(sock, 2 * SIZE)
        assert sent > 0
        assert status_of(read_answer(sock)) == 507
    assert store.get("old.bin").body == b"o" * (SIZE // 4)
    until(lambda: store.metric("reclab_store_uploads_in_progress") == 0, "it never ended")
    assert store.put("new.bin", b"n" * (SIZE // 2)).status == 201


def send_until_answered(sock: socket.socket, most: int) -> int:
    """Send up to `most` bytes, and stop when an answer comes."""
    sent = 0
    while sent < most:
        readable, writable, _ = select.select([sock], [sock], [], 30)
        assert readable or writable
        if readable:
            break
        sent += sock.send(b"n" * 65536)
    return sent

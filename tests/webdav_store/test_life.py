"""How the store starts, what it says, how it ends, and what a crash leaves."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.webdav_store.conftest import StartStore, until
from tests.webdav_store.store_process import (
    PASSWORD,
    StoreProcess,
    basic,
    read_answer,
    settings_text,
    status_of,
)

LARGE = 1_000_000


def refused_start(tmp_path: Path, text: str, *more: str) -> str:
    """Start a store that cannot start; check exit code and silence, return its one sentence."""
    config = tmp_path / "refused.toml"
    config.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "webdav_store", "--config", str(config), *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_the_ready_line_tells_the_collection(store: StoreProcess) -> None:
    """It is the URL without a trailing slash, and it answers."""
    reply = store.request("OPTIONS", "/recordings")
    assert reply.status == 200
    assert reply.headers["dav"] == "1,2"
    assert store.request("GET", "/-/readyz", account=None).body == b"ready\n"


def test_another_collection_name_can_be_set(tmp_path: Path) -> None:
    """The URL says it."""
    config = tmp_path / "store.toml"
    config.write_text(settings_text(tmp_path / "root", first='collection = "calls"'))
    command = [sys.executable, "-m", "webdav_store", "--config", str(config)]
    environ = {**os.environ, "RECLAB_PARENT_PIPE": "stdin"}
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environ,
    ) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["ready"]["store"]
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/calls", url)
        process.terminate()
        assert process.wait(30) == 0


def test_an_unknown_setting_is_named(tmp_path: Path) -> None:
    """Exit code 2 and one sentence with its path."""
    text = settings_text(tmp_path / "root", more="[limits]\nspeed = 3")
    assert "`limits.speed` is an unknown setting" in refused_start(tmp_path, text)


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "-", "a b"])
def test_a_collection_name_must_fit_a_url(tmp_path: Path, name: str) -> None:
    """Names with separators, dots in front or nothing at all are refused."""
    text = settings_text(tmp_path / "root", first=f'collection = "{name}"')
    assert "`collection`" in refused_start(tmp_path, text)


def test_a_port_in_use_is_named(tmp_path: Path, store: StoreProcess) -> None:
    """Exit code 2 and one sentence with the address."""
    listen = f"127.0.0.1:{store.port}"
    assert listen in refused_start(tmp_path, settings_text(tmp_path / "root", listen=listen))


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """Where a file is in the way, the disk is read-only or nothing can be made: one sentence."""
    (tmp_path / "file").write_text("x")
    for root in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/reclab")):
        assert str(root) in refused_start(tmp_path, settings_text(root))


def test_a_folder_is_served_by_one_store(tmp_path: Path, store: StoreProcess) -> None:
    """A second one would remove the first one's uploads; it does not start."""
    sentence = refused_start(tmp_path, settings_text(store.root))
    assert "served by another store" in sentence


def test_an_inherited_socket_is_used(start_store: StartStore) -> None:
    """fd://N is a listening socket that the parent passed on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        number = listening.fileno()
        store = start_store(listen=f"fd://{number}", pass_fds=[number])
        assert store.port == listening.getsockname()[1]
        assert store.request("GET", "/-/livez", account=None).body == b"alive\n"


@pytest.mark.parametrize("way", ["SIGTERM", "SIGINT", "pipe"])
def test_the_end_waits_for_an_upload(start_store: StartStore, way: str) -> None:
    """New connections are refused, the running upload is stored, the exit code is 0."""
    store = start_store()
    with store.connect() as sock:
        sock.sendall(store.head_of_put("last.bin", length=LARGE) + b"x" * (LARGE - 1))
        until(lambda: len(store.temporaries()) == 1, "nothing came to the disk")
        if way == "pipe":
            assert store.process.stdin is not None
            store.process.stdin.close()
        else:
            store.process.send_signal(getattr(signal, way))
        until(lambda: not accepts(store.port), "connections are still accepted")
        sock.sendall(b"x")
        assert status_of(read_answer(sock)) == 201
    assert store.process.wait(30) == 0
    assert (store.root / "last.bin").read_bytes() == b"x" * LARGE


def accepts(port: int) -> bool:
    """Whether somebody listens on a port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionError:
        return False
    return True


def test_the_end_does_not_wait_for_ever(start_store: StartStore) -> None:
    """After the grace period a stalled upload is given up; nothing of it remains."""
    store = start_store(first="grace_seconds = 0.5")
    with store.connect() as sock:
        sock.sendall(store.head_of_put("never.bin", length=LARGE) + b"x" * (LARGE - 1))
        until(lambda: len(store.temporaries()) == 1, "nothing came to the disk")
        store.process.terminate()
        assert store.process.wait(30) == 0
    assert store.temporaries() == []
    assert not (store.root / "never.bin").exists()


def test_a_crash_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    """After kill -9 the answered files are there, the old ones too, and leftovers go at start."""
    with StoreProcess(tmp_path / "one") as store:
        for number in range(20):
            store.put(f"answered-{number}.bin", b"x" * 1000)
        with store.connect() as sock:
            sock.sendall(store.head_of_put("answered-0.bin", length=LARGE) + b"y" * (LARGE - 1))
            until(lambda: len(store.temporaries()) == 1, "nothing came to the disk")
            store.process.kill()
            store.process.wait(30)
        assert len(store.temporaries()) == 1
    with StoreProcess(tmp_path / "two", root=store.root) as again:
        assert again.temporaries() == []
        assert all(again.get(f"answered-{n}.bin").body == b"x" * 1000 for n in range(20))
        assert "Unfinished uploads were removed" in again.log.read_text()


def test_the_log_keeps_secrets(store: StoreProcess) -> None:
    """Neither passwords nor their encoded form stand in it, whatever was asked."""
    store.put("logged.bin", b"x")
    store.request("PUT", "x", headers={"Authorization": basic("mcp", "wrong-password")})
    store.request("DELETE", "logged.bin")
    text = store.log.read_text()
    assert "A file was stored" in text
    for secret in (PASSWORD, "wrong-password", basic("mcp"), basic("mcp", "wrong-password")):
        assert secret not in text
        assert secret.removeprefix("Basic ") not in text


def test_the_metrics_count(start_store: StartStore) -> None:
    """Requests, bytes in both directions, cuts and the free space."""
    store = start_store()
    store.put("a.bin", b"x" * 1000)
    store.get("a.bin")
    text = store.request("GET", "/-/metrics", account=None).body.decode()
    assert 'reclab_store_requests_total{method="PUT",status="201"} 1.0' in text
    assert store.metric("reclab_store_received_bytes_total") == 1000
    assert store.metric("reclab_store_sent_bytes_total") == 1000
    assert store.metric("reclab_store_cut_uploads_total") == 0
    assert store.metric("reclab_store_free_bytes") > 0


def test_a_store_without_space_is_not_ready(start_store: StartStore) -> None:
    """Readiness says why, uploads answer 507, and reading goes on."""
    store = start_store(more=f"[limits]\nreserved_bytes = {1 << 60}")
    (store.root / "old.bin").write_bytes(b"x")
    ready = store.request("GET", "/-/readyz", account=None)
    assert (ready.status, ready.body) == (503, b"the disk has no free space left for uploads\n")
    assert store.put("new.bin", b"x").status == 507
    assert store.get("old.bin").body == b"x"
    assert store.request("GET", "/-/livez", account=None).status == 200

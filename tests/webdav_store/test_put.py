"""An upload is there whole, under its name, or not at all."""

from __future__ import annotations

import base64
import hashlib
import random
import stat
import threading

import pytest

from tests.webdav_store.conftest import until
from tests.webdav_store.store_process import StoreProcess, read_answer, status_of

LARGE = 1_500_000


def cut(store: StoreProcess, request: bytes) -> None:
    """Send part of an upload, go away once the store has begun it, and wait for its end."""
    with store.connect() as sock:
        sock.sendall(request)
        until(lambda: store.metric("reclab_store_uploads_in_progress") == 1, "it never began")
    until(lambda: store.metric("reclab_store_uploads_in_progress") == 0, "it never ended")


def test_a_new_file_is_created_and_read_back(store: StoreProcess) -> None:
    """A PUT of a new name answers 201, of a known name 204, and GET gives the last bytes."""
    assert store.put("new.bin", b"first").status == 201
    assert store.put("new.bin", b"second").status == 204
    assert store.get("new.bin").body == b"second"


def test_an_empty_and_a_large_file_are_stored(store: StoreProcess) -> None:
    """Sizes around the batches, and none at all, arrive as they were sent."""
    for size in (0, 1, 262_143, 262_144, 262_145, LARGE):
        body = random.Random(size).randbytes(size)
        assert store.put("size.bin", body).status in (201, 204)
        assert store.get("size.bin").body == body


def test_only_the_owner_may_read_the_disk(store: StoreProcess) -> None:
    """Files have mode 0600 and folders 0700, whatever the umask of the shell."""
    store.put("mode.bin", b"x")
    store.request("MKCOL", "mode")
    assert stat.S_IMODE((store.root / "mode.bin").stat().st_mode) == 0o600
    assert stat.S_IMODE((store.root / "mode").stat().st_mode) == 0o700
    assert stat.S_IMODE(store.root.stat().st_mode) == 0o700


@pytest.mark.parametrize("old", [None, b"the old file"])
def test_a_put_cut_at_every_byte_changes_nothing(store: StoreProcess, old: bytes | None) -> None:
    """Wherever the client goes away, a reader finds what was there before."""
    name = f"cut-{old is None}.bin"
    if old is not None:
        store.put(name, old)
    body = b"0123456789abcdef"
    for sent in range(len(body)):
        cut(store, store.head_of_put(name, length=len(body)) + body[:sent])
        assert (store.get(name).body if old else store.get(name).status) == (old or 404)
    assert store.temporaries() == []


def test_a_chunked_put_cut_at_every_byte_changes_nothing(store: StoreProcess) -> None:
    """A chunked body counts only with its last chunk and the empty line after it."""
    store.put("chunked.bin", b"old")
    head = store.head_of_put("chunked.bin", "Transfer-Encoding: chunked")
    coded = b"4\r\nwxyz\r\n6;a=b\r\nabcdef\r\n0\r\n\r\n"
    for sent in range(len(coded)):
        cut(store, head + coded[:sent])
        assert store.get("chunked.bin").body == b"old", coded[:sent]
    with store.connect() as sock:
        sock.sendall(head + coded)
        assert status_of(read_answer(sock)) == 204
    assert store.get("chunked.bin").body == b"wxyzabcdef"


def test_a_malformed_chunk_is_an_error(store: StoreProcess) -> None:
    """A chunk size that is no number answers 400 and leaves the old file."""
    store.put("malformed.bin", b"old")
    head = store.head_of_put("malformed.bin", "Transfer-Encoding: chunked")
    with store.connect() as sock:
        sock.sendall(head + b"4\r\nwxyz\r\nzz\r\n")
        assert status_of(read_answer(sock)) == 400
    assert store.get("malformed.bin").body == b"old"


def test_a_large_put_cut_anywhere_changes_nothing(store: StoreProcess) -> None:
    """Bodies that are on the disk already in part disappear without a trace."""
    store.put("large.bin", b"old")
    body = random.Random(1).randbytes(LARGE)
    for sent in random.Random(2).sample(range(LARGE), 12):
        cut(store, store.head_of_put("large.bin", length=LARGE) + body[:sent])
        assert store.get("large.bin").body == b"old"
    assert store.temporaries() == []


def test_an_upload_under_way_cannot_be_seen(store: StoreProcess) -> None:
    """Its temporary is on the disk, but in no listing and under no URL; its name answers 404."""
    with store.connect() as sock:
        sock.sendall(store.head_of_put("seen.bin", length=LARGE) + b"x" * (LARGE - 1))
        until(lambda: len(store.temporaries()) == 1, "nothing came to the disk")
        hidden = store.temporaries()[0].name
        assert store.get("seen.bin").status == 404
        for method in ("GET", "HEAD", "PROPFIND", "DELETE", "PUT", "MKCOL", "LOCK"):
            assert store.request(method, hidden, headers={"Depth": "0"}).status == 403, method
        moved = store.request("MOVE", hidden, headers={"Destination": "/recordings/stolen"})
        assert moved.status == 403
        listing = store.request("PROPFIND", "", headers={"Depth": "1"}).body + store.get("").body
        assert b"reclab-upload" not in listing
        sock.sendall(b"x")
        assert status_of(read_answer(sock)) == 201
    assert store.temporaries() == []


def test_a_folder_moved_away_during_an_upload_refuses_it(store: StoreProcess) -> None:
    """The file then appears neither at the old place nor at the new one."""
    store.request("MKCOL", "here")
    with store.connect() as sock:
        sock.sendall(store.head_of_put("here/late.bin", length=LARGE) + b"x" * (LARGE - 1))
        until(lambda: len(store.temporaries()) == 1, "nothing came to the disk")
        store.request("MOVE", "here/", headers={"Destination": "/recordings/there/"})
        sock.sendall(b"x")
        assert status_of(read_answer(sock)) == 409
    assert store.temporaries() == []
    assert list((store.root / "there").iterdir()) == []


def test_a_missing_folder_is_told_before_the_body(store: StoreProcess) -> None:
    """With Expect: 100-continue, an upload that cannot succeed is refused before it is sent."""
    for name, fields, status in (
        ("missing/x.bin", (), 409),
        ("known.bin", ("If-None-Match: *",), 412),
        ("x.bin", ("Content-Encoding: gzip",), 415),
        ("x.bin", ("Content-Range: bytes 0-9/10",), 400),
    ):
        store.put("known.bin", b"x")
        with store.connect() as sock:
            sock.sendall(store.head_of_put(name, "Expect: 100-continue", *fields, length=10))
            assert status_of(read_answer(sock)) == status


def test_continue_is_said_when_the_body_is_wanted(store: StoreProcess) -> None:
    """With Expect: 100-continue, an acceptable upload hears 100 and then the outcome."""
    with store.connect() as sock:
        sock.sendall(store.head_of_put("continue.bin", "Expect: 100-continue", length=4))
        assert read_answer(sock).startswith(b"HTTP/1.1 100 Continue\r\n")
        sock.sendall(b"body")
        assert status_of(read_answer(sock)) == 201
    assert store.get("continue.bin").body == b"body"


def test_a_wanted_digest_comes_with_the_answer(store: StoreProcess) -> None:
    """PUT answers the digest of what it stored, also when many batches were written."""
    body = random.Random(3).randbytes(LARGE)
    reply = store.put("digest.bin", body, Want_Repr_Digest="sha-256=10")
    expected = base64.b64encode(hashlib.sha256(body).digest()).decode()
    assert reply.headers["repr-digest"] == f"sha-256=:{expected}:"
    assert "repr-digest" not in store.put("digest.bin", body).headers


@pytest.mark.parametrize("field", ["Repr-Digest", "Content-Digest"])
def test_an_announced_digest_is_checked(store: StoreProcess, field: str) -> None:
    """A body that differs from the digest sent with it is refused and leaves the old file."""
    store.put("announced.bin", b"old")
    wrong = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    right = base64.b64encode(hashlib.sha256(b"new").digest()).decode()
    refused = store.request("PUT", "announced.bin", b"new", {field: f"sha-256=:{wrong}:"})
    assert (refused.status, store.get("announced.bin").body) == (400, b"old")
    malformed = store.request("PUT", "announced.bin", b"new", {field: "sha-256=:AAAA:"})
    assert (malformed.status, store.get("announced.bin").body) == (400, b"old")
    accepted = store.request("PUT", "announced.bin", b"new", {field: f"sha-256=:{right}:"})
    assert (accepted.status, store.get("announced.bin").body) == (204, b"new")


def test_one_of_two_racing_first_puts_wins(store: StoreProcess) -> None:
    """If-None-Match: * lets exactly one create the name; the other hears 412."""
    for turn in range(20):
        name = f"race-{turn}.bin"
        head = store.head_of_put(name, "If-None-Match: *", length=5)
        with store.connect() as one, store.connect() as other:
            one.sendall(head + b"1111")
            other.sendall(head + b"2222")
            one.sendall(b"1")
            other.sendall(b"2")
            statuses = [status_of(read_answer(one)), status_of(read_answer(other))]
        assert sorted(statuses) == [201, 412]
        assert store.get(name).body == (b"11111" if statuses[0] == 201 else b"22222")


def test_if_match_is_obeyed(store: StoreProcess) -> None:
    """A PUT for a certain version changes only that version, and never makes a new file."""
    tag = store.put("match.bin", b"one").headers["etag"]
    assert store.put("match.bin", b"two", If_Match=tag).status == 204
    assert store.put("match.bin", b"three", If_Match=tag).status == 412
    assert store.put("nothing.bin", b"x", If_Match="*").status == 412
    assert store.get("nothing.bin").status == 404


def test_readers_never_see_a_mixture(store: StoreProcess) -> None:
    """While two writers replace one file, each read is one of the two files, whole."""
    bodies = [b"a" * 700_000, b"b" * 300_000]
    store.put("mixed.bin", bodies[0])
    writers = [
        threading.Thread(target=lambda b=body: [store.put("mixed.bin", b) for _ in range(15)])
        for body in bodies
    ]
    for writer in writers:
        writer.start()
    seen = [store.get("mixed.bin").body for _ in range(40)]
    for writer in writers:
        writer.join()
    assert all(body in bodies for body in seen)


def test_the_collection_itself_is_no_file(store: StoreProcess) -> None:
    """A PUT to the collection or to a folder answers 405."""
    store.request("MKCOL", "folder")
    assert store.put("", b"x").status == 405
    assert store.put("/recordings", b"x").status == 405
    assert store.put("folder", b"x").status == 405
    assert store.put("/elsewhere.bin", b"x").status == 404

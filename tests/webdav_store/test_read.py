"""What readers get: whole files, ranges, digests, versions, listings."""

from __future__ import annotations

import base64
import hashlib
import random
import socket
from xml.etree import ElementTree

import pytest

from tests.webdav_store.conftest import StartStore
from tests.webdav_store.store_process import StoreProcess, read_answer

BODY = random.Random(5).randbytes(1_000_000)


def test_head_tells_what_get_would(store: StoreProcess) -> None:
    """HEAD has GET's headers and no body."""
    store.put("head.bin", BODY)
    head = store.request("HEAD", "head.bin", account="operator")
    got = store.get("head.bin")
    kept = ("content-length", "etag", "last-modified", "content-type", "accept-ranges")
    assert {name: head.headers[name] for name in kept} == {n: got.headers[n] for n in kept}
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "1000000")
    assert got.headers["x-content-type-options"] == "nosniff"


def test_a_stored_page_does_not_run(store: StoreProcess) -> None:
    """What a writer put there as a page is data to the browser of whoever reads it."""
    name = "%3Cimg%20src=x%20onerror=alert(1)%3E.html"
    store.put(name, b"<script>alert(1)</script>")
    got = store.get(name)
    assert got.headers["content-security-policy"] == "sandbox"
    assert got.headers["x-content-type-options"] == "nosniff"
    assert b"<img src=x" not in store.get("").body


@pytest.mark.parametrize(
    ("value", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=999990-", 999_990, 999_999),
        ("bytes=-7", 999_993, 999_999),
        ("bytes=100-600100", 100, 600_100),
        ("bytes=999999-2000000", 999_999, 999_999),
        ("bytes=-5000000", 0, 999_999),
    ],
)
def test_a_range_is_served(store: StoreProcess, value: str, first: int, last: int) -> None:
    """Exactly the asked bytes come, with 206 and their place in the file."""
    store.put("range.bin", BODY)
    reply = store.get("range.bin", Range=value)
    assert reply.status == 206
    assert reply.body == BODY[first : last + 1]
    assert reply.headers["content-range"] == f"bytes {first}-{last}/1000000"


def test_a_range_behind_the_end_is_unsatisfiable(store: StoreProcess) -> None:
    """It answers 416 and how long the file is."""
    store.put("range.bin", BODY)
    reply = store.get("range.bin", Range="bytes=1000000-")
    assert (reply.status, reply.headers["content-range"]) == (416, "bytes */1000000")


def test_several_and_strange_ranges_are_ignored(store: StoreProcess) -> None:
    """They answer 200 with the whole file, as RFC 9110 §14.2 allows."""
    store.put("range.bin", BODY)
    for value in ("bytes=0-1,5-6", "bytes=9-5", "bytes=-0", "pages=1", "bytes=" + "9" * 5000):
        reply = store.get("range.bin", Range=value[:4000])
        assert (reply.status, reply.body) == (200, BODY)


def test_a_changed_file_is_not_continued(store: StoreProcess) -> None:
    """If-Range with an old tag answers the whole new file."""
    tag = store.put("continued.bin", b"old content").headers["etag"]
    assert store.get("continued.bin", Range="bytes=4-", If_Range=tag).body == b"content"
    store.put("continued.bin", b"new content")
    reply = store.get("continued.bin", Range="bytes=4-", If_Range=tag)
    assert (reply.status, reply.body) == (200, b"new content")


def test_each_version_has_its_tag(store: StoreProcess) -> None:
    """Two uploads of one second and one length differ, and an unchanged one answers 304."""
    tags = {store.put("tag.bin", b"12345").headers["etag"] for _ in range(10)}
    assert len(tags) == 10
    tag = store.get("tag.bin").headers["etag"]
    assert tag in tags
    assert store.get("tag.bin", If_None_Match=tag).status == 304
    assert store.get("tag.bin", If_None_Match='"other"').status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_wanted_digest_is_computed_from_the_disk(store: StoreProcess, method: str) -> None:
    """It tells what lies there now, even when somebody changed it behind our back."""
    store.put("disk.bin", BODY)
    (store.root / "disk.bin").write_bytes(b"changed" * 100_000)
    wanted = {"Want-Repr-Digest": "sha-512=3, sha-256=10"}
    reply = store.request(method, "disk.bin", headers=wanted, account="processor")
    digest = base64.b64encode(hashlib.sha256(b"changed" * 100_000).digest()).decode()
    assert reply.headers["repr-digest"] == f"sha-256=:{digest}:"
    part = store.get("disk.bin", Range="bytes=0-3", **wanted)
    assert (part.body, part.headers["repr-digest"]) == (b"chan", f"sha-256=:{digest}:")
    assert "repr-digest" not in store.get("disk.bin").headers


def test_an_absent_file_is_404_in_one_sentence(store: StoreProcess) -> None:
    """No page of the library, no version, no path of the server."""
    reply = store.get("absent.bin")
    assert reply.status == 404
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    assert b"WsgiDAV" not in reply.body
    assert str(store.root).encode() not in reply.body
    assert reply.headers["server"] == "webdav_store"


def test_a_folder_can_be_browsed(store: StoreProcess) -> None:
    """GET on a folder is a page with its members; without the slash it leads there."""
    store.request("MKCOL", "browsed")
    store.put("browsed/one%20%3Cb%3E.bin", b"x")
    page = store.get("browsed/")
    assert page.status == 200
    assert b"one &lt;b&gt;.bin" in page.body
    lead = store.get("browsed")
    assert (lead.status, lead.headers["location"]) == (301, "/recordings/browsed/")
    assert store.get("/recordings").headers["location"] == "/recordings/"
    asset = store.get("/:dir_browser/style.css")
    assert asset.status == 200
    assert store.request("PUT", "/:dir_browser/style.css", b"x").status == 404


def test_propfind_lists_what_is_there(store: StoreProcess) -> None:
    """Depth 1 names each member with its length; links and special files are no members."""
    store.request("MKCOL", "listed")
    store.put("listed/a.bin", b"12345")
    (store.root / "listed" / "link").symlink_to("/etc/passwd")
    (store.root / "listed" / "link-folder").symlink_to("/etc")
    reply = store.request("PROPFIND", "listed/", headers={"Depth": "1"}, account="operator")
    assert reply.status == 207
    tree = ElementTree.fromstring(reply.body)
    assert [href.text for href in tree.iter("{DAV:}href")] == [
        "/recordings/listed/",
        "/recordings/listed/a.bin",
    ]
    assert [length.text for length in tree.iter("{DAV:}getcontentlength")] == ["5"]
    for path in ("listed/link", "listed/link-folder/", "listed/link-folder/passwd"):
        assert store.get(path).status == 403
        assert store.put(path, b"x").status == 403 if path != "listed/link" else True


def test_an_upload_over_a_link_replaces_the_link(store: StoreProcess) -> None:
    """What the link points to is never touched."""
    outside = store.root.parent / "outside"
    outside.write_bytes(b"precious")
    (store.root / "link.bin").symlink_to(outside)
    store.put("link.bin", b"x")
    assert outside.read_bytes() == b"precious"


def test_a_propfind_of_everything_is_refused(store: StoreProcess) -> None:
    """Depth: infinity, also by default, answers 403 with RFC 4918's condition."""
    for headers in ({}, {"Depth": "infinity"}):
        reply = store.request("PROPFIND", "", headers=headers)
        assert reply.status == 403
        assert ElementTree.fromstring(reply.body)[0].tag == "{DAV:}propfind-finite-depth"


def test_a_file_stays_whole_for_its_reader(start_store: StartStore) -> None:
    """A reader who began before a replacement gets all of the old file."""
    store = start_store()
    old, new = b"o" * 8_000_000, b"n" * 8_000_000
    store.put("long.bin", old)
    with store.connect() as sock:
        request = store.head_of_put("long.bin").replace(b"PUT", b"GET", 1)
        sock.sendall(request)
        first = sock.recv(1000)
        store.put("long.bin", new)
        store.request("DELETE", "long.bin")
        rest = read_all(sock, 8_000_000 - len(first.partition(b"\r\n\r\n")[2]))
    assert set(first.partition(b"\r\n\r\n")[2] + rest) == {ord("o")}


def read_all(sock: socket.socket, count: int) -> bytes:
    """Return exactly `count` bytes."""
    data = bytearray()
    while len(data) < count:
        part = sock.recv(1 << 20)
        assert part
        data += part
    return bytes(data)


def test_connections_are_kept(store: StoreProcess) -> None:
    """Several requests go over one connection, errors among them."""
    store.put("kept.bin", b"12345")
    request = store.head_of_put("kept.bin").replace(b"PUT", b"GET", 1)
    missing = store.head_of_put("missing.bin").replace(b"PUT", b"GET", 1)
    with store.connect() as sock:
        for _ in range(3):
            sock.sendall(request)
            assert read_answer(sock).endswith(b"\r\n\r\n12345")
            sock.sendall(missing)
            assert read_answer(sock).startswith(b"HTTP/1.1 404 ")

"""COPY, MOVE, DELETE, MKCOL, locks and properties, under the same law as uploads."""

from __future__ import annotations

import threading

import pytest

from tests.webdav_store.conftest import StartStore
from tests.webdav_store.store_process import StoreProcess


def to(path: str, **more: str) -> dict[str, str]:
    """Return the headers of a COPY or MOVE to a path below the collection."""
    return {"Destination": f"/recordings/{path}", **more}


@pytest.mark.parametrize("method", ["COPY", "MOVE"])
def test_a_file_goes_to_a_new_and_to_a_known_name(store: StoreProcess, method: str) -> None:
    """201 for a new name, 204 over a known one, 412 when overwriting is not wanted."""
    store.put("one.bin", b"one")
    assert store.request(method, "one.bin", headers=to(f"{method}-new.bin")).status == 201
    store.put("two.bin", b"two")
    kept = store.request(method, "two.bin", headers=to(f"{method}-new.bin", Overwrite="F"))
    assert (kept.status, store.get(f"{method}-new.bin").body) == (412, b"one")
    assert store.request(method, "two.bin", headers=to(f"{method}-new.bin")).status == 204
    assert store.get(f"{method}-new.bin").body == b"two"
    assert store.get("two.bin").status == (200 if method == "COPY" else 404)
    assert store.temporaries() == []


def test_a_replaced_file_is_never_missing(store: StoreProcess) -> None:
    """While files are moved and copied over a name, each read of it finds one of them."""
    bodies = [bytes([65 + number]) * 200_000 for number in range(4)]
    store.put("target.bin", bodies[0])

    def replace() -> None:
        for turn in range(20):
            store.put("source.bin", bodies[turn % 4])
            method = "MOVE" if turn % 2 else "COPY"
            assert store.request(method, "source.bin", headers=to("target.bin")).status == 204

    writer = threading.Thread(target=replace)
    writer.start()
    seen = []
    while writer.is_alive():
        seen.append(store.get("target.bin").body)
    writer.join()
    assert seen
    assert all(body in bodies for body in seen)


def test_a_folder_goes_with_all_in_it(store: StoreProcess) -> None:
    """COPY and MOVE of folders keep the files below."""
    store.request("MKCOL", "tree")
    store.request("MKCOL", "tree/below")
    store.put("tree/below/leaf.bin", b"leaf")
    assert store.request("COPY", "tree/", headers=to("copied/")).status == 201
    assert store.request("MOVE", "tree/", headers=to("moved/")).status == 201
    assert store.get("copied/below/leaf.bin").body == b"leaf"
    assert store.get("moved/below/leaf.bin").body == b"leaf"
    assert store.get("tree/").status == 404
    assert store.request("DELETE", "copied/").status == 204
    assert store.get("copied/below/leaf.bin").status == 404


def test_the_collection_itself_stays(store: StoreProcess) -> None:
    """It cannot be removed, moved or replaced, and nothing in it is lost by trying."""
    store.put("precious.bin", b"x")
    store.request("MKCOL", "other")
    for method, path, headers in (
        ("DELETE", "", {}),
        ("DELETE", "/recordings", {}),
        ("MOVE", "", to("other/inside/")),
        ("MOVE", "other/", to("")),
        ("COPY", "other/", to("")),
        ("MOVE", "precious.bin", to("")),
        ("COPY", "precious.bin", to("")),
    ):
        status = store.request(method, path, headers=headers).status
        assert 400 <= status < 500, (method, path, status)
    assert store.get("precious.bin").body == b"x"


def test_deleting_is_done_once(store: StoreProcess) -> None:
    """The second time answers 404."""
    store.put("gone.bin", b"x")
    assert store.request("DELETE", "gone.bin").status == 204
    assert store.request("DELETE", "gone.bin").status == 404
    assert store.get("gone.bin").status == 404


def test_a_folder_is_made_once_and_only_in_a_folder(store: StoreProcess) -> None:
    """405 for a name that exists, 409 without a parent."""
    assert store.request("MKCOL", "made").status == 201
    assert store.request("MKCOL", "made").status == 405
    assert store.request("MKCOL", "absent/made").status == 409


LOCK = (
    b'<?xml version="1.0"?><lockinfo xmlns="DAV:"><lockscope><exclusive/></lockscope>'
    b"<locktype><write/></locktype><owner>test</owner></lockinfo>"
)
PROPERTY = (
    b'<?xml version="1.0"?><propertyupdate xmlns="DAV:"><set><prop>'
    b'<note xmlns="http://example.com/">text</note></prop></set></propertyupdate>'
)


def test_a_locked_file_is_not_overwritten(store: StoreProcess) -> None:
    """A PUT without the lock's token answers 423 and leaves the file."""
    store.put("locked.bin", b"old")
    token = store.request("LOCK", "locked.bin", LOCK, {"Depth": "0"}).headers["lock-token"]
    assert store.put("locked.bin", b"new").status == 423
    assert store.get("locked.bin").body == b"old"
    assert store.put("locked.bin", b"new", If=f"({token})").status == 204
    assert store.request("UNLOCK", "locked.bin", headers={"Lock-Token": token}).status == 204
    assert store.put("locked.bin", b"newer").status == 204


def test_locks_and_properties_are_bounded(start_store: StartStore) -> None:
    """One more than the limit answers 507; what was there can still be changed."""
    store = start_store(more="[limits]\nlocks = 1\nproperties = 1")
    store.put("a.bin", b"x")
    store.put("b.bin", b"x")
    assert store.request("LOCK", "a.bin", LOCK, {"Depth": "0"}).status == 200
    assert store.request("LOCK", "b.bin", LOCK, {"Depth": "0"}).status == 507
    assert b" 200 " in store.request("PROPPATCH", "b.bin", PROPERTY).body
    assert b" 200 " in store.request("PROPPATCH", "b.bin", PROPERTY).body
    assert b" 507 " in store.request("PROPPATCH", "", PROPERTY).body

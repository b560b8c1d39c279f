"""Every method for every role, and for nobody."""

from __future__ import annotations

import pytest

from tests.webdav_store.store_process import ROLES, StoreProcess, basic

READING = ("OPTIONS", "GET", "HEAD", "PROPFIND")
WRITING = ("PUT", "DELETE", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK")
UNKNOWN = ("POST", "PATCH", "TRACE", "SEARCH")
READERS = ("mcp", "operator", "admin", "processor")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("method", READING + WRITING)
def test_each_role_may_what_it_may(store: StoreProcess, role: str, method: str) -> None:
    """`mcp` reads and writes, three roles read, and all the rest answers 403."""
    name = f"{role}-{method}.bin"
    store.put(name, b"x")
    may = role == "mcp" if method in WRITING else role in READERS
    reply = store.request(method, name, headers={"Depth": "0"}, account=role)
    assert (reply.status != 403) == may
    assert reply.status < 500
    if may and method in ("PUT", "DELETE"):
        assert store.get(name).body != b"x"
    else:
        assert (store.root / name).read_bytes() == b"x"


@pytest.mark.parametrize("method", READING + WRITING + UNKNOWN)
def test_nobody_may_nothing(store: StoreProcess, method: str) -> None:
    """Without a valid sign-in every method answers 401 and says how to sign in."""
    wrong = [
        {},
        {"Authorization": basic("mcp", "wrong")},
        {"Authorization": basic("nobody")},
        {"Authorization": "Bearer abc"},
        {"Authorization": "Basic ****"},
        {"Authorization": "Basic"},
        {"Authorization": "Basic bWNw"},
    ]
    for headers in wrong:
        reply = store.request(method, "any.bin", headers=headers, account=None)
        assert reply.status == 401
        assert reply.headers["www-authenticate"].startswith("Basic realm=")


@pytest.mark.parametrize("method", UNKNOWN)
def test_other_methods_are_not_known(store: StoreProcess, method: str) -> None:
    """They answer 405 and which methods there are."""
    reply = store.request(method, "any.bin")
    assert reply.status == 405
    assert "PROPFIND" in reply.headers["allow"]


def test_a_reader_is_refused_before_the_body(store: StoreProcess) -> None:
    """A 403 for a large upload comes without taking it."""
    head = store.head_of_put("x.bin", "Expect: 100-continue", length=1 << 30)
    head = head.replace(basic("mcp").encode(), basic("operator").encode())
    with store.connect() as sock:
        sock.sendall(head)
        assert sock.recv(100).startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize(
    "path", ["/-/livez", "/-/readyz", "/-/metrics", "/%2D/livez", "/-/%6Civez"]
)
def test_health_is_open_to_everybody(store: StoreProcess, path: str) -> None:
    """The health pages need no sign-in; another spelling of them opens nothing."""
    reply = store.request("GET", path, account=None)
    assert reply.status == (200 if path.startswith("/-/") and "%" not in path else reply.status)
    assert reply.status in (200, 401, 404)
    assert b"recordings" not in reply.body or "metrics" in path


@pytest.mark.parametrize(
    "path", ["/-/livez/../../recordings/", "/-/metrics/", "/-/", "/-/livez%00", "/-/livez;x"]
)
def test_nothing_else_is_open(store: StoreProcess, path: str) -> None:
    """Paths beside the open ones need a sign-in."""
    assert store.request("GET", path, account=None).status == 401

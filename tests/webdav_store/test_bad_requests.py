"""Malformed and hostile requests get a 4xx; never a 5xx, never silence, never a crash."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.webdav_store.store_process import StoreProcess, basic, read_head, status_of

METHODS = ("GET", "HEAD", "PUT", "DELETE", "PROPFIND", "MKCOL", "MOVE", "LOCK", "OPTIONS")
TARGETS = (
    b"/recordings/..",
    b"/recordings/../secret",
    b"/recordings/%2e%2e/secret",
    b"/recordings/%2E%2E%2Fsecret",
    b"/recordings/..%2fsecret",
    b"/recordings/..%5csecret",
    b"/recordings/.%2e/secret",
    b"/recordings/%252e%252e/secret",
    b"/recordings/%c0%ae%c0%ae/secret",
    b"/recordings/%e0%80%ae%e0%80%ae/secret",
    b"/recordings/\xc0\xae\xc0\xae/secret",
    b"/recordings/%uff0e%uff0e/secret",
    b"/recordings/a/../../secret",
    b"/recordings//../secret",
    b"/recordings/\\..\\secret",
    b"/%00",
    b"/recordings/%00",
    b"/recordings/a%00.bin",
    b"/%c0%ae",
    b"/%ff",
    b"/recordings/%",
    b"/recordings/%zz",
    b"/recordings/a%0d%0aX-Injected:%20yes",
    b"/recordings/" + b"a" * 300,
    b"/recordings/" + b"a/" * 1500,
    b"/:dir_browser/../../../../etc/passwd",
    b"/:dir_browser/%2e%2e/%2e%2e/etc/passwd",
    b"/RECORDINGS/",
    b"/recordingsx",
    b"recordings",
    b"http://[::1",
    b"http://",
    b"//",
    b"*",
)


def exchange(store: StoreProcess, request: bytes) -> int:
    """Send a request, also a broken one, and return the status of the answer."""
    with store.connect() as sock:
        sock.sendall(request)
        return status_of(read_head(sock))


def head(method: str, target: bytes, *fields: bytes) -> bytes:
    """Return a request's head, signed in as `mcp`, with one byte of a body for PUT."""
    body = b"Content-Length: 1\r\n\r\nx" if method == "PUT" else b"\r\n"
    lines = [b"Host: store", f"Authorization: {basic('mcp')}".encode(), *fields]
    start = method.encode() + b" " + target + b" HTTP/1.1\r\n"
    return start + b"".join(line + b"\r\n" for line in lines) + body


@pytest.mark.parametrize("target", TARGETS)
def test_a_path_that_is_no_path_is_refused(store: StoreProcess, target: bytes) -> None:
    """Dot segments in every encoding, NUL, broken UTF-8, endless names: 4xx for each method."""
    for method in METHODS:
        status = exchange(store, head(method, target, b"Depth: 0"))
        assert 400 <= status < 500, (method, status)
    assert not (store.root.parent / "secret").exists()


@pytest.mark.parametrize("target", [t for t in TARGETS if t not in (b"//", b"/RECORDINGS/")])
def test_a_destination_that_is_no_path_is_refused(store: StoreProcess, target: bytes) -> None:
    """COPY and MOVE check where they go as strictly as where they come from."""
    store.put("source.bin", b"x")
    for method in ("COPY", "MOVE"):
        request = head(method, b"/recordings/source.bin", b"Destination: " + target)
        status = exchange(store, request)
        assert 400 <= status < 500 or status == 502, (method, status)
    assert store.get("source.bin").body == b"x"
    assert not (store.root.parent / "secret").exists()


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x00\x01\x02\r\n\r\n",
        b"GET /recordings/ HTTP/1.1\r\nBroken header\r\n\r\n",
        b"GET /recordings/ HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"PUT /recordings/a HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"PUT /recordings/a HTTP/1.1\r\nHost: a\r\nContent-Length: 1x\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_a_broken_request_is_answered(store: StoreProcess, request_bytes: bytes) -> None:
    """What is no HTTP gets 400 or the end of the connection, and the store goes on."""
    assert status_of(store.raw(request_bytes)) in (0, 400, 401, 404)
    assert store.request("GET", "/-/livez", account=None).status == 200
    assert "Traceback" not in store.log.read_text()


XML = (
    b"",
    b"<",
    b"not xml",
    b"<a/>",
    b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "y">]><propfind xmlns="DAV:">&x;</propfind>',
    b'<propertyupdate xmlns="DAV:"><set><prop><x>&undefined;</x></prop></set></propertyupdate>',
    b"\xff\xfe" + b"<\x00",
    b"<a>" * 2000,
    b"x" * 70_000,
)


@pytest.mark.parametrize("method", ["PROPFIND", "PROPPATCH", "LOCK"])
@pytest.mark.parametrize("body", XML)
def test_xml_that_is_not_understood_is_refused(
    store: StoreProcess, method: str, body: bytes
) -> None:
    """Broken, endless and entity-bearing XML gets a 4xx, and later PROPFINDs still work."""
    store.put("xml.bin", b"x")
    reply = store.request(method, "xml.bin", body, {"Depth": "0"})
    assert 400 <= reply.status < 500 or (method == "PROPFIND" and body == b"")
    again = store.request("PROPFIND", "xml.bin", headers={"Depth": "0"})
    assert again.status == 207


def test_an_entity_in_a_property_does_no_harm(store: StoreProcess) -> None:
    """A PROPPATCH with an entity is refused; the file can still be listed."""
    store.put("entity.bin", b"x")
    body = (
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "y">]><propertyupdate xmlns="DAV:">'
        b'<set><prop><z xmlns="http://example.com/">&x;</z></prop></set></propertyupdate>'
    )
    assert store.request("PROPPATCH", "entity.bin", body).status == 400
    assert store.request("PROPFIND", "", headers={"Depth": "1"}).status == 207


FIELD_NAMES = (
    "Depth",
    "Destination",
    "If",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "If-Unmodified-Since",
    "Lock-Token",
    "Overwrite",
    "Range",
    "Timeout",
    "Want-Repr-Digest",
    "Repr-Digest",
    "Expect",
    "Content-Encoding",
)
PIECES = (
    "*",
    "0",
    "1",
    "infinity",
    "T",
    "bytes=",
    "0-",
    "-5",
    "Second-",
    "99999999999999999999",
    "Infinite",
    "<opaquelocktoken:0x1>",
    "(<a>)",
    "([tag])",
    "(Not <DAV:no-lock>)",
    "<http://store/recordings/>",
    '"tag"',
    "W/",
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "Sun, 99 Nov 99999 99:99:99 GMT",
    "sha-256=10",
    ":AAAA:",
    "http://store/recordings/b",
    "/recordings/b",
    ",",
    ";",
    "é",
    " ",
)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    method=st.sampled_from((*METHODS, "COPY", "PROPPATCH", "UNLOCK")),
    name=st.sampled_from(["fuzz.bin", "fuzz/", "new.bin", ""]),
    fields=st.dictionaries(
        st.sampled_from(FIELD_NAMES),
        st.lists(st.sampled_from(PIECES), max_size=4).map("".join),
        max_size=3,
    ),
)
def test_no_combination_of_headers_breaks_the_store(
    store: StoreProcess, method: str, name: str, fields: dict[str, str]
) -> None:
    """Known header names with odd values never make a 500 (502: a destination elsewhere)."""
    store.put("fuzz.bin", b"12345")
    lines = [f"{field}: {value}".encode() for field, value in fields.items()]
    status = exchange(store, head(method, b"/recordings/" + name.encode(), *lines))
    assert 100 <= status < 500 or status == 502, store.log.read_text()[-2000:]

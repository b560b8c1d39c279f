"""Odd input, everywhere: each is answered by one sentence of 4xx, never by a failure of ours."""

from __future__ import annotations

import asyncio
import itertools
import json
from urllib.parse import quote

import pytest

from tests.recording_processor.asking import POST, ask, file
from tests.recording_processor.conftest import Client, sign_in
from tests.recording_processor.samples import CCID, Json, media_file, profile

GROUP = f"/api/v2/ops/contact-centers/{CCID}/settings/screen-recording"
SCREENS = f"{GROUP}-encryption"
PLAY = "00000000-0000-4000-8000-000000000000"
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
SETTING = {"name": "storage", "location": "/US", "value": "folder"}
#: Every route that takes a body, and a body that it would take or almost.
BODIES: dict[tuple[str, str], Json] = {
    ("PUT", "/lab/profiles/101"): profile(101),
    ("POST", "/lab/profiles"): {**profile(), "dbid": None, "name": "other"},
    ("POST", "/lab/profiles/101/certificates"): {"certificate": PEM, "by": "alice"},
    ("POST", GROUP): SETTING,
    ("DELETE", GROUP): SETTING,
    ("POST", SCREENS): {"certificate": PEM, "tenant": "Environment"},
    ("DELETE", SCREENS): {"name": "certificate-1"},
    ("PUT", f"/lab/recordings/CALL1/envelopes/{PLAY}"): {
        "pkcs7": PEM,
        "certAlias": ["a"],
        "expect": "00",
    },
    ("POST", "/lab/recordings/need"): {"tenant": "Environment", "alias": "a", "others": []},
    ("POST", POST): {"mediaFiles": [media_file("CALL2")]},
}
DEEP = 20_000
NOT_JSON = [
    b"",
    b"null",
    b"[]",
    b'"x"',
    b"{",
    b"\x00",
    b"\xff\xfe",
    b'{"name":"\\ud800"}',
    b"\xef\xbb\xbf{}",
    b"[" * DEEP,
    b'{"name":"storage","value":' + b"[" * DEEP + b"]" * DEEP + b"}",
    b'{"name":"storage","value":' + b'{"a":' * DEEP,
    b'{"certAlias":' + b"[" * DEEP,
]
VALUES: list[object] = [
    *(None, True, -1, 10**30, 1e308, "", "\x00", "é" * 5000, "\U0001f600", "x" * 100_000),
    *([], {}, [[]], {"a": 1}, {"": {"": ""}}, {"a": {"b": "fixed," + "x" * 5000}}),
]


@pytest.fixture
async def filled(client: Client) -> Client:
    """A client of a processor with one recording and one profile."""
    await file(client, media_file())
    await ask(client, "PUT", "/lab/profiles/101", profile(101))
    return client


@pytest.mark.parametrize(("method", "path"), BODIES)
async def test_an_odd_body_is_one_sentence(filled: Client, method: str, path: str) -> None:
    """What is no JSON, too deep, or of another type anywhere: refused, and not said again."""
    good = BODIES[method, path]
    odd = [
        *NOT_JSON,
        *(json.dumps({**good, name: v}).encode() for name in (*good, "no") for v in VALUES),
    ]
    role = sign_in("mcp" if path == POST else "admin")
    for body in odd:
        async with filled.request(method, path, data=body, headers=role) as answer:
            told = await answer.json()
            assert answer.status < 500, (body[:100], told)
            if answer.status >= 400:
                assert list(told) == ["statusCode", "statusMessage"]
                assert len(told["statusMessage"]) < 700, body[:100]


NAMES = ["%00", "%ED%A0%80", "%FF", "%2e%2e", "a%2Fb", "x" * 5000, "%F0%9F%98%80", "%D9%A3%D9%A3"]
RAW_NAMES = [*(name.encode() for name in NAMES), b"\xff", b"\xed\xa0\x80", b"\xc3\xa9"]
ADDRESSES = [
    ("GET", "/api/v2/recordings/{}"),
    ("GET", "/api/v2/ops/contact-centers/{}/recordings/x"),
    ("GET", "/api/v2/recordings/CALL1/play/{}"),
    ("GET", "/lab/recordings/{}/envelopes/x.pem"),
    ("GET", "/lab/recordings/CALL1/envelopes/{}.pem"),
    ("GET", "/lab/profiles/{}"),
    ("GET", "/lab/profiles/101/versions/{}"),
    ("DELETE", "/lab/profiles/101/certificates/{}"),
    ("DELETE", "/lab/profiles/101/certificates/x?by={}"),
    ("DELETE", f"{SCREENS}/{{}}"),
    ("DELETE", f"{GROUP}?name={{}}"),
    ("DELETE", f"{GROUP}?name=storage&location={{}}"),
    ("GET", "/console/assets/{}"),
    *(
        ("GET", f"/lab/archive/recordings?{name}={{}}")
        for name in ("from", "tenant", "callType", "userName", "callerPhoneNumber", "after")
    ),
    *(("GET", f"/api/v2/recordings?{name}={{}}") for name in ("userName", "next", "limit")),
    ("GET", f"{GROUP}?location={{}}"),
    ("GET", "/lab/profiles?after={}"),
    ("GET", "/?userName={}"),
]


async def raw(client: Client, method: str, target: bytes) -> int:
    """Ask for a target byte by byte, as no client library would; return the status."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    try:
        headers = {**sign_in("admin"), "Host": "x", "Connection": "close"}
        lines = [f"{name}: {value}" for name, value in headers.items()]
        head = method.encode() + b" " + target + b" HTTP/1.1\r\n"
        writer.write(head + "\r\n".join(lines).encode() + b"\r\n\r\n")
        async with asyncio.timeout(10):
            answer = await reader.readline()
        return int(answer.split()[1])
    finally:
        writer.close()


async def test_an_odd_address_is_no_failure(filled: Client) -> None:
    """Ids, names and parameters with NUL, surrogates, no UTF-8, slashes, and beyond all length."""
    for (method, path), name in itertools.product(ADDRESSES, RAW_NAMES):
        status = await raw(filled, method, path.encode().replace(b"{}", name))
        assert 200 <= status < 500, (method, path, name)


TWICE = [
    ("GET", "/lab/profiles", "after=1"),
    ("GET", GROUP, "location=/"),
    ("GET", "/api/v2/recordings", "userName=a"),
    ("GET", "/lab/archive/recordings", "from=2026-01-01"),
    ("GET", "/lab/archive.zip", "tenant=a"),
    ("DELETE", "/lab/profiles/101/certificates/certificates-1", "by=a"),
    ("DELETE", SCREENS, "name=certificate-1"),
    ("DELETE", GROUP, "name=storage"),
]


@pytest.mark.parametrize(("method", "path", "query"), TWICE)
async def test_a_parameter_is_given_once(
    filled: Client, method: str, path: str, query: str
) -> None:
    """Which of two would count is nobody's guess; nor does a misspelt one pass for none."""
    told = await ask(filled, method, f"{path}?{query}&{query}", status=400)
    assert told["statusMessage"] == f"{query.partition('=')[0]} is given twice"
    told = await ask(filled, method, f"{path}?{query}&{quote('näme')}=1", status=400)
    assert told["statusMessage"].startswith("'näme' is not a parameter of ")

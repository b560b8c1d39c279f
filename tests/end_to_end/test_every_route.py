"""Every HTTP route of every service, for every role and for nobody."""

from __future__ import annotations

import asyncio
import re
from typing import Any
from uuid import UUID

import aiohttp
import pytest
import yaml

from tests.end_to_end.four_services import ROLES, SERVICES, FourServices, sign_in

pytestmark = pytest.mark.slow

DESCRIPTIONS = dict.fromkeys(SERVICES, "/openapi.yaml") | {"store": "/-/openapi.yaml"}
OPEN = frozenset({"anybody"})
# The role `faults` may, where faults on purpose are enabled; here there is no such thing.
ABSENT: frozenset[str] = frozenset()
PEOPLE = frozenset({"operator", "admin"})
READERS = PEOPLE | {"crypto"}
PLAYERS = frozenset({"listener"})
ADMIN = frozenset({"admin"})
HEALTH = {("GET", "/livez"): OPEN, ("GET", "/readyz"): OPEN, ("GET", "/metrics"): OPEN,
          ("GET", "/openapi.yaml"): OPEN}  # fmt: skip
FAULTS = {(method, "/faults"): ABSENT for method in ("GET", "PUT", "POST", "DELETE")}
API, OPS, LAB = "/api/v2", "/api/v2/ops/contact-centers/{ccid}", "/lab"
INTERNAL = "/internal-api/contact-centers/{ccid}/recordings"
SCREEN = f"{OPS}/settings/screen-recording"
ONE_PROFILE = f"{LAB}/profiles/{{dbid}}"
CERTIFICATE = f"{LAB}/certificates/{{id}}"
PLAY = (
    "/rcs/recordings/{recording}/play/{media}",
    "/rcs/contact-centers/{ccid}/user-recordings/{recording}/play/{media}",
    "/rcs/screen-recordings/{recording}/content/{media}",
    "/rcs/contact-centers/{ccid}/user-screen-recordings/{recording}/content/{media}",
)

#: Which roles may use a route; nobody else may. A new route needs a row.
RIGHTS: dict[str, dict[tuple[str, str], frozenset[str]]] = {
    "mcp": HEALTH | FAULTS | {
        ("GET", "/calls"): PEOPLE,
        ("GET", "/calls/refused"): PEOPLE,
        ("GET", "/calls/sources"): PEOPLE,
        ("GET", "/calls/{id}"): PEOPLE,
        ("DELETE", "/calls/{id}"): PEOPLE,
        ("POST", "/deliveries/retry"): PEOPLE,
        ("GET", "/recordings/failed"): PEOPLE,
    },
    "store": {(m, f"/-{path}"): roles for (m, path), roles in (HEALTH | FAULTS).items()} | {
        ("GET", "/recordings/{name}"): PEOPLE | {"mcp", "processor"},
        ("PUT", "/recordings/{name}"): frozenset({"mcp"}),
        ("DELETE", "/recordings/{name}"): frozenset({"mcp"}),
    },
    "processor": HEALTH | FAULTS | {
        ("POST", "/api/contact-centers/{domain}/recordings"): frozenset({"mcp"}),
        ("GET", f"{API}/recordings"): PEOPLE,
        ("GET", f"{API}/recordings/{{recording_id}}"): READERS,
        ("GET", f"{OPS}/recordings/{{recording_id}}"): READERS,
        ("GET", f"{API}/recordings/{{recording_id}}/play/{{play_name}}"): READERS,
        ("GET", f"{OPS}/recordings/{{recording_id}}/play/{{play_name}}"): READERS,
        ("GET", f"{LAB}/recordings/{{recording_id}}/envelopes/{{play_id}}.pem"): READERS,
        ("PUT", f"{LAB}/recordings/{{recording_id}}/envelopes/{{play_id}}"): ADMIN | {"crypto"},
        ("POST", f"{LAB}/recordings/need"): ADMIN | {"crypto"},
        ("GET", f"{LAB}/archive/recordings"): PEOPLE,
        ("GET", f"{LAB}/archive.zip"): PEOPLE,
        ("GET", f"{LAB}/tenants"): READERS,
        ("GET", f"{LAB}/deployments"): ADMIN | {"crypto"},
        ("GET", f"{LAB}/profiles"): ADMIN | {"mcp"},
        ("POST", f"{LAB}/profiles"): ADMIN,
        ("GET", ONE_PROFILE): ADMIN | {"mcp"},
        ("PUT", ONE_PROFILE): ADMIN,
        ("DELETE", ONE_PROFILE): ADMIN,
        ("GET", f"{ONE_PROFILE}/versions"): ADMIN,
        ("GET", f"{ONE_PROFILE}/versions/{{version}}"): ADMIN,
        ("POST", f"{ONE_PROFILE}/certificates"): ADMIN | {"crypto"},
        ("DELETE", f"{ONE_PROFILE}/certificates/{{certificate}}"): ADMIN | {"crypto"},
        ("GET", SCREEN): PEOPLE,
        ("POST", SCREEN): ADMIN,
        ("PUT", SCREEN): ADMIN,
        ("DELETE", SCREEN): ADMIN,
        ("GET", f"{SCREEN}-encryption"): PEOPLE,
        ("POST", f"{SCREEN}-encryption"): ADMIN,
        ("PUT", f"{SCREEN}-encryption"): ADMIN,
        ("DELETE", f"{SCREEN}-encryption"): ADMIN,
        ("DELETE", f"{SCREEN}-encryption/{{certificate}}"): ADMIN,
        ("GET", f"{OPS}/conflicts"): PEOPLE,
        ("DELETE", f"{OPS}/conflicts/{{number}}"): PEOPLE,
        ("GET", f"{OPS}/onward"): PEOPLE,
        ("POST", f"{OPS}/onward/replay"): ADMIN,
        ("GET", INTERNAL): frozenset({"processor"}),
        ("POST", INTERNAL): frozenset({"processor"}),
        ("GET", "/console/conflicts"): PEOPLE,
        ("GET", "/"): PEOPLE | PLAYERS,
        ("GET", "/console/recordings/{recording_id}/play/{play_name}"): PLAYERS,
        ("GET", "/console/assets/{name}"): OPEN,
    },
    "crypto": HEALTH | FAULTS | {("GET", path): PLAYERS for path in PLAY} | {
        ("POST", f"{LAB}/session"): ADMIN,
        ("DELETE", f"{LAB}/session"): ADMIN,
        ("POST", f"{LAB}/certificates/inspect"): ADMIN,
        ("GET", f"{LAB}/certificates/expiring"): ADMIN,
        ("GET", f"{LAB}/certificates"): ADMIN,
        ("POST", f"{LAB}/certificates"): ADMIN,
        ("GET", CERTIFICATE): ADMIN,
        ("DELETE", CERTIFICATE): ADMIN,
        ("POST", f"{CERTIFICATE}/deployments"): ADMIN,
        ("DELETE", f"{CERTIFICATE}/deployments/{{dbid}}"): ADMIN,
        ("POST", f"{LAB}/agent-setup/keys"): ADMIN,
        ("POST", f"{LAB}/recordings/{{recording}}/rewrap"): ADMIN,
        ("POST", f"{LAB}/keystore/backup"): ADMIN,
        ("POST", f"{LAB}/keystore/restore"): ADMIN,
        ("POST", f"{LAB}/keystore/password"): ADMIN,
        ("POST", f"{LAB}/keystore/import"): ADMIN,
    },
}  # fmt: skip


def filled(path: str) -> str:
    """Return a path with something in each place: numbers, and names that there are not."""
    known = {"dbid": "99", "version": "99", "play_id": str(UUID(int=1))}
    known["name"] = "console.css" if "assets" in path else "none.bin"
    return re.sub(r"\{(\w+)\}", lambda place: known.get(place[1], "none"), path)


async def documented(http: aiohttp.ClientSession, services: FourServices, service: str) -> Any:
    """Return the paths of a service's OpenAPI document."""
    async with http.get(services.urls[service] + DESCRIPTIONS[service]) as answer:
        assert answer.status == 200
        return yaml.safe_load(await answer.read())["paths"]


@pytest.mark.parametrize("service", SERVICES)
async def test_the_table_has_every_route(services: FourServices, service: str) -> None:
    """What a service describes of itself stands in the table, and nothing else."""
    async with aiohttp.ClientSession() as http:
        paths = await documented(http, services, service)
    methods = ("get", "post", "put", "delete", "patch")
    found = {(m.upper(), path) for path, item in paths.items() for m in item if m in methods}
    assert found == set(RIGHTS[service])


@pytest.mark.parametrize("service", SERVICES)
async def test_each_role_may_what_the_table_says(services: FourServices, service: str) -> None:
    """Nobody gets 401, a wrong role 403 with statusCode 5 (the store's: a sentence), and whoever
    may is heard; no request fails by a fault of the service.
    """
    async with aiohttp.ClientSession() as http:
        for (method, path), allowed in RIGHTS[service].items():
            url = services.urls[service] + filled(path)
            asked = [ask(http, method, url, role) for role in (None, *ROLES)]
            answers = dict(zip((None, *ROLES), await asyncio.gather(*asked), strict=True))
            for role, (status, body) in answers.items():
                case = (service, method, path, role, status, body[:200])
                assert status < 500 or status in (502, 503), case
                if allowed is OPEN:
                    assert status in (200, 404), case
                elif role is None:
                    assert status == 401, case
                elif allowed is ABSENT:
                    # The store looks at the method first, whatever is asked for.
                    assert status == 404 or (service == "store" and status in (403, 405)), case
                elif role in allowed:
                    assert status != 401, case
                    assert b'"statusCode":5' not in body.replace(b" ", b""), case
                else:
                    assert status == 403, case
                    assert service == "store" or b'"statusCode":5' in body.replace(b" ", b""), case
    assert services.alive()


async def ask(
    http: aiohttp.ClientSession, method: str, url: str, role: str | None
) -> tuple[int, bytes]:
    """Return status and body; a change carries an empty JSON object."""
    headers = {**sign_in(role=role), "X-Requested-With": "tests"}
    data = None if method == "GET" else b"{}"
    headers |= {} if data is None else {"Content-Type": "application/json"}
    async with http.request(method, url, headers=headers, data=data) as answer:
        return answer.status, await answer.read()


@pytest.mark.parametrize("service", SERVICES)
async def test_a_head_may_what_a_get_may(services: FourServices, service: str) -> None:
    """HEAD opens nothing that GET keeps closed."""
    async with aiohttp.ClientSession() as http:
        for (method, path), allowed in RIGHTS[service].items():
            if method != "GET" or allowed in (OPEN, ABSENT):
                continue
            url = services.urls[service] + filled(path)
            for role in (None, *(role for role in ROLES if role not in allowed)):
                status, _ = await ask(http, "HEAD", url, role)
                assert status in ((401,) if role is None else (403, 405)), (path, role, status)

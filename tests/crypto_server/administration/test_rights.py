"""Every address of the administration, for every kind of account, by password and by session."""

from __future__ import annotations

import pytest
from aiohttp import web

from crypto_server.administration.mounting import Administration
from service_shell.openapi import OPENAPI_PATH
from tests.crypto_server.administration.desk import TENANT, Desk, key_text, own
from tests.crypto_server.administration.test_deploying import deploy

OWN = own().recording().fingerprint
TOOL = {"X-Requested-With": "tests"}
PAIR = {"tenant": TENANT, "certificate": own(2).pem, "key": key_text(own(2))}
PASSWORD = {"password": "a password of some length"}
DATA = {"data": "AAAA", **PASSWORD}
#: What is asked, and the status for nora, who may reach another tenant only. 403: it is about all.
ASKED: list[tuple[str, str, object, int]] = [
    ("POST", "/lab/certificates", PAIR, 404),
    ("GET", f"/lab/certificates?tenant={TENANT}", None, 200),
    ("GET", "/lab/certificates", None, 200),
    ("GET", "/lab/certificates/expiring?days=9999", None, 200),
    ("GET", f"/lab/certificates/{OWN}", None, 404),
    ("GET", f"/lab/certificates/{OWN}?tenant={TENANT}", None, 404),
    ("DELETE", f"/lab/certificates/{OWN}?force=true", None, 404),
    ("DELETE", f"/lab/certificates/{OWN}?tenant={TENANT}&force=true", None, 404),
    ("POST", f"/lab/certificates/{OWN}/deployments", {"profile": 201}, 404),
    ("POST", f"/lab/certificates/{OWN}/deployments", {"profile": 101, "tenant": TENANT}, 404),
    ("DELETE", f"/lab/certificates/{OWN}/deployments/101", None, 404),
    ("DELETE", f"/lab/certificates/{OWN}/deployments/101?tenant={TENANT}", None, 404),
    ("POST", "/lab/agent-setup/keys", PAIR, 404),
    ("POST", "/lab/keystore/backup", PASSWORD, 403),
    ("POST", "/lab/keystore/restore", DATA, 403),
    ("POST", "/lab/keystore/password", PASSWORD, 403),
    ("POST", "/lab/keystore/import", {**DATA, "tenant": TENANT}, 404),
]
#: These are nobody's: they tell nothing of what is stored.
FREE = {("POST", "/lab/certificates/inspect"), ("POST", "/lab/session"), ("DELETE", "/lab/session")}


def test_table_is_whole(desk: Desk) -> None:
    """Every address that the administration has stands in the table."""
    app = web.Application()
    administration: Administration = desk.administration
    administration.add_to(app)
    routes = {
        (route.method, route.resource.canonical) for route in app.router.routes() if route.resource
    }
    asked = {
        (method, path.split("?")[0].replace(OWN, "{id}").replace("/101", "/{dbid}"))
        for method, path, _, _ in ASKED
    }
    described = {(method, OPENAPI_PATH) for method in ("GET", "HEAD")}
    assert routes - described == asked | FREE


@pytest.mark.parametrize("by", ["password", "session"])
async def test_another_tenants_administrator(desk: Desk, by: str) -> None:
    """Who is limited to a tenant neither sees nor changes what is another's, however signed in."""
    await desk.uploaded(own())
    await deploy(desk, OWN, 101)
    opened = await desk.ask("POST", "/lab/session", who="nora")
    session = {"Cookie": f"rcs_session={opened.cookie}", **TOOL}
    for method, path, said, status in ASKED:
        who, headers = ("nora", None) if by == "password" else (None, session)
        answer = await desk.ask(method, path, said, who=who, headers=headers)
        assert answer.status == status, (method, path, answer.body)
        if status == 200:
            assert answer.json["certificates"] == [], path
        assert b"example_ca" not in answer.body, (method, path)
    assert [entry.certificate.fingerprint for entry in desk.keystore.entries(TENANT)] == [OWN]
    assert desk.catalogue.profiles[101].options == {"certificates-1": OWN}


async def test_no_administrator(desk: Desk) -> None:
    """A listener is told so at every address, a stranger has to sign in; nothing is changed."""
    await desk.uploaded(own())
    before = len(desk.catalogue.asked)
    everything = [(method, path, said) for method, path, said, _ in ASKED]
    everything += [(method, path, {}) for method, path in FREE]
    for method, path, said in everything:
        answer = await desk.ask(method, path, said, who="anna")
        assert (answer.status, answer.json["statusCode"]) == (403, 5), (method, path)
        answer = await desk.ask(method, path, said, who=None)
        assert (answer.status, answer.json["statusCode"]) == (401, 3), (method, path)
        guessed = {"Cookie": f"rcs_session={'A' * 43}", **TOOL}
        answer = await desk.ask(method, path, said, who=None, headers=guessed)
        assert (answer.status, answer.sentence) == (401, "RCS is not available"), (method, path)
    assert len(desk.catalogue.asked) == before
    assert len(desk.keystore.entries(TENANT)) == 1

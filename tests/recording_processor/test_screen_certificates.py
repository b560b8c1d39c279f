"""Screen-recording certificates over HTTP: assigned, answered as pairs, removed with a warning."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from recording_format.certificates import certificate_alias
from recording_format.ivr_profile import Tenant
from recording_processor.catalogue.catalogue import Catalogue
from recording_processor.settings import ProcessorSettings
from tests.recording_format.authority import Issued, issue, recorder, root, rsa_key
from tests.recording_processor.asking import ask, get
from tests.recording_processor.conftest import Client, ClientOf, with_account
from tests.recording_processor.samples import CCID, Json

GROUP = f"/api/v2/ops/contact-centers/{CCID}/settings/screen-recording-encryption"


async def pairs(client: Client, role: str = "operator") -> dict[str, str]:
    """Return the group's settings by name."""
    told = (await get(client, GROUP, role=role))["settings"]
    return {each["name"]: each["value"] for each in told}


def body(issued: Issued, tenant: str | None = None) -> Json:
    """Return the body that assigns a certificate."""
    return {"certificate": issued.pem} | ({} if tenant is None else {"tenant": tenant})


def alias(issued: Issued, tenant: str = "Environment", dbid: int = 1) -> str:
    """Return the certificate's alias."""
    return certificate_alias(issued.recording(), tenant, dbid)


async def test_assigned_certificates_are_pairs(client: Client) -> None:
    """Each is answered as certificate-n and certificatealias-n; again it is the same."""
    assert (await get(client, GROUP))["encrypted"] is False
    first = await ask(client, "POST", GROUP, body(recorder(1)))
    assert (first["name"], first["alias"]) == ("certificate-1", alias(recorder(1)))
    assert first["id"] == recorder(1).recording().fingerprint
    for method in ("POST", "PUT"):
        again = await ask(client, method, GROUP, body(recorder(1)))
        assert again["name"] == "certificate-1"
    assert (await ask(client, "POST", GROUP, body(recorder(2))))["name"] == "certificate-2"
    assert (await get(client, GROUP))["encrypted"] is True
    assert await pairs(client) == {
        "certificate-1": recorder(1).pem,
        "certificatealias-1": alias(recorder(1)),
        "certificate-2": recorder(2).pem,
        "certificatealias-2": alias(recorder(2)),
    }


async def test_removing_the_last_warns(client: Client) -> None:
    """The others keep their numbers; with the last one encryption is off, for the future only."""
    for number in (1, 2, 3):
        await ask(client, "POST", GROUP, body(recorder(number)))
    fingerprint = recorder(2).recording().fingerprint
    assert await ask(client, "DELETE", f"{GROUP}/{fingerprint}") == {"statusCode": 0}
    assert await ask(client, "DELETE", f"{GROUP}?name=certificate-1") == {"statusCode": 0}
    assert set(await pairs(client)) == {"certificate-3", "certificatealias-3"}
    told = await ask(client, "DELETE", GROUP, {"name": "certificatealias-3"})
    assert told["warning"] == (
        "that was the last certificate of Environment, so from now on screen recordings are not"
        " encrypted; those that were made before stay as they are"
    )
    assert await pairs(client) == {}
    await ask(client, "DELETE", f"{GROUP}/certificate-3", status=404)
    assert (await ask(client, "POST", GROUP, body(recorder(3))))["name"] == "certificate-1"


async def test_dates_are_told(client: Client) -> None:
    """An expired certificate can be assigned, with a warning, and is a problem in the list."""
    ended = datetime(2001, 1, 1, tzinfo=UTC)
    past = issue("past", rsa_key(1), serial=5, not_before=ended, not_after=ended)
    told = await ask(client, "POST", GROUP, body(past))
    assert "has expired on 2001-01-01" in told["warning"]
    (problem,) = (await get(client, GROUP))["problems"]
    assert problem["name"] == "certificate-1"


@pytest.mark.parametrize(
    ("wrong", "status", "sentence"),
    [
        ({"certificate": "x"}, 400, "certificate holds no certificate"),
        ({}, 400, "certificate: it is missing"),
        ({**body(recorder(1)), "x": 1}, 400, "x: it is unknown"),
        (body(recorder(1), "Nowhere"), 404, "there is no such tenant"),
    ],
)
async def test_what_cannot_be_assigned(
    client: Client, wrong: Json, status: int, sentence: str
) -> None:
    """A ruined text, an unknown field or tenant: refused in a sentence."""
    told = await ask(client, "POST", GROUP, wrong, status=status)
    assert told["statusMessage"].startswith(sentence)
    assert await pairs(client) == {}


async def test_two_under_one_alias(client: Client) -> None:
    """Another certificate of the same issuer and serial would have the same alias: refused."""
    await ask(client, "POST", GROUP, body(recorder(1)))
    twin = issue("twin", rsa_key(2), issuer=root(), serial=10)
    told = await ask(client, "POST", GROUP, body(twin), status=400)
    assert "certificate-1 is another one of the same issuer and serial" in told["statusMessage"]


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("", None),
        ("?name=certificate-1", {"name": "certificate-2"}),
        ("/certificate-1?name=x", None),
    ],
)
async def test_one_is_named_to_be_removed(client: Client, path: str, named: Json | None) -> None:
    """None or two different names are refused."""
    await ask(client, "POST", GROUP, body(recorder(1)))
    await ask(client, "DELETE", GROUP + path, named, status=400)
    assert await pairs(client)


async def test_who_may(client: Client) -> None:
    """Admins change, operators look, nobody else; and only in this contact centre."""
    for role in ("mcp", "listener", "crypto", "processor"):
        await get(client, GROUP, role=role, status=403)
    for role in ("operator", "crypto", "listener"):
        for method in ("POST", "PUT", "DELETE"):
            await ask(client, method, GROUP, body(recorder(1)), role=role, status=403)
    for method in ("GET", "POST", "PUT", "DELETE"):
        await ask(client, method, GROUP.replace(CCID, "x"), body(recorder(1)), status=404)


@pytest.fixture
async def two_tenants(
    client_of: ClientOf, catalogue: Catalogue, settings: ProcessorSettings
) -> AsyncIterator[Client]:
    """A client of a processor with a second tenant and an administrator of it alone."""
    await catalogue.provision([Tenant(name="North", dbid=2)], [])
    async with client_of(with_account(settings, "north", ["admin"], ["North"])) as opened:
        yield opened


async def test_one_tenant_leaves_room_for_another(
    two_tenants: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenant has so many certificates at most; another tenant's do not count."""
    monkeypatch.setattr("recording_processor.screen_certificate.MAXIMUM", 1)
    await ask(two_tenants, "POST", GROUP, body(recorder(1), "Environment"))
    await ask(two_tenants, "POST", GROUP, body(recorder(1)), role="north")
    told = await ask(two_tenants, "POST", GROUP, body(recorder(2)), role="north", status=400)
    assert told["statusMessage"] == "certificate: the tenant has 1 of them, and no more may be"


async def test_tenants_are_apart(two_tenants: Client) -> None:
    """An administrator of one tenant sees, assigns and removes certificates of it alone."""
    client = two_tenants
    told = await ask(client, "POST", GROUP, body(recorder(1)), status=400)
    assert told["statusMessage"] == "tenant: it is missing, and there is more than one"
    await ask(client, "POST", GROUP, body(recorder(1), "Environment"))
    own = await ask(client, "POST", GROUP, body(recorder(1)), role="north")
    assert (own["name"], own["alias"]) == ("certificate-2", alias(recorder(1), "North", 2))
    other = body(recorder(2), "Environment")
    hidden = await ask(client, "POST", GROUP, other, role="north", status=404)
    unknown = body(recorder(2), "Nowhere")
    assert hidden == await ask(client, "POST", GROUP, unknown, role="north", status=404)
    assert set(await pairs(client, "north")) == {"certificate-2", "certificatealias-2"}
    for name in ("certificate-1", "certificate-9"):
        await ask(client, "DELETE", f"{GROUP}/{name}", role="north", status=404)
    fingerprint = recorder(1).recording().fingerprint
    gone = await ask(client, "DELETE", f"{GROUP}/{fingerprint.upper()}", role="north")
    assert "the last certificate of North," in gone["warning"]
    assert set(await pairs(client)) == {"certificate-1", "certificatealias-1"}

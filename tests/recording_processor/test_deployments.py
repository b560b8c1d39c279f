"""Certificates of profiles over HTTP: listed, deployed, withdrawn, for crypto_server and admins."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import cache

import pytest

from tests.recording_format.authority import Issued, issue, recorder, root, rsa_key
from tests.recording_processor.asking import ask, get
from tests.recording_processor.conftest import Client
from tests.recording_processor.samples import Json, profile

PROFILE = "/lab/profiles/101"
CERTIFICATES = f"{PROFILE}/certificates"
ENDLESS = datetime(2099, 1, 1, tzinfo=UTC)


@cache
def lasting(number: int = 1) -> Issued:
    """A recording certificate that does not expire while this is tested."""
    began = datetime(2020, 1, 1, tzinfo=UTC)
    return issue(
        f"lasting {number}",
        rsa_key(number),
        issuer=root(),
        serial=100 + number,
        not_before=began,
        not_after=ENDLESS,
    )


async def make(client: Client, certificates: dict[str, str] | None = None, dbid: int = 101) -> None:
    """Put a profile with these certificates."""
    body = profile(dbid, name=f"recording-{dbid}")
    body["sections"]["recording-certificates"] = certificates or {}
    await ask(client, "PUT", f"/lab/profiles/{dbid}", body)


async def options(client: Client) -> Json:
    """Return the profile's certificates."""
    found: Json = (await get(client, PROFILE, role="admin"))["sections"]["recording-certificates"]
    return found


def pem(issued: Issued) -> Json:
    """Return the body that deploys a certificate."""
    return {"certificate": issued.pem}


async def test_the_tenants_are_told(client: Client) -> None:
    """Name and DBID of every tenant, to admin, crypto and operator."""
    for role in ("admin", "crypto", "operator"):
        told = await get(client, "/lab/tenants", role=role)
        assert told == {"statusCode": 0, "tenants": [{"name": "Environment", "dbid": 1}]}
    for role in ("mcp", "listener", "processor"):
        await get(client, "/lab/tenants", role=role, status=403)


async def test_deployments_are_listed_without_passwords(client: Client) -> None:
    """Each certificate of each profile by its fingerprint, a ruined one by its problem."""
    good = lasting().recording()
    await make(client, {"certificates-2": lasting().pem, "certificates-10": "ruined"})
    told = await get(client, "/lab/deployments", role="crypto")
    first, second = told["deployments"]
    line = {"dbid": 101, "name": "recording-101", "tenant": "Environment"}
    assert first == {**line, "option": "certificates-2", "fingerprint": good.fingerprint}
    assert (second["option"], second["fingerprint"]) == ("certificates-10", None)
    assert "certificates-10" in second["problem"]
    assert told["profiles"] == [{**line, "records": True}]
    assert "secret" not in repr(told)
    for role in ("mcp", "operator", "listener", "processor"):
        await get(client, "/lab/deployments", role=role, status=403)


async def test_a_certificate_is_deployed_once(client: Client) -> None:
    """It gets the first free name; again, or rewrapped in other lines, it changes nothing."""
    await make(client)
    first = await ask(client, "POST", CERTIFICATES, pem(lasting()), role="crypto")
    assert first == {"statusCode": 0, "option": "certificates-1", "version": 2, "problems": []}
    assert await ask(client, "POST", CERTIFICATES, pem(lasting()), role="crypto") == first
    text = "Bag Attributes\r\n" + lasting().pem.replace("\n", "\r\n")
    assert await ask(client, "POST", CERTIFICATES, {"certificate": text}) == first
    second = await ask(client, "POST", CERTIFICATES, pem(lasting(2)))
    assert (second["option"], second["version"]) == ("certificates-2", 3)
    assert await options(client) == {
        "certificates-1": lasting().pem,
        "certificates-2": lasting(2).pem,
    }


async def test_a_withdrawn_certificate_leaves_the_others_their_names(client: Client) -> None:
    """Nothing is renumbered; the next certificate fills the gap."""
    await make(client, {f"certificates-{n}": lasting(n).pem for n in (1, 2, 3)})
    fingerprint = lasting(2).recording().fingerprint
    answer = await ask(client, "DELETE", f"{CERTIFICATES}/{fingerprint.upper()}", role="crypto")
    assert answer == {"statusCode": 0, "version": 2}
    assert set(await options(client)) == {"certificates-1", "certificates-3"}
    added = await ask(client, "POST", CERTIFICATES, pem(lasting(2)))
    assert added["option"] == "certificates-2"
    await ask(client, "DELETE", f"{CERTIFICATES}/certificates-3")
    assert set(await options(client)) == {"certificates-1", "certificates-2"}


async def test_a_ruined_certificate_is_removed_and_added_again(client: Client) -> None:
    """What the documents say of a ruined one: it goes by its name, and comes back under it."""
    ruined = lasting().pem.replace("\n", "")
    await make(client, {"certificates-1": ruined, "certificates-2": lasting(2).pem})
    await ask(client, "DELETE", f"{CERTIFICATES}/certificates-1")
    assert (await ask(client, "POST", CERTIFICATES, pem(lasting())))["option"] == "certificates-1"


@pytest.mark.parametrize(
    ("unencrypted", "warning"),
    [
        ("", "the profile has no certificate now, so no call can be recorded with it"),
        ("fixed,true", "the profile has no certificate now, so its next recordings are not"),
    ],
)
async def test_the_last_certificate_warns(client: Client, unencrypted: str, warning: str) -> None:
    """Without any certificate the profile cannot record, or records in plain: the answer says."""
    body = profile(101, {"lab.unencrypted": unencrypted} if unencrypted else {})
    body["sections"]["recording-certificates"] = {"certificates-1": lasting().pem}
    await ask(client, "PUT", PROFILE, body)
    answer = await ask(client, "DELETE", f"{CERTIFICATES}/certificates-1")
    assert answer["warning"].startswith(warning)


async def test_what_is_not_deployed_cannot_be_withdrawn(client: Client) -> None:
    """An unknown fingerprint, option or profile is 404, and makes no version."""
    await make(client, {"certificates-1": lasting().pem})
    for path in (
        f"{CERTIFICATES}/{'0' * 64}",
        f"{CERTIFICATES}/certificates-2",
        f"{CERTIFICATES}/certificates-01",
        "/lab/profiles/7/certificates/certificates-1",
    ):
        answer = await ask(client, "DELETE", path, status=404)
        assert answer["statusCode"] == 6
    await ask(client, "POST", "/lab/profiles/7/certificates", pem(lasting()), status=404)
    assert (await get(client, "/lab/profiles", role="mcp"))["version"] == 1


async def test_what_is_no_certificate_is_refused(client: Client) -> None:
    """A ruined text, two certificates, an unknown field: 400 in a sentence."""
    await make(client)
    for body, sentence in (
        ({"certificate": "x"}, "certificate holds no certificate in PEM"),
        ({"certificate": lasting().pem + lasting(2).pem}, "certificate holds 2 certificates"),
        ({"certificate": lasting().pem.replace("\n", "")}, "certificate is ruined"),
        ({}, "certificate: it is missing"),
        ({**pem(lasting()), "key": "k"}, "key: it is unknown"),
        ({**pem(lasting()), "by": "a\nb"}, "by: it is not a name"),
    ):
        answer = await ask(client, "POST", CERTIFICATES, body, status=400)
        assert answer["statusMessage"].startswith(sentence)


async def test_two_that_no_envelope_tells_apart(client: Client) -> None:
    """Another certificate of the same issuer and serial is 409: envelopes name only these."""
    await make(client, {"certificates-1": recorder(1).pem})
    twin = issue("twin", rsa_key(2), issuer=root(), serial=10)
    answer = await ask(client, "POST", CERTIFICATES, pem(twin), status=409)
    assert "same issuer" in answer["statusMessage"]
    assert await options(client) == {"certificates-1": recorder(1).pem}


async def test_dates_are_reported(client: Client) -> None:
    """An expired certificate and one of the future can be deployed, and are problems by name."""
    long_ago, far_off = datetime(2001, 1, 1, tzinfo=UTC), datetime(2098, 1, 1, tzinfo=UTC)
    past = issue("past", rsa_key(1), serial=5, not_before=long_ago, not_after=long_ago)
    future = issue("future", rsa_key(1), serial=6, not_before=far_off, not_after=ENDLESS)
    await make(client, {"certificates-1": lasting().pem})
    await ask(client, "POST", CERTIFICATES, pem(past))
    told = (await ask(client, "POST", CERTIFICATES, pem(future)))["problems"]
    assert [each["option"] for each in told] == ["certificates-2", "certificates-3"]
    assert "has expired on 2001-01-01" in told[0]["problem"]
    assert "is not valid before 2098-01-01" in told[1]["problem"]


async def test_the_history_names_the_person(client: Client) -> None:
    """A change that crypto_server makes for somebody is theirs in the history."""
    await make(client)
    await ask(client, "POST", CERTIFICATES, {**pem(lasting()), "by": "alice"}, role="crypto")
    await ask(client, "DELETE", f"{CERTIFICATES}/certificates-1?by=bob", role="crypto")
    told = await get(client, f"{PROFILE}/versions", role="admin")
    assert [each["changedBy"] for each in told["versions"]] == [
        "bob (by crypto)",
        "alice (by crypto)",
        "admin",
    ]


async def test_a_deployment_wakes_the_platform(client: Client) -> None:
    """A long poll gets the certificate at once."""
    await make(client)
    async with asyncio.TaskGroup() as group, asyncio.timeout(20):
        path = "/lab/profiles?after=1&wait=60"
        poll = group.create_task(get(client, path, role="mcp"))
        while "reclab_processor_long_polls 1.0" not in await metrics(client):
            pass
        await ask(client, "POST", CERTIFICATES, pem(lasting()), role="crypto")
    (found,) = poll.result()["profiles"]
    assert found["sections"]["recording-certificates"] == {"certificates-1": lasting().pem}


async def metrics(client: Client) -> str:
    """Return the metrics."""
    async with client.get("/metrics") as answer:
        return await answer.text()


async def test_simultaneous_deployments_all_stand(client: Client) -> None:
    """Certificates that are deployed at the same moment get different names."""
    await make(client)
    certificates = [lasting(number) for number in range(1, 5)]
    await asyncio.gather(*(ask(client, "POST", CERTIFICATES, pem(c)) for c in certificates))
    assert sorted(await options(client)) == [f"certificates-{n}" for n in (1, 2, 3, 4)]
    assert set((await options(client)).values()) == {c.pem for c in certificates}

"""Deploying, taking back and deleting: what is refused, with which sentence, and what is done."""

from __future__ import annotations

import asyncio

import pytest

from crypto_server.administration.certificates import Held
from service_shell.accounts import Account
from tests.crypto_server.administration.desk import TENANT, Answer, Desk, key_text, own
from tests.crypto_server.administration.fake_catalogue import RUINED
from tests.recording_format.authority import NOW, YEAR, issue, root, rsa_key


async def deploy(desk: Desk, ident: str, profile: int, **said: object) -> Answer:
    """Ask for a deployment."""
    path = f"/lab/certificates/{ident}/deployments"
    return await desk.ask("POST", path, {"profile": profile, **said})


async def test_deploy_and_take_back(desk: Desk) -> None:
    """A profile gets the certificate once, in the name of who did it, and loses it again."""
    ident = await desk.uploaded(own())
    answer = await deploy(desk, ident, 101)
    assert answer.json == {"statusCode": 0, "option": "certificates-1", "version": 8}
    assert (await deploy(desk, ident, 101)).json["version"] == 8, "it is there already"
    [posted] = [body for method, _, body in desk.catalogue.asked if method == "POST"][:1]
    assert posted == {"certificate": own().recording().pem, "by": "ada"}
    answer = await desk.ask("DELETE", f"/lab/certificates/{ident}/deployments/101")
    assert (answer.json["version"], "no certificate now" in answer.json["warning"]) == (9, True)
    asked = [path for method, path, _ in desk.catalogue.asked if method == "DELETE"]
    assert asked == [f"/lab/profiles/101/certificates/{ident}?by=ada"]
    answer = await desk.ask("DELETE", f"/lab/certificates/{ident}/deployments/101")
    assert (answer.status, answer.sentence) == (404, "the profile has no such certificate")


async def test_beside_a_ruined_certificate(desk: Desk) -> None:
    """Another certificate of the profile that keeps calls from being recorded is told by name."""
    desk.catalogue.profiles[101].options["certificates-1"] = RUINED
    answer = await deploy(desk, await desk.uploaded(own()), 101)
    assert answer.json["option"] == "certificates-2"
    assert answer.json["problems"] == [{"option": "certificates-1", "problem": "it is ruined"}]


async def test_unknown_profile(desk: Desk) -> None:
    """A profile that is not there, or of a tenant out of reach, is unknown."""
    ident = await desk.uploaded(own(), tenant="North")
    answer = await deploy(desk, ident, 999)
    assert (answer.status, answer.sentence) == (404, "there is no profile 999")
    path = f"/lab/certificates/{ident}/deployments"
    answer = await desk.ask("POST", path, {"profile": 101}, who="nora")
    assert (answer.status, answer.sentence) == (404, "there is no profile 101")


async def test_profile_of_another_tenant(desk: Desk) -> None:
    """A certificate of one tenant goes into no profile of another."""
    ident = await desk.uploaded(own())
    answer = await deploy(desk, ident, 201)
    assert (answer.status, answer.json["statusCode"]) == (409, 2)
    assert answer.sentence == (
        "the profile record (201) is of tenant North: it takes no certificate of tenant Environment"
    )
    assert desk.catalogue.profiles[201].options == {}


async def test_not_yet_valid(desk: Desk) -> None:
    """A certificate that is not valid yet is deployed with a warning that names its day."""
    early = issue("early", rsa_key(3), issuer=root(), serial=30, not_before=NOW + YEAR / 365)
    answer = await deploy(desk, await desk.uploaded(early), 101)
    assert answer.status == 200
    assert "is not valid before 2026-03-02" in answer.json["warning"]


async def test_expired(desk: Desk) -> None:
    """An expired certificate is not deployed: every call would be refused."""
    ident = await desk.uploaded(own())
    desk.clock.at = NOW + YEAR * 1.1
    answer = await deploy(desk, ident, 101)
    assert answer.status == 409
    assert "it is not deployed: the certificate" in answer.sentence
    assert "expired on" in answer.sentence
    assert desk.catalogue.profiles[101].options == {}


async def test_untrusted(desk: Desk) -> None:
    """A certificate whose CA has left the CA file is not deployed."""
    ident = await desk.uploaded(own())
    desk.ca_file.write_text(issue("another CA", rsa_key(3), serial=2, authority=True).pem)
    answer = await deploy(desk, ident, 101)
    assert answer.status == 409
    assert "is not trusted" in answer.sentence


async def test_deploy_after_the_key_has_gone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waited while another took the key away does not deploy what nobody could play."""
    ident = await desk.uploaded(own())
    certificates = desk.administration.certificates
    find = certificates.find

    async def find_and_lose(account: Account, fingerprint: str, tenant: str | None) -> Held:
        held = await find(account, fingerprint, tenant)
        desk.keystore.remove(TENANT, fingerprint)
        return held

    monkeypatch.setattr(certificates, "find", find_and_lose)
    answer = await deploy(desk, ident, 101)
    assert (answer.status, answer.json["statusCode"]) == (404, 6)
    assert "in the keystore) is gone meanwhile" in answer.sentence
    assert desk.catalogue.profiles[101].options == {}


async def test_take_back_what_has_no_key(desk: Desk) -> None:
    """A profile loses a certificate whose key was deleted by force, and says so in the audit."""
    ident = await desk.uploaded(own())
    await deploy(desk, ident, 101)
    await desk.ask("DELETE", f"/lab/certificates/{ident}?force=true")
    path = f"/lab/certificates/{ident}/deployments/101"
    answer = await desk.ask("DELETE", f"{path}?tenant=North")
    assert (answer.status, desk.lines()[-1]["outcome"]) == (404, "unknown")
    assert (await desk.ask("DELETE", path, who="nora")).status == 404
    assert (await desk.ask("DELETE", path)).status == 200
    assert desk.catalogue.profiles[101].options == {}
    line = desk.lines()[-1]
    assert (line["certificate"], line["tenant"], line["profile"]) == (ident, TENANT, 101)


async def test_take_back_by_id_only(desk: Desk) -> None:
    """An option's name, which the processor would take, is no certificate's id."""
    await deploy(desk, await desk.uploaded(own()), 101)
    answer = await desk.ask("DELETE", "/lab/certificates/certificates-1/deployments/101")
    assert (answer.status, answer.json["statusCode"]) == (404, 6)
    assert desk.catalogue.profiles[101].options


async def test_bad_profile_names(desk: Desk) -> None:
    """A profile is named by its DBID in the path and in the body."""
    ident = await desk.uploaded(own())
    answer = await desk.ask("DELETE", f"/lab/certificates/{ident}/deployments/recording")
    assert "by its DBID" in answer.sentence
    path = f"/lab/certificates/{ident}/deployments"
    assert (await desk.ask("POST", path, {"profile": "recording"})).status == 400


async def test_delete_what_nothing_needs(desk: Desk) -> None:
    """A certificate that nobody needs goes, with its key."""
    ident = await desk.uploaded(own())
    await desk.uploaded(own(2))
    answer = await desk.ask("DELETE", f"/lab/certificates/{ident}")
    assert (answer.status, answer.json) == (200, {"statusCode": 0})
    assert [entry.certificate for entry in desk.keystore.entries(TENANT)] == [own(2).recording()]
    [need] = [body for _, path, body in desk.catalogue.asked if path == "/lab/recordings/need"]
    alias = "rcs_Environment:1:C=US,ST=CA,L=Example,O=Example,CN=example_ca:"
    assert need == {"tenant": TENANT, "alias": f"{alias}10", "others": [f"{alias}11"]}
    assert (await desk.ask("DELETE", f"/lab/certificates/{ident}")).status == 404


@pytest.mark.parametrize(
    ("orphaned", "deployed", "sentence"),
    [
        (1, False, "1 recording could never be played again"),
        (3, False, "3 recordings could never be played again"),
        (0, True, "it is deployed to recording (101)"),
        (2, True, "2 recordings could never be played again and it is deployed to recording (101)"),
    ],
)
async def test_delete_what_is_needed(
    desk: Desk, orphaned: int, deployed: bool, sentence: str
) -> None:
    """What recordings or profiles need stays, with the number and the names; force deletes it."""
    ident = await desk.uploaded(own())
    desk.catalogue.orphaned = orphaned
    if deployed:
        desk.catalogue.deploy_now(101, own().recording())
    answer = await desk.ask("DELETE", f"/lab/certificates/{ident}")
    assert (answer.status, answer.json["statusCode"]) == (409, 2)
    assert f"is not deleted: {sentence}; `force`" in answer.sentence
    assert answer.json["recordings"] == orphaned
    assert answer.json["deployedTo"] == ([{"dbid": 101, "name": "recording"}] if deployed else [])
    assert len(desk.keystore.entries(TENANT)) == 1
    answer = await desk.ask("DELETE", f"/lab/certificates/{ident}?force=true")
    assert answer.status == 200
    assert sentence in answer.json["warning"]
    assert desk.keystore.entries(TENANT) == []


async def test_delete_while_the_processor_is_away(desk: Desk) -> None:
    """When nobody knows who needs a key it stays; force deletes it with a warning."""
    ident = await desk.uploaded(own())
    desk.catalogue.down = True
    answer = await desk.ask("DELETE", f"/lab/certificates/{ident}")
    assert (answer.status, answer.json["statusCode"]) == (502, 4)
    assert "nobody knows which recordings need this key" in answer.sentence
    assert len(desk.keystore.entries(TENANT)) == 1
    answer = await desk.ask("DELETE", f"/lab/certificates/{ident}?force=maybe")
    assert answer.sentence == "force is `true` or `false`"
    answer = await desk.ask("DELETE", f"/lab/certificates/{ident}?force=true")
    assert "nobody knows" in answer.json["warning"]
    assert desk.keystore.entries(TENANT) == []


async def test_last_two_keys_at_once(desk: Desk) -> None:
    """Of two keys that open the same recording one may go, also when both are asked for at once."""
    idents = [await desk.uploaded(own()), await desk.uploaded(own(2))]
    desk.catalogue.recordings = [{row["alias"] for row in await desk.rows()}]
    answers = await asyncio.gather(
        *(desk.ask("DELETE", f"/lab/certificates/{ident}") for ident in idents)
    )
    assert sorted(answer.status for answer in answers) == [200, 409]
    [refused] = [answer for answer in answers if answer.status == 409]
    assert refused.json["recordings"] == 1
    assert len(desk.keystore.entries(TENANT)) == 1


async def test_delete_of_an_entry_with_another_name(desk: Desk) -> None:
    """What an entry is called in the keystore does not matter: recordings name it by its alias."""
    desk.keystore.add(TENANT, "mykey", own().recording(), own().key)
    alias = "rcs_Environment:1:C=US,ST=CA,L=Example,O=Example,CN=example_ca:10"
    desk.catalogue.recordings = [{alias}]
    ident = own().recording().fingerprint
    answer = await desk.ask("DELETE", f"/lab/certificates/{ident}")
    assert (answer.status, answer.json["recordings"]) == (409, 1)


async def test_delete_for_a_tenant_that_is_gone(desk: Desk) -> None:
    """Recordings of a tenant that was taken away are asked for by the entry's own name."""
    desk.keystore.add("Gone", "rcs_Gone:9:x:1", own().recording(), own().key)
    desk.catalogue.recordings = [{"rcs_Gone:9:x:1"}]
    path = f"/lab/certificates/{own().recording().fingerprint}"
    assert (await desk.ask("DELETE", path)).status == 409
    desk.catalogue.recordings = []
    assert (await desk.ask("DELETE", path)).status == 200


async def test_agent_setup(desk: Desk) -> None:
    """The form stores the pair, deploys to the tenant's recording profile, shows Key and Alias."""
    said = {"tenant": TENANT, "certificate": own().pem, "key": key_text(own())}
    answer = await desk.ask("POST", "/lab/agent-setup/keys", said)
    alias = "rcs_Environment:1:C=US,ST=CA,L=Example,O=Example,CN=example_ca:10"
    assert answer.json == {"statusCode": 0, "key": "certificates-1", "alias": alias}
    assert list(desk.catalogue.profiles[101].options) == ["certificates-1"]
    assert len(desk.keystore.entries(TENANT)) == 1


async def test_agent_setup_without_a_key(desk: Desk) -> None:
    """The certificate alone is deployed too, with a warning: nobody could play it here."""
    said = {"tenant": TENANT, "certificate": own().pem}
    answer = await desk.ask("POST", "/lab/agent-setup/keys", said)
    assert "the keystore has no key for it" in answer.json["warning"]
    assert desk.keystore.entries(TENANT) == []
    early = issue("early", rsa_key(3), issuer=root(), serial=30, not_before=NOW + YEAR / 365)
    answer = await desk.ask("POST", "/lab/agent-setup/keys", said | {"certificate": early.pem})
    assert "the keystore has no key for it" in answer.json["warning"]
    assert "is not valid before 2026-03-02" in answer.json["warning"], "neither hides the other"


async def test_agent_setup_chooses_record(desk: Desk) -> None:
    """Among several the profile named `record` is meant; without one nothing is guessed."""
    profiles = desk.catalogue.profiles
    profiles[102].records = True
    said = {"tenant": TENANT, "certificate": own().pem, "key": key_text(own())}
    answer = await desk.ask("POST", "/lab/agent-setup/keys", said)
    assert answer.sentence == (
        "none of the profiles of tenant Environment is named `record`:"
        " recording (101), voicemail (102)"
    )
    assert desk.keystore.entries(TENANT) == [], "nothing is stored when nothing is deployed"
    profiles[102].name = "record"
    assert (await desk.ask("POST", "/lab/agent-setup/keys", said)).status == 200
    assert profiles[102].options
    assert not profiles[101].options


async def test_audit(desk: Desk) -> None:
    """Each change has a line: who, what, of which certificate, where to, and how it ended."""
    ident = await desk.uploaded(own())
    await deploy(desk, ident, 101)
    await deploy(desk, ident, 201)
    await desk.ask("DELETE", f"/lab/certificates/{ident}")
    await desk.ask("DELETE", f"/lab/certificates/{ident}", who="anna")
    await desk.rows()
    told = [
        (line["who"], line["action"], line["certificate"], line["profile"], line["outcome"])
        for line in desk.lines()
    ]
    assert told == [
        ("ada", "upload", ident, None, "done"),
        ("ada", "deploy", ident, 101, "done"),
        ("ada", "deploy", ident, 201, "refused"),
        ("ada", "delete", ident, None, "refused"),
        ("anna", "delete", None, None, "forbidden"),
    ]
    first = desk.lines()[0]
    assert (first["time"], first["tenant"]) == ("2026-03-01T12:00:00.000Z", TENANT)
    assert first["key_alias"].endswith("CN=example_ca:10")
    assert "is deployed to recording (101)" in desk.lines()[3]["reason"]

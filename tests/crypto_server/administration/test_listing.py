"""The list: its columns, the quick filter, tenants apart, and when the processor is away."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from crypto_server.administration.description import EMAIL_NOT_SET
from tests.crypto_server.administration.desk import TENANT, Desk, own, running_desk
from tests.crypto_server.administration.fake_catalogue import FakeCatalogue
from tests.recording_format.authority import NOW, YEAR, issue, root, rsa_key


def with_email() -> x509.Name:
    """A subject with an e-mail address."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "Cert1 User"),
            x509.NameAttribute(NameOID.EMAIL_ADDRESS, "cert1.user@example.com"),
        ]
    )


def without_common_name() -> x509.Name:
    """A subject of an organisation only."""
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example")])


async def fill(desk: Desk) -> None:
    """Three certificates of one tenant and one of another; one of them is deployed."""
    await desk.uploaded(own())
    await desk.uploaded(issue(with_email(), rsa_key(2), issuer=root(), serial=51))
    await desk.uploaded(issue(without_common_name(), rsa_key(3), issuer=root(), serial=52))
    await desk.uploaded(own(2), tenant="North")
    desk.catalogue.deploy_now(101, own().recording())
    desk.catalogue.deploy_now(102, own().recording())


async def test_columns(desk: Desk) -> None:
    """Issued To has name and address, as the panel shows them; the count is of profiles."""
    await fill(desk)
    rows = {row["serialNumber"]: row for row in await desk.rows(f"?tenant={TENANT}")}
    assert {serial: row["issuedTo"] for serial, row in rows.items()} == {
        "10": "recorder 1 (Email not set)",
        "51": "Cert1 User <cert1.user@example.com>",
        "52": "O=Example (Email not set)",
    }
    assert {row["issuedBy"] for row in rows.values()} == {"example_ca"}
    assert rows["10"]["deployedCount"] == 2
    assert rows["10"]["deployedTo"] == [
        {"dbid": 101, "name": "recording"},
        {"dbid": 102, "name": "voicemail"},
    ]
    assert rows["51"]["deployedCount"] == 0


async def test_names_that_are_no_names(desk: Desk) -> None:
    """Control characters of a stranger's name are written in hex; without a name it says so."""
    rude = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a\x1b[2J\tb\n")])
    await desk.uploaded(issue(rude, rsa_key(2), issuer=root(), serial=53))
    await desk.uploaded(issue(x509.Name([]), rsa_key(3), issuer=root(), serial=54))
    rows = {row["serialNumber"]: row["issuedTo"] for row in await desk.rows()}
    assert rows["53"] == f"a\\1B[2J\\09b\\0A {EMAIL_NOT_SET}"
    assert rows["54"] == f"without a name {EMAIL_NOT_SET}"


async def test_quick_filter(desk: Desk) -> None:
    """A row stays when one of its columns has the text, whatever its case."""
    await fill(desk)
    for text, serials in (
        ("CERT1", {"51"}),
        ("example.com", {"51"}),
        ("example_ca", {"10", "51", "52", "11"}),
        ("not set", {"10", "52", "11"}),
        ("north", {"11"}),
        ("valid", {"10", "51", "52", "11"}),
        ("serial", set()),
    ):
        found = {row["serialNumber"] for row in await desk.rows(f"?filter={text}")}
        assert found == serials, text


async def test_one(desk: Desk) -> None:
    """One certificate comes with its PEM text, and never with its key."""
    ident = await desk.uploaded(own())
    shown = (await desk.ask("GET", f"/lab/certificates/{ident}")).json["certificate"]
    assert shown["pem"] == own().recording().pem
    assert "PRIVATE" not in str(shown)


async def test_unknown_parameter(desk: Desk) -> None:
    """A parameter that does not exist is refused by name instead of being passed over."""
    answer = await desk.ask("GET", "/lab/certificates?teannt=North")
    assert (answer.status, answer.sentence) == (400, "'teannt' is not a parameter of this address")


async def test_processor_away(desk: Desk) -> None:
    """Without the processor the list still comes; where certificates are deployed is not known."""
    await fill(desk)
    desk.catalogue.down = True
    answer = (await desk.ask("GET", "/lab/certificates")).json
    assert len(answer["certificates"]) == 4
    assert {row["deployedCount"] for row in answer["certificates"]} == {None}
    assert "not known: the recording processor answered 503" in answer["note"]


async def test_tenants_are_apart(desk: Desk) -> None:
    """An administrator of one tenant sees, changes and learns nothing of another's."""
    await fill(desk)
    ident = own().recording().fingerprint
    assert [row["tenant"] for row in await desk.rows(who="nora")] == ["North"]
    assert await desk.rows(f"?tenant={TENANT}", who="nora") == []
    base = f"/lab/certificates/{ident}"
    asked: list[tuple[str, str, object]] = [
        ("GET", base, None),
        ("GET", f"{base}?tenant={TENANT}", None),
        ("DELETE", f"{base}?tenant={TENANT}&force=true", None),
        ("POST", f"{base}/deployments", {"profile": 101, "tenant": TENANT}),
        ("DELETE", f"{base}/deployments/101?tenant={TENANT}", None),
    ]
    for method, path, said in asked:
        answer = await desk.ask(method, path, said, who="nora")
        other = await desk.ask(method, path.replace(ident, "0" * 64), said, who="nora")
        assert (answer.status, answer.json["statusCode"]) == (404, 6), path
        assert answer.sentence == other.sentence.replace("0" * 64, ident)
    answer = await desk.upload(own(3), who="nora")
    assert (answer.status, answer.sentence) == (404, f"there is no tenant '{TENANT}'")
    answer = await desk.upload(own(3), who="nora", tenant="")
    assert answer.json["certificate"]["tenant"] == "North"
    for path in ("backup", "restore", "password"):
        answer = await desk.ask("POST", f"/lab/keystore/{path}", {}, who="nora")
        assert (answer.status, answer.json["statusCode"]) == (403, 5)


async def test_same_certificate_of_two_tenants(desk: Desk) -> None:
    """Where two tenants have one certificate, its tenant has to be said."""
    ident = await desk.uploaded(own())
    await desk.uploaded(own(), tenant="North")
    answer = await desk.ask("GET", f"/lab/certificates/{ident}")
    assert answer.status == 400
    assert "say which by `tenant`: Environment, North" in answer.sentence
    assert (await desk.ask("GET", f"/lab/certificates/{ident}?tenant=North")).status == 200
    assert (await desk.ask("GET", f"/lab/certificates/{ident}", who="nora")).status == 200


async def test_only_administrators(desk: Desk) -> None:
    """A listener is refused for its role, a stranger for its name."""
    for method, path in (("GET", ""), ("POST", ""), ("GET", "/expiring"), ("DELETE", "/x")):
        answer = await desk.ask(method, f"/lab/certificates{path}", who="anna")
        assert (answer.status, answer.json["statusCode"]) == (403, 5)
        answer = await desk.ask(method, f"/lab/certificates{path}", who=None)
        assert (answer.status, answer.json["statusCode"]) == (401, 3)


async def test_statuses_follow_the_time(desk: Desk) -> None:
    """What is shown is what holds now: expired after the last day, of the CA above it too."""
    await desk.uploaded(own())
    [row] = await desk.rows()
    assert row["status"] == "valid"
    desk.clock.at = NOW + YEAR * 1.1
    [row] = await desk.rows()
    assert (row["status"], row["trusted"]) == ("expired", True)
    assert "expired on 2027-03-01" in row["problem"]
    desk.clock.at = NOW - YEAR * 1.1
    [row] = await desk.rows()
    assert (row["status"], row["trusted"]) == ("not-yet-valid", True)


async def test_ca_taken_out_of_the_file(desk: Desk) -> None:
    """When the CA file no longer has the root, its certificates are shown as untrusted."""
    await desk.uploaded(own())
    desk.ca_file.write_text(issue("another CA", rsa_key(3), serial=2, authority=True).pem)
    [row] = await desk.rows()
    assert (row["status"], row["trusted"]) == ("untrusted", False)


async def test_ruined_ca_file(desk: Desk) -> None:
    """A CA file that is ruined while the server runs leaves the last good one in force."""
    await desk.uploaded(own())
    desk.ca_file.write_text("nothing")
    [row] = await desk.rows()
    assert row["status"] == "valid"


async def test_no_ca_file(tmp_path: Path, catalogue: FakeCatalogue) -> None:
    """Without a CA file nothing can be uploaded, and the sentence names the missing setting."""
    async with running_desk(tmp_path, catalogue, with_ca=False) as desk:
        answer = await desk.upload(own())
        assert (answer.status, answer.json["statusCode"]) == (409, 2)
        assert "set `ca_file` in the section `[validation]`" in answer.sentence
        assert "cacertstorepath" in answer.sentence

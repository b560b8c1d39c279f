"""Uploading: what is taken, what is refused and why, and what the form fills in."""

from __future__ import annotations

from io import BytesIO

import aiohttp
import msgspec
import pytest

from recording_format.certificates import RecordingCertificate
from tests.crypto_server.administration.desk import TENANT, Desk, key_text, own
from tests.recording_format.authority import NOW, YEAR, Issued, issue, key_pem, root, rsa_key

SECRET = "a password nobody may read"


def early() -> Issued:
    """A certificate whose first day is tomorrow."""
    return issue("early", rsa_key(3), issuer=root(), serial=30, not_before=NOW + YEAR / 365)


def late() -> Issued:
    """A certificate whose last day was yesterday."""
    return issue("late", rsa_key(3), issuer=root(), serial=31, not_after=NOW - YEAR / 365)


async def test_good_certificate(desk: Desk) -> None:
    """A good pair is stored under the tenant's alias, and answered as the form shows it."""
    answer = await desk.upload(own())
    assert answer.status == 201
    shown = answer.json["certificate"]
    certificate = own().recording()
    assert shown["id"] == certificate.fingerprint
    assert shown["alias"] == "rcs_Environment:1:C=US,ST=CA,L=Example,O=Example,CN=example_ca:10"
    assert shown["issuedTo"] == "recorder 1 (Email not set)"
    assert (shown["issuedBy"], shown["subjectName"]) == ("example_ca", "recorder 1")
    assert (shown["serialNumber"], shown["keyDetails"]) == ("10", "RSA 2048 bits")
    assert shown["subjectDN"] == "C=US,ST=CA,L=Example,O=Example,CN=recorder 1"
    assert shown["issuerDN"] == "C=US,ST=CA,L=Example,O=Example,CN=example_ca"
    assert (shown["status"], shown["trusted"]) == ("valid", True)
    assert (shown["deployedCount"], shown["deployedTo"]) == (0, [])
    assert shown["expires"] == "2027-03-01"
    assert "problem" not in shown
    [entry] = desk.keystore.entries(TENANT)
    assert (entry.certificate, entry.alias) == (certificate, shown["alias"])


async def test_same_again(desk: Desk) -> None:
    """The same pair again is no new certificate, and no error."""
    await desk.uploaded(own())
    assert (await desk.upload(own())).status == 200
    assert len(await desk.rows()) == 1


async def test_encrypted_key(desk: Desk) -> None:
    """A key under a password is taken with it; without, or with another, a sentence says so."""
    key = key_pem(own().key, password=SECRET).decode()
    answer = await desk.upload(own(), key=key)
    assert (answer.status, answer.json["statusCode"]) == (400, 2)
    assert "is encrypted, and its password is missing" in answer.sentence
    answer = await desk.upload(own(), key=key, password="another one")
    assert "its password is wrong" in answer.sentence
    assert (await desk.upload(own(), key=key, password=SECRET)).status == 201


async def test_multipart_form(desk: Desk) -> None:
    """Files of a form are taken as the same texts in JSON."""
    form = aiohttp.FormData()
    form.add_field("certificate", own().pem.encode(), filename="cert.pem")
    form.add_field("key", key_text(own()).encode(), filename="key.pem")
    form.add_field("password", "")
    form.add_field("tenant", TENANT)
    answer = await desk.ask("POST", "/lab/certificates", data=form)
    assert answer.status == 201, answer.body


@pytest.mark.parametrize(
    ("said", "status", "sentence"),
    [
        ({"certificate": "no PEM"}, 400, "the certificate file holds no certificate in PEM"),
        ({"key": "no PEM"}, 400, "file holds no private key in PEM"),
        ({"key": ""}, 400, "the key file is missing"),
        ({"tenant": "Nowhere"}, 404, "there is no tenant 'Nowhere'"),
        ({"tenant": ""}, 400, "say by `tenant` whose certificate it is"),
        ({"colour": "red"}, 400, "unknown field"),
        ({"certificate": 7}, 400, "expected `str`, got `int`"),
    ],
)
async def test_bad_form(desk: Desk, said: dict[str, object], status: int, sentence: str) -> None:
    """Each fault of the form is one sentence, and nothing is stored."""
    answer = await desk.upload(own(), **said)  # type: ignore[arg-type]  # who is not among them
    assert answer.status == status, answer.body
    assert sentence in answer.sentence
    assert desk.keystore.entries(TENANT) == []


async def test_long_body(desk: Desk) -> None:
    """A body over its limit is refused, in JSON and in a form."""
    json = {"Content-Type": "application/json"}
    long = BytesIO(b'{"certificate": "' + b"x" * 1_100_000)
    answer = await desk.ask("POST", "/lab/certificates", data=long, headers=json)
    assert (answer.status, answer.json["statusCode"]) == (413, 2)
    form = aiohttp.FormData()
    form.add_field("certificate", BytesIO(b"x" * 1_100_000), filename="cert.pem")
    answer = await desk.ask("POST", "/lab/certificates", data=form)
    assert (answer.status, answer.json["statusCode"]) == (413, 2)


async def test_bad_body(desk: Desk) -> None:
    """What is neither JSON nor a form is refused by its type, and broken JSON by its fault."""
    answer = await desk.ask("POST", "/lab/certificates", data={"a": "b"})
    assert (answer.status, answer.json["statusCode"]) == (415, 2)
    json = {"Content-Type": "application/json"}
    answer = await desk.ask("POST", "/lab/certificates", data=b"{", headers=json)
    assert answer.status == 400
    half = {"Content-Type": "multipart/form-data"}
    answer = await desk.ask("POST", "/lab/certificates", data=b"--x", headers=half)
    assert answer.status == 400
    answer = await desk.ask("POST", "/lab/certificates", data=b'{"key": "\xff"}', headers=json)
    assert (answer.status, answer.sentence) == (400, "the body is not UTF-8, as JSON has to be")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"a\r\n" * 500_000, 413),
        (b"--x\r\n\r\n" + b"a" * 1_100_000, 413),
        (b"--x\r\nContent-Disposition: form-data; name=_charset_\r\n\r\n" + b"u" * 40, 400),
        (b"--x\r\nContent-Disposition: form-data; name=_charset_\r\n\r\n\xff\r\n--x--", 400),
        (b"--x\r\nContent-Disposition: form-data; name=key\r\nContent-Type: multipart/a", 400),
        (b"--x\r\n" + b"A: b\r\n" * 50_000, 400),
        (b"--x\r\nContent-Disposition: form-data; name=key\r\n\r\n" + b"a\r\n" * 400_000, 413),
        (b"--x--\r\n" + b"a\r\n" * 10, 400),
        (b"", 400),
    ],
)
async def test_bad_form_bodies(desk: Desk, body: bytes, status: int) -> None:
    """A form that is none, or that goes on for ever before, in or between its parts, is refused."""
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    data = BytesIO(body)
    answer = await desk.ask("POST", "/lab/certificates", data=data, headers=form)
    assert answer.status == status, answer.body
    assert answer.json["statusCode"] == 2
    assert answer.sentence


@pytest.mark.parametrize(
    "text", [r'"\ud800"', r'"\u0000"', '"' + "-----BEGIN CERTIFICATE-----" * 3 + '"', "[]", "null"]
)
@pytest.mark.parametrize("field", ["certificate", "key", "password", "tenant"])
async def test_odd_texts(desk: Desk, field: str, text: str) -> None:
    """Texts that no form sends are refused in a sentence wherever they stand."""
    fields = {"certificate": own().pem, "key": key_text(own()), "tenant": TENANT, "password": ""}
    said = {name: msgspec.json.encode(value).decode() for name, value in fields.items()}
    body = ",".join(f'"{name}":{value}' for name, value in (said | {field: text}).items())
    json = {"Content-Type": "application/json"}
    answer = await desk.ask("POST", "/lab/certificates", data=f"{{{body}}}".encode(), headers=json)
    assert 400 <= answer.status < 500, answer.body
    assert answer.sentence


async def test_foreign_key(desk: Desk) -> None:
    """A key of another certificate is refused with the certificate's name."""
    answer = await desk.upload(own(), key=key_text(own(2)))
    assert answer.status == 400
    assert "the private key does not belong to the certificate C=US" in answer.sentence
    assert desk.keystore.entries(TENANT) == []


async def test_not_yet_valid(desk: Desk) -> None:
    """A certificate that is not valid yet is taken and shown as such; its day makes it valid."""
    shown = (await desk.upload(early())).json["certificate"]
    assert (shown["status"], shown["trusted"]) == ("not-yet-valid", True)
    assert "is not valid before 2026-03-02" in shown["problem"]
    desk.clock.pass_by(days=2)
    [row] = await desk.rows()
    assert row["status"] == "valid"


async def test_expired(desk: Desk) -> None:
    """An expired certificate is refused, unless it is wanted for old recordings."""
    answer = await desk.upload(late())
    assert (answer.status, answer.json["statusCode"]) == (400, 2)
    assert "expired on 2026-02-28" in answer.sentence
    assert "`acceptExpired`" in answer.sentence
    answer = await desk.upload(late(), acceptExpired=True)
    assert answer.status == 201
    assert (answer.json["certificate"]["status"], answer.json["certificate"]["trusted"]) == (
        "expired",
        True,
    )


@pytest.mark.parametrize("accept", [False, True])
@pytest.mark.parametrize(
    "dates",
    [{}, {"not_after": NOW - YEAR / 365}, {"not_before": NOW + YEAR / 365}],
    ids=["now", "expired", "not yet"],
)
async def test_untrusted(desk: Desk, dates: dict[str, object], accept: bool) -> None:
    """What no CA of ours has signed is refused whatever its dates are."""
    stranger = issue("stranger", rsa_key(3), serial=5, **dates)  # type: ignore[arg-type]  # dates only
    answer = await desk.upload(stranger, acceptExpired=accept)
    assert (answer.status, answer.json["statusCode"]) == (400, 2)
    assert "is not trusted" in answer.sentence
    assert desk.keystore.entries(TENANT) == []


async def test_small_key(desk: Desk) -> None:
    """A key below the floor is refused with its size."""
    small = issue("small", rsa_key(9, 1024), issuer=root(), serial=40)
    assert "1024 bits" in (await desk.upload(small)).sentence


async def test_self_signed_in_the_ca_file(desk: Desk) -> None:
    """A self-signed certificate is good as soon as the CA file has it, without a restart."""
    alone = issue("alone", rsa_key(3), serial=6)
    assert (await desk.upload(alone)).status == 400
    with desk.ca_file.open("a") as file:
        file.write(alone.pem)
    assert (await desk.upload(alone)).status == 201


async def test_processor_away(desk: Desk) -> None:
    """Without the processor nobody knows the tenant's DBID, so nothing is stored."""
    desk.catalogue.down = True
    answer = await desk.upload(own())
    assert (answer.status, answer.json["statusCode"]) == (502, 4)
    assert desk.keystore.entries(TENANT) == []


async def test_same_issuer_and_serial(desk: Desk) -> None:
    """Another certificate of the same issuer and serial is refused: envelopes could not tell."""
    await desk.uploaded(own())
    twin = issue("twin", rsa_key(3), issuer=root(), serial=10)
    answer = await desk.upload(twin)
    assert (answer.status, answer.json["statusCode"]) == (409, 2)


async def test_inspect(desk: Desk) -> None:
    """The form's fields come without storing; a key whose password is missing is no error yet."""
    said = {"certificate": own().pem}
    shown = (await desk.ask("POST", "/lab/certificates/inspect", said)).json
    assert shown["certificate"]["subjectName"] == "recorder 1"
    assert "key" not in shown
    said["key"] = key_pem(own().key, password=SECRET).decode()
    shown = (await desk.ask("POST", "/lab/certificates/inspect", said)).json
    assert "password is missing" in shown["key"]["problem"]
    said["password"] = SECRET
    shown = (await desk.ask("POST", "/lab/certificates/inspect", said)).json
    assert shown["key"] == {"details": "RSA 2048 bits", "matches": True}
    shown = (
        await desk.ask("POST", "/lab/certificates/inspect", {**said, "certificate": own(2).pem})
    ).json
    assert shown["key"]["matches"] is False
    assert desk.keystore.entries(TENANT) == []


async def test_secrets_stay_out_of_what_is_written(
    desk: Desk, capfd: pytest.CaptureFixture[str]
) -> None:
    """Keys and passwords are in no answer, audit line or log, whether it went well or not."""
    key = key_pem(own().key, password=SECRET).decode()
    answers = [
        await desk.upload(own(), key=key, password=SECRET),
        await desk.upload(own(2), key=key, password=SECRET),
        await desk.upload(own(), certificate=key, password=SECRET),
        await desk.upload(own(), tenant="Nowhere", key=key, password=SECRET),
        await desk.ask("POST", "/lab/certificates/inspect", {"certificate": key, "key": key}),
        await desk.upload(own(), tenant=key),
        await desk.ask("POST", "/lab/agent-setup/keys", {"certificate": own().pem, "tenant": key}),
        await desk.ask(
            "POST",
            f"/lab/certificates/{own().recording().fingerprint}/deployments",
            {"profile": 101, "tenant": key},
        ),
        await desk.ask(
            "POST", "/lab/keystore/import", {"data": "", "password": SECRET, "tenant": key}
        ),
    ]
    statuses = [answer.status for answer in answers]
    assert statuses == [201, 400, 400, 404, 400, 404, 404, 409, 404]
    written = capfd.readouterr()
    everything = [answer.body.decode() for answer in answers]
    everything += [desk.audit_file.read_text(), written.out, written.err]
    inside = key.splitlines()[5]
    for text in everything:
        assert SECRET not in text
        assert inside not in text
        assert "PRIVATE KEY-----" not in text


def test_certificates_of_these_tests_are_what_they_say() -> None:
    """The tests' own certificates are whole, so that refusals are about what they seem."""
    for issued in (own(), early(), late()):
        assert RecordingCertificate.load(issued.pem, name="x").key_bits == 2048

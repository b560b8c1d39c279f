"""The command lines that administrators of the real thing are given, typed here as they stand.

What OpenSSL makes by them is read here, what is made here is read by them. Placeholders are filled
in; nothing else is changed but what printing did to a line: line breaks, and ``0=`` for ``O=``.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from service_shell.accounts import hash_password
from tests.end_to_end.administrator import Administrator, Desk, JsonDict
from tests.end_to_end.decoy_crypto_server import SOUND, Decoy, decoy_up
from tests.end_to_end.gnupg import gnupg_homes
from tests.end_to_end.lab_under_test import LabUnderTest, lab_up
from tests.peers import peer

pytestmark = [pytest.mark.peer, pytest.mark.slow]

REQUEST = "openssl req -nodes -newkey rsa:2048 -keyout private_key.pem -out cert.req -days 730"
KEY = "openssl genrsa -out tenant.key 2048"
SELF_SIGNED = (
    "openssl req -new -x509 -key tenant.key -out tenant.pem -days 3650 "
    '-subj "/CN=Genesys Recording/C=US/ST=California/O=Genesys"'
)
CONVERT = "openssl pkcs8 -topk8 -inform pem -in tenant.key -outform pem -nocrypt -out private.pem"
BUNDLE = "cat crt_inter3.pem crt_inter2.pem crt_inter1.pem root_ca.pem > ca.pem"
DECRYPT = "openssl smime -decrypt -inform DER -in {file} -inkey {key} -out {out}"
SETTING = (
    "curl -u ops:ops -X POST -d @{file} "
    "{processor}/api/v2/ops/contact-centers/{ccid}/settings/screen-recording "
    '--header "Content-Type: application/json"; echo'
)
# What `openssl req` asks for, in its order, and an empty line for each of its further questions.
ANSWERS = "US\nCalifornia\nSpringfield\nExample & Sons, Inc.\nRepairs\nRecording\n\n\n\n"
CHAINED, SIGNED_BY_ITSELF, AGENT_SETUP, ONE_RECIPIENT = 401, 402, 403, 404


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabUnderTest]:
    """A lab in a node of its own place, with the manuals' account ``ops:ops``."""
    folder = tmp_path_factory.mktemp("reference") / "lab"
    doors = ("sip", "control", "store", "processor", "crypto")
    free = " ".join(f"--{door} 127.0.0.1:0" for door in doors)
    Desk(folder.parent).types(f"reclab prepare --data {folder} {free}")
    settings = tomllib.loads((folder / "etc" / "processor.toml").read_text())
    ops = {"name": "ops", "roles": ["admin"], "password_hash": hash_password("ops")}
    (folder / "lab.json").unlink()
    with pytest.MonkeyPatch.context() as environment:
        accounts = json.dumps([*settings["accounts"], ops])
        environment.setenv("RECLAB_PROCESSOR__ACCOUNTS", accounts)
        environment.setenv("RECLAB_PROCESSOR__NODE_PATH", "/US/AK")
        with lab_up(folder) as running:
            yield running


@pytest.fixture
def administrator(lab: LabUnderTest) -> Administrator:
    """The administrator of the module's lab."""
    return Administrator(lab)


@pytest.fixture
def desk(lab: LabUnderTest, tmp_path: Path) -> Desk:
    """An empty folder beside the module's lab."""
    peer("openssl")
    return Desk(tmp_path / "desk", lab)


def trust(lab: LabUnderTest, desk: Desk, *files: str) -> None:
    """Put certificates into the lab's CA file."""
    desk.types(f"cat {' '.join(files)} >> {lab.lab['ca_file']}")


def assert_opens(desk: Desk, administrator: Administrator, recording: JsonDict, key: str) -> None:
    """The documents' own line opens the exported file, and it is what the crypto server plays."""
    desk.types(f"reclab export {recording['id']} --out archived.bin")
    desk.types(DECRYPT.format(file="archived.bin", key=key, out="archived.wav"))
    sound = (desk / "archived.wav").read_bytes()
    assert sound == administrator.play(recording)
    assert len(sound) == int(recording["mediaFiles"][0]["size"]) > 1000


def make_authorities(desk: Desk) -> None:
    """A root and three intermediates under it, as `crt_inter1` to `3`, by plain OpenSSL."""
    desk.types(
        "openssl req -x509 -nodes -newkey rsa:2048 -keyout root_ca.key -out root_ca.pem -days 3650"
        ' -subj "/C=US/O=Trusted/CN=Root CA"'
    )
    (desk / "ca.ext").write_text("basicConstraints=critical,CA:TRUE\n")
    issuer = "root_ca"
    for number in (1, 2, 3):
        name = f"crt_inter{number}"
        desk.types(
            f"openssl req -nodes -newkey rsa:2048 -keyout {name}.key -out {name}.req"
            f' -subj "/C=US/O=Trusted/CN=Intermediate {number}"'
        )
        # OpenSSL can put the text of a certificate before its block: a bundle may hold it.
        desk.types(
            f"openssl x509 -req -in {name}.req -CA {issuer}.pem -CAkey {issuer}.key"
            f" -CAcreateserial -days 1825 -extfile ca.ext -text -out {name}.pem"
        )
        issuer = name


def test_chained_certificate(lab: LabUnderTest, administrator: Administrator, desk: Desk) -> None:
    """A request signed by the third intermediate: uploaded, deployed with its bundle, recorded."""
    said = desk.types(REQUEST, ANSWERS)
    assert "Common Name" in said, "the DN fields were asked for and answered"
    make_authorities(desk)
    desk.types(
        "openssl x509 -req -in cert.req -CA crt_inter3.pem -CAkey crt_inter3.key"
        " -CAcreateserial -days 730 -out cert.pem"
    )
    desk.types(BUNDLE)
    trust(lab, desk, "ca.pem")
    shown = administrator.upload(desk.text("cert.pem"), desk.text("private_key.pem"))
    assert (shown["subjectName"], shown["issuedBy"]) == ("Recording", "Intermediate 3")
    assert shown["issuedTo"] == "Recording (Email not set)"
    assert "O=Example & Sons\\, Inc." in shown["subjectDN"]
    assert shown["keyDetails"] == "RSA 2048 bits"
    administrator.profile(CHAINED, [], desk / "ca.pem")
    administrator.deploy(shown["id"], CHAINED)
    recording = administrator.call(CHAINED)
    assert recording["mediaFiles"][0]["certAlias"] == [shown["alias"]]
    assert_opens(desk, administrator, recording, "private_key.pem")


def test_self_signed_certificate(
    lab: LabUnderTest, administrator: Administrator, desk: Desk
) -> None:
    """Key, certificate and converted key by the documents' lines; either key file opens."""
    for line in (KEY, SELF_SIGNED, CONVERT):
        desk.types(line)
    trust(lab, desk, "tenant.pem")
    shown = administrator.upload(desk.text("tenant.pem"), desk.text("private.pem"))
    assert (
        shown["subjectDN"]
        == shown["issuerDN"]
        == "CN=Genesys Recording,C=US,ST=California,O=Genesys"
    )
    administrator.profile(SIGNED_BY_ITSELF, [], desk / "tenant.pem")
    administrator.deploy(shown["id"], SIGNED_BY_ITSELF)
    recording = administrator.call(SIGNED_BY_ITSELF)
    assert_opens(desk, administrator, recording, "tenant.key")
    assert_opens(desk, administrator, recording, "private.pem")


def test_line_as_it_was_scanned(administrator: Administrator, desk: Desk) -> None:
    """With ``0=`` instead of ``O=`` OpenSSL leaves the organisation out; the key pair is good."""
    desk.types(KEY)
    assert 'unknown subject name attribute "0"' in desk.types(SELF_SIGNED.replace("/O=", "/0="))
    said = {"certificate": desk.text("tenant.pem"), "key": desk.text("tenant.key")}
    url = f"{administrator.crypto}/lab/certificates/inspect"
    answer = administrator.ask("POST", url, said)
    assert "CN=Genesys Recording,C=US,ST=California" in json.dumps(answer)
    assert "RSA 2048 bits" in json.dumps(answer)


@pytest.mark.parametrize("traditional", [True, False], ids=["RSA PRIVATE KEY", "PRIVATE KEY"])
def test_key_forms(administrator: Administrator, desk: Desk, traditional: bool) -> None:
    """Old and new OpenSSL write `genrsa`'s key in two forms; both, and the encrypted, are read."""
    desk.types(KEY.replace("genrsa", "genrsa -traditional") if traditional else KEY)
    beginning = "-----BEGIN RSA PRIVATE KEY" if traditional else "-----BEGIN PRIVATE KEY"
    assert desk.text("tenant.key").startswith(beginning)
    desk.types(SELF_SIGNED)
    desk.types(CONVERT.replace("-nocrypt", "-passout pass:secret"))
    assert desk.text("private.pem").startswith("-----BEGIN ENCRYPTED PRIVATE KEY")
    url = f"{administrator.crypto}/lab/certificates/inspect"
    certificate = desk.text("tenant.pem")
    plain = administrator.ask(
        "POST", url, {"certificate": certificate, "key": desk.text("tenant.key")}
    )
    said = {"certificate": certificate, "key": desk.text("private.pem"), "password": "secret"}
    assert administrator.ask("POST", url, said) == plain


def test_made_here_and_read_there(lab: LabUnderTest, desk: Desk) -> None:
    """What `reclab cert` makes is what OpenSSL verifies: CA, certificates, a request, keys."""
    subject = '--subject "/CN=Genesys Recording/C=US/ST=California/O=Genesys"'
    desk.types('reclab cert new-ca "Example CA" --out ca')
    desk.types(f"reclab cert new --ca ca/ca.pem --ca-key ca/ca.key {subject} --out signed")
    desk.types(f"reclab cert new {subject} --out ours")
    desk.types(f"reclab cert new --self-signed {subject} --out own")
    desk.types(f"reclab cert new --csr {subject} --out asked")
    for bundle, file in (
        ("ca/ca.pem", "signed/cert.pem"),
        (lab.lab["ca_file"], "ours/cert.pem"),
        ("own/tenant.pem", "own/tenant.pem"),
    ):
        assert f"{file}: OK" in desk.types(f"openssl verify -CAfile {bundle} {file}")
        shown = desk.types(f"openssl x509 -in {file} -noout -subject")
        assert "CN = Genesys Recording, C = US, ST = California, O = Genesys" in shown
    assert "verify OK" in desk.types("openssl req -verify -noout -in asked/cert.req")
    desk.types(
        "openssl x509 -req -in asked/cert.req -CA ca/ca.pem -CAkey ca/ca.key -CAcreateserial"
        " -days 30 -out asked/cert.pem"
    )
    for folder in ("signed", "ours", "asked"):
        assert "RSA key ok" in desk.types(f"openssl rsa -check -noout -in {folder}/private_key.pem")
        modulus = [
            desk.types(f"openssl {kind} -noout -modulus -in {folder}/{file}")
            for kind, file in (("rsa", "private_key.pem"), ("x509", "cert.pem"))
        ]
        assert modulus[0] == modulus[1]


def test_agent_setup(lab: LabUnderTest, administrator: Administrator, desk: Desk) -> None:
    """The other cloud's form: PEM files in, Key and Alias out, and the next call is under them."""
    for line in (KEY, SELF_SIGNED, CONVERT):
        desk.types(line)
    trust(lab, desk, "tenant.pem")
    said = {
        "tenant": "Environment",
        "certificate": desk.text("tenant.pem"),
        "key": desk.text("private.pem"),
    }
    administrator.profile(AGENT_SETUP, [], name="record")
    answer = administrator.ask("POST", f"{administrator.crypto}/lab/agent-setup/keys", said)
    assert answer["key"] == "certificates-1"
    assert answer["alias"].startswith("rcs_Environment:1:CN=Genesys Recording,C=US,")
    url = f"{administrator.processor}/lab/profiles"
    administrator.wait_for_profiles(administrator.ask("GET", url)["version"])
    recording = administrator.call(AGENT_SETUP)
    assert recording["mediaFiles"][0]["certAlias"] == [answer["alias"]]
    assert_opens(desk, administrator, recording, "private.pem")


@pytest.fixture
def decoy() -> Iterator[Decoy]:
    """A crypto server that is none."""
    with decoy_up() as listening:
        yield listening


def test_decrypt_uri_prefix(
    lab: LabUnderTest, administrator: Administrator, desk: Desk, decoy: Decoy
) -> None:
    """Both `curl` lines: the only location serves all nodes, then the nearest one is asked."""
    peer("curl")
    recording = administrator.call(lab.lab["profile_dbid"])
    [media] = recording["mediaFiles"]
    url = f"{administrator.processor}/console{media['mediaPath']}"

    def put(file: str, location: str, rcs_uri: str) -> None:
        setting = {"name": "decrypt-uri-prefix", "location": location, "value": f"{rcs_uri}/rcs"}
        (desk / file).write_text(json.dumps(setting, indent=2))
        line = SETTING.format(file=file, processor=lab.lab["processor"], ccid=lab.lab["ccid"])
        assert '"statusCode":0' in desk.types(line).replace(" ", "")

    put("create_single_location", "/", decoy.rcs_uri)
    assert lab.get(url, "listener") == (200, SOUND)
    assert decoy.asked == [f"/rcs{media['mediaPath']}"]
    put("create_first_location", "/US", lab.lab["crypto"])
    put("create_second_location", "/DE", decoy.rcs_uri)
    assert lab.get(url, "listener") == (200, administrator.play(recording))
    assert len(decoy.asked) == 1


def test_archived_files(lab: LabUnderTest, administrator: Administrator, desk: Desk) -> None:
    """The documents' line opens each file of the archive's folders and of its zip alike."""
    peer("unzip")
    recording = administrator.call(lab.lab["profile_dbid"])
    sound = administrator.play(recording)
    key = lab.lab["keys"][recording["mediaFiles"][0]["certAlias"][0]]
    desk.types("reclab archive --filter tenant=Environment --out folders")
    desk.types("reclab archive --filter tenant=Environment --out zips --zip")
    desk.types("unzip -q -d unzipped zips/*.zip")
    for form in ("folders", "unzipped"):
        [folder] = (desk / form).rglob(recording["id"])
        day = recording["startTime"][:10]
        assert folder.relative_to(desk / form).parts[1:3] == ("Environment", day)
        described = json.loads((folder / "recording.json").read_text())["recording"]
        assert described["id"] == recording["id"]
        [file] = folder.glob("*.bin")
        desk.types(DECRYPT.format(file=file, key=key, out=f"{form}.wav"))
        assert (desk / f"{form}.wav").read_bytes() == sound


@pytest.fixture
def gnupg(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fresh home of GnuPG, which asks nobody: no revocation list, no person for a password."""
    with gnupg_homes() as homes:
        home = homes / "home"
        home.mkdir(mode=0o700)
        monkeypatch.setenv("GNUPGHOME", str(home))
        (home / "gpgsm.conf").write_text("disable-crl-checks\ndisable-dirmngr\n")
        (home / "gpg-agent.conf").write_text("allow-loopback-pinentry\n")
        yield home


def test_gpgsm_opens_an_archived_file(
    lab: LabUnderTest, administrator: Administrator, tmp_path: Path, gnupg: Path
) -> None:
    """GnuPG's S/MIME program takes CA, certificate and key, and decrypts an archived file."""
    desk = Desk(tmp_path / "desk", lab)
    certificate, key = (
        lab.folder / name for name in ("certificates/recording-1.pem", "keys/recording-1.key.pem")
    )
    # One recipient: of several, gpgsm ends with an error for each that it has no key of.
    administrator.profile(ONE_RECIPIENT, [certificate.read_text()])
    recording = administrator.call(ONE_RECIPIENT)
    desk.types(f"reclab export {recording['id']} --out archived.bin")
    said = desk.types(f"openssl x509 -in {lab.lab['ca_file']} -noout -fingerprint -sha1")
    (gnupg / "trustlist.txt").write_text(f"{said.strip().partition('=')[2]} S relax\n")
    # GnuPG 2.2 reads PKCS#12 in its old form only.
    desk.types(
        f"openssl pkcs12 -export -legacy -in {certificate} -inkey {key}"
        " -passout pass:secret -out key.p12"
    )
    gpgsm = "gpgsm --batch --pinentry-mode loopback --passphrase-fd 0"
    desk.types(f"gpgsm --batch --import {lab.lab['ca_file']}")
    assert "secret keys imported: 1" in desk.types(f"{gpgsm} --import key.p12", "secret\n")
    desk.types(f"{gpgsm} --output archived.wav --decrypt archived.bin", "secret\n")
    assert (desk / "archived.wav").read_bytes() == administrator.play(recording)


def test_keytool_lists_the_keystore(lab: LabUnderTest, tmp_path: Path) -> None:
    """Java's own program lists each entry of the keystore with its alias as a private key."""
    peer("keytool")
    desk = Desk(tmp_path / "desk", lab)
    password = lab.folder / "secrets" / "keystore.password"
    entries = sorted((lab.folder / "keystore" / "Environment").glob("*.p12"))
    assert len(entries) >= 2
    said = [
        desk.types(f"keytool -list -v -keystore {entry} -storepass:file {password}")
        for entry in entries[:2]
    ]
    assert all("Entry type: PrivateKeyEntry" in each for each in said)
    assert all("rcs_environment:1:" in each.lower() for each in said)

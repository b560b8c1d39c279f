"""``new-ca`` and ``new``: files that OpenSSL and an upload take, and nothing overwritten."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509

from reclab.cert.subject import parse_subject
from reclab.doors import USUAL_ADDRESSES
from reclab.pki import utc_now
from reclab.preparation import LabFolder, RecordingOptions, prepare
from recording_format.certificates import RecordingCertificate
from recording_format.private_keys import key_matches, load_private_key
from recording_format.trust import TrustStore
from service_shell.settings import SettingsError
from tests.peers import peer
from tests.reclab.cert.conftest import run


def sentence(*arguments: str | Path) -> str:
    """Run a command whose input is wrong; return its sentence."""
    result = run(*arguments)
    assert isinstance(result.exception, SettingsError), result.output
    return str(result.exception)


def load(path: Path) -> RecordingCertificate:
    """Read a certificate's file."""
    return RecordingCertificate.load(path.read_text(), name=path.name)


def openssl(*arguments: str | Path) -> str:
    """Run OpenSSL; return what it said."""
    done = subprocess.run(
        [peer("openssl"), *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_signed_by_a_ca(tmp_path: Path) -> None:
    """A CA and a certificate of it: trusted by that CA file, the keys private and matching."""
    assert run("new-ca", "Example CA", "--out", tmp_path).exit_code == 0
    ca = ("--ca", tmp_path / "ca.pem", "--ca-key", tmp_path / "ca.key")
    result = run("new", "--subject", "/C=US/CN=Recorder", "--days", "5", *ca, "--out", tmp_path)
    assert result.exit_code == 0, result.exception
    certificate = load(tmp_path / "cert.pem")
    TrustStore.from_pem((tmp_path / "ca.pem").read_text()).check(certificate, utc_now())
    assert certificate.subject == "C=US,CN=Recorder"
    assert (certificate.not_after - utc_now()).days in (4, 5)
    key = load_private_key((tmp_path / "private_key.pem").read_bytes(), name="key")
    assert key_matches(certificate, key)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes == {"ca.key": 0o600, "private_key.pem": 0o600, "ca.pem": 0o644, "cert.pem": 0o644}


def test_self_signed(tmp_path: Path) -> None:
    """The documents' names, its own issuer, trusted by itself only."""
    assert run("new", "--self-signed", "--out", tmp_path).exit_code == 0
    assert {file.name for file in tmp_path.iterdir()} == {"tenant.pem", "tenant.key"}
    certificate = load(tmp_path / "tenant.pem")
    assert certificate.subject == certificate.issuer
    TrustStore.from_pem((tmp_path / "tenant.pem").read_text()).check(certificate, utc_now())


def test_encrypted_key(tmp_path: Path) -> None:
    """The key is under the password of the file, in PKCS#8."""
    (tmp_path / "password").write_text("between us\n")
    arguments = ("--encrypt-key", "--password-file", tmp_path / "password")
    assert run("new", "--self-signed", "--out", tmp_path, *arguments).exit_code == 0
    text = (tmp_path / "tenant.key").read_bytes()
    assert text.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    load_private_key(text, "between us", name="key")


@pytest.mark.peer
def test_openssl_signs_the_request(tmp_path: Path) -> None:
    """The CSR way: OpenSSL verifies the request and signs it; what comes fits the key."""
    assert run("new-ca", "Third Party", "--out", tmp_path).exit_code == 0
    subject = "/C=US/O=Monster & Sons, Inc./CN=Interaction Recording"
    assert run("new", "--csr", "--subject", subject, "--out", tmp_path).exit_code == 0
    request, key = tmp_path / "cert.req", tmp_path / "private_key.pem"
    openssl("req", "-in", request, "-verify", "-noout")
    openssl(
        "x509", "-req", "-in", request, "-CA", tmp_path / "ca.pem", "-CAkey", tmp_path / "ca.key",
        "-set_serial", "7", "-out", tmp_path / "cert.pem",
    )  # fmt: skip
    certificate = load(tmp_path / "cert.pem")
    assert certificate.subject == r"C=US,O=Monster & Sons\, Inc.,CN=Interaction Recording"
    assert key_matches(certificate, load_private_key(key.read_bytes(), name="key"))
    openssl("verify", "-CAfile", tmp_path / "ca.pem", tmp_path / "cert.pem")


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_full_output(tmp_path: Path, more: tuple[str, ...]) -> None:
    """When what is told does not fit on the disk any more, that is one sentence."""
    assert run("new", "--self-signed", "--out", tmp_path).exit_code == 0
    own = str(tmp_path / "tenant.pem")
    command = [sys.executable, "-m", "reclab", "cert", "show", own, "--ca", own, *more]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    sentence = "reclab: standard output: no space left on device\n"
    assert (done.returncode, done.stderr) == (2, sentence)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A file that is there stays, as does its partner; --force replaces both."""
    assert run("new", "--self-signed", "--out", tmp_path).exit_code == 0
    before = (tmp_path / "tenant.pem").read_bytes()
    (tmp_path / "tenant.key").unlink()
    assert "tenant.pem is there already" in sentence("new", "--self-signed", "--out", tmp_path)
    assert not (tmp_path / "tenant.key").exists()
    assert run("new", "--self-signed", "--out", tmp_path, "--force").exit_code == 0
    assert (tmp_path / "tenant.pem").read_bytes() != before


def test_lab_keeps_its_ca(tmp_path: Path) -> None:
    """A prepared lab signs by itself: its CA's key lies there, for its owner only."""
    folder = LabFolder(tmp_path / "lab")
    prepare(folder, USUAL_ADDRESSES, RecordingOptions())
    assert stat.S_IMODE(folder.ca_key.stat().st_mode) == 0o600
    result = run("new", "--data", folder.root, "--out", tmp_path / "x")
    assert result.exit_code == 0, result.exception
    trust = TrustStore.from_pem(folder.ca_file.read_text())
    trust.check(load(tmp_path / "x" / "cert.pem"), utc_now())
    folder.ca_key.unlink()
    said = sentence("new", "--data", folder.root, "--out", tmp_path / "y")
    assert "this lab did not keep its CA's key" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--self-signed", "--csr"), "choose one of --ca, --self-signed and --csr"),
        (("--ca", "x"), "--ca and --ca-key go together"),
        (("--subject", "CN=x", "--csr"), "does not begin with a slash"),
        (("--password-file", "x"), "--password-file belongs to --encrypt-key"),
        (("--encrypt-key", "--csr"), "--encrypt-key needs --password-file"),
        (("--ca", "/no/ca.pem", "--ca-key", "/no/ca.key"), "/no/ca.key cannot be read"),
        ((), "ca.pem is not there: start a lab, name a CA"),
    ],
)
def test_bad_input(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    """Each bad option is one sentence, and nothing is written."""
    out = tmp_path / "out"
    assert said in sentence("new", *arguments, "--out", out, "--data", tmp_path / "none")
    assert not out.exists()


def test_wrong_ca_key(tmp_path: Path) -> None:
    """A key that is not the CA's signs nothing."""
    assert run("new-ca", "One", "--out", tmp_path / "one").exit_code == 0
    assert run("new-ca", "Two", "--out", tmp_path / "two").exit_code == 0
    ca = ("--ca", tmp_path / "one" / "ca.pem", "--ca-key", tmp_path / "two" / "ca.key")
    said = sentence("new", *ca, "--out", tmp_path / "x")
    assert "ca.key is not the key of a certificate in" in said


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("/CN=a/C=US", "C=US,CN=a"),
        (r"/CN=a\/b/O=c\+d", r"O=c\+d,CN=a/b"),
        (
            "/CN=Genesys Recording/C=US/ST=California/O=Genesys",
            "O=Genesys,ST=California,C=US,CN=Genesys Recording",
        ),
        ("/O=a=b/cn=x", "CN=x,O=a=b"),
        ("/CN=a+UID=b", "CN=a+UID=b"),
        ("/CN=x/emailAddress=x@example.com", "1.2.840.113549.1.9.1=x@example.com,CN=x"),
    ],
)
def test_subjects(text: str, names: str) -> None:
    """Subjects are read as OpenSSL reads them, in their order (RFC 4514 writes the last first)."""
    read = parse_subject(text)
    assert read.name.rfc4514_string() == names
    assert read.warnings == ()


@pytest.mark.parametrize("text", ["", "CN=a", "/", "/CN", "/=a", "/CN=a\\", "/C=USA", "/O="])
def test_bad_subjects(text: str) -> None:
    """What is no subject is one sentence."""
    with pytest.raises(SettingsError, match=r"subject"):
        parse_subject(text)


def test_misprint_of_the_documents() -> None:
    """``0=`` for ``O=`` is left out with a warning, as OpenSSL does it."""
    read = parse_subject("/CN=Genesys Recording/C=US/0=Genesys")
    assert [str(a.value) for a in read.name] == ["Genesys Recording", "US"]
    assert "the letter O is meant?" in read.warnings[0]
    assert isinstance(read.name, x509.Name)

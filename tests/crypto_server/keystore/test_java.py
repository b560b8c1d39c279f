"""The keystore and Java's own program: what each writes, the other reads."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from crypto_server.ca_file import read_trust
from crypto_server.errors import CaFileError, KeystoreError
from crypto_server.keystore import Keystore
from crypto_server.keystore.import_entries import import_entries
from crypto_server.keystore.pkcs12_merging import merged_pkcs12
from tests.crypto_server.keystore.entries import entry, fill
from tests.peers import peer

ROOT = Path(__file__).parents[3]
PASSWORD = "a keystore password"
pytestmark = pytest.mark.peer
Keytool = Callable[..., str]


@pytest.fixture
def keytool(tmp_path: Path) -> Keytool:
    """Give what runs keytool in an empty folder, with the password in a file; returns its words."""
    program = peer("keytool")
    (tmp_path / "password").write_text(PASSWORD)

    def run(*arguments: str) -> str:
        command = [str(program), "-J-Duser.language=en", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def listed(output: str) -> dict[str, str]:
    """Return alias and SHA-256 of each private key that ``keytool -list`` shows."""
    found = re.findall(
        r"^(.+), [A-Z][a-z]{2} \d+, \d{4}, PrivateKeyEntry, ?\n.*\(SHA-256\): ([0-9A-F:]+)$",
        output,
        re.MULTILINE,
    )
    return {alias: digest.replace(":", "").lower() for alias, digest in found}


def test_documented_command_merges_all_keys(tmp_path: Path, keytool: Keytool) -> None:
    """The very lines of docs/keystore.md put the keys of all tenants into one Java keystore."""
    keystore = Keystore.open(tmp_path / "keystore", PASSWORD)
    owned = {
        ("North & South", 7): ["one", "two"],
        ("Environment", 1): ["one"],
    }
    expected: dict[str, str] = {}
    for (tenant, dbid), names in owned.items():
        for one in (entry(name, tenant, dbid) for name in names):
            fill(keystore, (tenant, one))
            expected[one.alias.lower()] = one.certificate.fingerprint
    (tmp_path / "keystore.password").write_text(PASSWORD)
    text = (ROOT / "docs" / "keystore.md").read_text(encoding="utf-8")
    command = text.partition("<!-- tested: merge -->\n```sh\n")[2].partition("```")[0]
    assert "keytool -importkeystore" in command
    subprocess.run(
        ["sh", "-e", "-c", command],
        cwd=tmp_path / "keystore",
        check=True,
        capture_output=True,
        timeout=120,
    )
    assert listed(_list(keytool, "all.p12")) == expected


def test_keytool_lists_an_entry_and_an_export(tmp_path: Path, keytool: Keytool) -> None:
    """Java reads the file of one entry, and one with several whose aliases it would confuse."""
    keystore = Keystore.open(tmp_path / "keystore", PASSWORD)
    one, other = entry("one"), entry("two")
    file = keystore.add("Environment", one.alias, one.certificate, one.private_key)
    assert listed(_list(keytool, str(file))) == {one.alias.lower(): one.certificate.fingerprint}
    shouted = type(other)(one.alias.upper(), other.certificate, other.private_key)
    (tmp_path / "merged.p12").write_bytes(merged_pkcs12([one, shouted], PASSWORD))
    assert listed(_list(keytool, "merged.p12")) == {
        one.alias.lower(): one.certificate.fingerprint,
        f"{one.alias.lower()} #{other.certificate.fingerprint[:8]}": other.certificate.fingerprint,
    }


def _list(keytool: Keytool, file: str) -> str:
    return keytool("-list", "-keystore", file, "-storepass:file", "password")


@pytest.mark.parametrize("legacy", [False, True])
def test_pkcs12_of_keytool_is_imported(tmp_path: Path, keytool: Keytool, legacy: bool) -> None:
    """Two keys of one file come out, encrypted as today or by 3DES and RC2 as before."""
    store = ("-keystore", "old.p12", "-storetype", "PKCS12", "-storepass:file", "password")
    flags = ["-J-Dkeystore.pkcs12.legacy"] if legacy else []
    for name in ("First", "second"):
        keytool(*flags, *_new_key(name), *store)
    data = (tmp_path / "old.p12").read_bytes()
    found = import_entries(data, PASSWORD, name="old.p12")
    assert [one.old_alias for one in found] == ["first", "second"]
    assert [one.certificate.subject for one in found] == ["CN=First", "CN=second"]
    for at in (40, len(data) // 2, len(data) - 60):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(KeystoreError):
            import_entries(changed, PASSWORD, name="old.p12")


def _new_key(name: str) -> tuple[str, ...]:
    key = ("-genkeypair", "-keyalg", "RSA", "-keysize", "2048")
    return (*key, "-alias", name, "-dname", f"CN={name}")


def test_jks_of_keytool_is_imported_and_jceks_refused(tmp_path: Path, keytool: Keytool) -> None:
    """A JKS key under its own password is read; a JCEKS is told with the converting command."""
    (tmp_path / "other").write_text("another password")
    store = ("-keystore", "old.jks", "-storetype", "JKS", "-storepass:file", "password")
    keytool(*_new_key("Mixed"), *store, "-keypass:file", "other")
    data = (tmp_path / "old.jks").read_bytes()
    (one,) = import_entries(data, PASSWORD, key_password="another password", name="old.jks")
    assert (one.old_alias, one.certificate.subject) == ("mixed", "CN=Mixed")
    with pytest.raises(KeystoreError, match=r"entry 'mixed' of old\.jks does not open"):
        import_entries(data, PASSWORD, name="old.jks")
    store = ("-keystore", "old.jceks", "-storetype", "JCEKS", "-storepass:file", "password")
    keytool(*_new_key("one"), *store)
    data = (tmp_path / "old.jceks").read_bytes()
    with pytest.raises(KeystoreError) as caught:
        import_entries(data, PASSWORD, name="old.jceks")
    told = re.search(r"`keytool (.*)`", str(caught.value))
    assert told is not None
    passwords = ("-srcstorepass:file", "password", "-deststorepass:file", "password")
    keytool(*told[1].split(), *passwords)
    assert import_entries((tmp_path / "new.p12").read_bytes(), PASSWORD, name="new.p12")


@pytest.mark.parametrize("kind", ["PKCS12", "JKS"])
def test_trust_store_of_keytool_is_a_ca_file(tmp_path: Path, keytool: Keytool, kind: str) -> None:
    """The roots of a Java trust store count, with its password and with no other."""
    store = ("-keystore", "trust", "-storetype", kind, "-storepass:file", "password")
    for name in ("one", "two"):
        (tmp_path / f"{name}.pem").write_text(entry(name).certificate.pem)
        keytool("-importcert", "-noprompt", "-alias", name, "-file", f"{name}.pem", *store)
    assert read_trust(tmp_path / "trust", PASSWORD).count == 2
    for wrong in ("", "another password"):
        with pytest.raises(CaFileError, match=f"the CA file {tmp_path}/trust does not open"):
            read_trust(tmp_path / "trust", wrong)


def test_openssl_reads_an_export(tmp_path: Path) -> None:
    """``openssl pkcs12`` opens a file with several keys, also with a password beyond ASCII."""
    openssl = peer("openssl")
    password = "pässword €"
    (tmp_path / "password").write_text(password)
    (tmp_path / "all.p12").write_bytes(merged_pkcs12([entry("one"), entry("two")], password))
    command = [str(openssl), "pkcs12", "-in", "all.p12", "-passin", "file:password", "-noenc"]
    shown = subprocess.run(
        command, cwd=tmp_path, capture_output=True, check=True, timeout=60, text=True
    ).stdout
    for name in ("one", "two"):
        assert entry(name).certificate.pem in shown
    assert shown.count("BEGIN PRIVATE KEY") == 2

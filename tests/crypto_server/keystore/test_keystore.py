"""The keystore: what is written, who finds it, and what it says about ruined files."""

from __future__ import annotations

import functools
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from crypto_server.errors import KeystoreError
from crypto_server.keystore import KeyEntry, Keystore
from tests.crypto_server.keys import TENANT, key_pair
from tests.crypto_server.keystore.entries import PASSWORD, UNUSABLE, add, envelope_for
from tests.peers import peer


def test_added_key_is_found_after_reopening(keystore: Keystore, tmp_path: Path) -> None:
    """What one process adds, another that opens the folder finds, with alias and same key."""
    pair = key_pair("one")
    add(keystore, pair)
    found = Keystore.open(tmp_path / "keystore", PASSWORD).find(TENANT, envelope_for(pair))
    assert found is not None
    assert found.alias == pair.alias
    assert found.certificate == pair.certificate
    assert found.private_key.private_numbers() == pair.private_key.private_numbers()


def test_key_added_by_another_process_is_found_without_reload(tmp_path: Path) -> None:
    """A key added to the folder while the keystore is open counts at the next look-up."""
    running = Keystore.open(tmp_path, PASSWORD)
    assert running.find(TENANT, envelope_for(key_pair("one"))) is None
    add(Keystore.open(tmp_path, PASSWORD), key_pair("one"))
    assert running.find(TENANT, envelope_for(key_pair("one"))) is not None


def test_removed_key_is_forgotten(keystore: Keystore) -> None:
    """A key whose file was deleted opens nothing any more."""
    file = add(keystore, key_pair("one"))
    assert keystore.find(TENANT, envelope_for(key_pair("one"))) is not None
    file.unlink()
    assert keystore.find(TENANT, envelope_for(key_pair("one"))) is None
    assert keystore.reload().keys == 0


def test_tenants_are_apart(keystore: Keystore) -> None:
    """A key of one tenant is never found for another one."""
    add(keystore, key_pair("one"), "Environment")
    add(keystore, key_pair("two"), "Other")
    assert keystore.find("Other", envelope_for(key_pair("one"))) is None
    assert keystore.find("Environment", envelope_for(key_pair("two"))) is None
    assert keystore.find("Third", envelope_for(key_pair("one"), key_pair("two"))) is None
    assert keystore.tenants() == ["Environment", "Other"]


def test_key_is_picked_by_issuer_and_serial(keystore: Keystore) -> None:
    """Of several keys the recipient's is found; the same issuer with another serial is not."""
    for serial in (1, 2, 3):
        add(keystore, key_pair("one", serial, key_label=f"key {serial}"))
    found = keystore.find(TENANT, envelope_for(key_pair("one", 2, key_label="key 2")))
    assert found is not None
    assert found.certificate.serial == 2
    assert keystore.find(TENANT, envelope_for(key_pair("one", 4, key_label="key 1"))) is None


def test_files_are_private_and_tell_nothing(keystore: Keystore, tmp_path: Path) -> None:
    """Folders are 0700, files 0600, no name holds a part of an alias, no temporary file stays."""
    pair = key_pair("one")
    file = add(keystore, pair)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert file.name == f"{pair.certificate.fingerprint}.p12"
    found = sorted(path for path in (tmp_path / "keystore").rglob("*") if path.is_file())
    assert [path for path in found if path.name not in (".lock", ".writing.lock")] == [file]
    assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {0o600}
    assert b"rcs_" not in file.read_bytes()


ODD_TENANTS = (
    "..",
    ".",
    "a/b",
    "/etc",
    "A B",
    "ä\n",
    ".hidden",
    "a%2Fb",
    "\0",
    "n\u0303",
    "ñ",
    "Ñ",
)


@pytest.mark.parametrize("tenant", ODD_TENANTS)
def test_any_tenant_name_stays_in_its_own_folder(tmp_path: Path, tenant: str) -> None:
    """Whatever a tenant is called, its folder lies directly in the keystore and is found again."""
    keystore = Keystore.open(tmp_path / "keystore", PASSWORD)
    file = add(keystore, key_pair("one"), tenant)
    assert file.parent.parent == tmp_path / "keystore"
    assert file.parent.resolve().parent == (tmp_path / "keystore").resolve()
    reopened = Keystore.open(tmp_path / "keystore", PASSWORD)
    assert reopened.tenants() == [tenant]
    assert reopened.find(tenant, envelope_for(key_pair("one"))) is not None
    for other in {*ODD_TENANTS, "/", "a", "%2E"} - {tenant}:
        assert reopened.entries(other) == [], "no other name leads there"


@pytest.mark.parametrize("tenant", ["", "ä" * 100])
def test_impossible_tenant_names_are_refused(keystore: Keystore, tenant: str) -> None:
    """A tenant without a name, or with one too long for a folder, is refused in a sentence."""
    with pytest.raises(KeystoreError, match="empty or too long"):
        add(keystore, key_pair("one"), tenant)


def test_wrong_password_is_said_at_start(keystore: Keystore, tmp_path: Path) -> None:
    """A password that opens no entry stops the start, and is not in the sentence."""
    add(keystore, key_pair("one"))
    with pytest.raises(KeystoreError, match="opens none of the 1 entries") as caught:
        Keystore.open(tmp_path / "keystore", "something else")
    assert "something else" not in str(caught.value)
    with pytest.raises(KeystoreError, match="password is empty"):
        Keystore.open(tmp_path / "keystore", "")


@pytest.mark.parametrize("ruin", [b"", b"nonsense", b"\x30\x82\x7f\xff"])
def test_ruined_file_is_reported_once_and_disturbs_no_other(
    keystore: Keystore, ruin: bytes
) -> None:
    """A file that is no entry is logged by name once, counted, and the other keys work."""
    file = add(keystore, key_pair("one"))
    file.with_name("ruined.p12").write_bytes(ruin)
    with capture_logs() as logs:
        assert keystore.find(TENANT, envelope_for(key_pair("one"))) is not None
        assert keystore.find(TENANT, envelope_for(key_pair("one"))) is not None
    unusable = [log["file"] for log in logs if log["event"] == UNUSABLE]
    assert unusable == [str(file.with_name("ruined.p12"))]
    assert keystore.count() == (1, 1)


def test_repaired_file_is_read_again(keystore: Keystore) -> None:
    """A file that was ruined and is put right again opens recordings without a restart."""
    file = add(keystore, key_pair("one"))
    good = file.read_bytes()
    for content, found in [(good, True), (b"ruined", False), (good, True)]:
        file.write_bytes(content)
        assert (keystore.find(TENANT, envelope_for(key_pair("one"))) is not None) is found


def test_oversized_and_foreign_entries_are_refused(keystore: Keystore) -> None:
    """A huge file is not read, and a PKCS#12 file with another kind of key is not an entry."""
    folder = add(keystore, key_pair("one")).parent
    (folder / "huge.p12").write_bytes(bytes(2 << 20))
    key = ec.generate_private_key(ec.SECP256R1())
    encryption = BestAvailableEncryption(PASSWORD.encode())
    data = pkcs12.serialize_key_and_certificates(b"ec", key, None, None, encryption)
    (folder / "ec.p12").write_bytes(data)
    with capture_logs() as logs:
        assert keystore.reload() == (1, 2)
    reasons = sorted(log["reason"] for log in logs if log["event"] == UNUSABLE)
    assert reasons == [
        "ec.p12 does not hold an RSA key with its certificate",
        "huge.p12 is too large for a keystore entry",
    ]


def test_key_must_belong_to_its_certificate(keystore: Keystore) -> None:
    """A key that is not the certificate's is refused, and nothing is written."""
    one, two = key_pair("one"), key_pair("two")
    with pytest.raises(KeystoreError, match="does not belong"):
        keystore.add(TENANT, one.alias, one.certificate, two.private_key)
    assert keystore.tenants() == []


def test_same_certificate_again_replaces_and_a_twin_is_refused(keystore: Keystore) -> None:
    """Adding twice keeps one entry; another certificate of the same recipient name is refused."""
    assert add(keystore, key_pair("one")) == add(keystore, key_pair("one"))
    assert keystore.count() == (0, 0) or len(keystore.entries(TENANT)) == 1
    twin = key_pair("one", key_label="another key")
    with pytest.raises(KeystoreError, match="another certificate under the alias"):
        keystore.add(TENANT, "a fresh alias", twin.certificate, twin.private_key)
    other = key_pair("two")
    with pytest.raises(KeystoreError, match="another certificate under the alias"):
        keystore.add(TENANT, key_pair("one").alias, other.certificate, other.private_key)
    assert [entry.certificate for entry in keystore.entries(TENANT)] == [
        key_pair("one").certificate
    ]


def test_failed_write_leaves_the_old_entry(
    keystore: Keystore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk says no in the middle, the old file is whole and nothing else is left."""
    file = add(keystore, key_pair("one"))
    before = file.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("crypto_server.keystore.private_files.os.fsync", full)
    with pytest.raises(KeystoreError, match="no space left"):
        add(keystore, key_pair("one"))
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_unusable_folder_is_one_sentence(tmp_path: Path) -> None:
    """A keystore folder that is a file is told with its name."""
    (tmp_path / "file").write_text("")
    with pytest.raises(KeystoreError, match=f"the keystore folder {tmp_path}/file cannot be used"):
        Keystore.open(tmp_path / "file", PASSWORD)


def test_entries_hide_their_keys() -> None:
    """Neither key nor password is in an entry's repr or in an error about it."""
    pair = key_pair("one")
    entry = KeyEntry(pair.alias, pair.certificate, pair.private_key)
    assert "private_key" not in repr(entry)
    with pytest.raises(KeystoreError) as caught:
        KeyEntry.from_pkcs12(entry.to_pkcs12(PASSWORD), "wrong password", name="x.p12")
    assert str(caught.value) == "x.p12 is not a PKCS#12 file that the keystore password opens"


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_ruined_entries_are_refused_in_a_sentence(data: st.DataObject) -> None:
    """A PKCS#12 file with changed bytes is either refused as such or still the same key."""
    pair = key_pair("one")
    good = KeyEntry(pair.alias, pair.certificate, pair.private_key).to_pkcs12(PASSWORD)
    at = data.draw(st.integers(0, len(good) - 1))
    ruined = good[:at] + data.draw(st.binary(max_size=4)) + good[at + 1 :]
    try:
        entry = KeyEntry.from_pkcs12(ruined, PASSWORD, name="x.p12")
    except KeystoreError:
        return
    assert entry.certificate == pair.certificate
    assert entry.private_key.private_numbers() == pair.private_key.private_numbers()


@pytest.mark.peer
def test_openssl_reads_an_entry(keystore: Keystore, tmp_path: Path) -> None:
    """``openssl pkcs12`` opens a file with the keystore password: same alias, certificate, key."""
    openssl = peer("openssl")
    pair = key_pair("one")
    file = add(keystore, pair)
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    command = [str(openssl), "pkcs12", "-in", str(file), "-passin", f"file:{password}", "-noenc"]
    shown = subprocess.run(command, capture_output=True, check=True, timeout=60, text=True).stdout
    assert f"friendlyName: {pair.alias}" in shown
    assert pair.certificate.pem in shown
    key = subprocess.run(
        [str(openssl), "rsa", "-modulus", "-noout"],
        input=shown,
        capture_output=True,
        check=True,
        timeout=60,
        text=True,
    ).stdout
    modulus = pair.private_key.public_key().public_numbers().n
    assert key.strip() == f"Modulus={modulus:X}"


@pytest.mark.peer
def test_entry_made_by_openssl_is_read(keystore: Keystore, tmp_path: Path) -> None:
    """A PKCS#12 file that ``openssl pkcs12 -export`` puts into the folder is an entry."""
    openssl = peer("openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = "/CN=made elsewhere"
    run = functools.partial(subprocess.run, check=True, capture_output=True, timeout=60)
    new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", subject]
    run([openssl, *new, "-keyout", key, "-out", certificate])
    folder = add(keystore, key_pair("one")).parent
    export = ["pkcs12", "-export", "-inkey", key, "-in", certificate, "-name", "theirs"]
    run([openssl, *export, "-passout", f"pass:{PASSWORD}", "-out", folder / "theirs.p12"])
    assert "theirs" in [entry.alias for entry in keystore.entries(TENANT)]

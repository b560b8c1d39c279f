"""``reclab keystore … --folder``: every command without a server, and what they refuse."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from crypto_server.keystore import Keystore
from crypto_server.keystore.import_entries import import_entries
from crypto_server.keystore.pkcs12_merging import merged_pkcs12
from tests.crypto_server.keystore.entries import content, entry, fill
from tests.reclab.keystore.running import bad_input, done, refused, secret

PASSWORD = "the keystore's password"


@pytest.fixture
def where(tmp_path: Path) -> list[str | Path]:
    """The options of a keystore with a key for each of two tenants."""
    keystore = Keystore.open(tmp_path / "keystore", PASSWORD)
    fill(keystore, ("Environment", entry("one")), ("North", entry("two", "North", 7)))
    keystore.close()
    password = secret(tmp_path, "keystore.password", PASSWORD)
    return ["--folder", tmp_path / "keystore", "--password-file", password]


def held(folder: Path, password: str = PASSWORD) -> dict[str, dict[str, int]]:
    """Return what the keystore in `folder` holds."""
    keystore = Keystore.open(folder, password)
    try:
        return content(keystore)
    finally:
        keystore.close()


def test_list(where: list[str | Path]) -> None:
    """Every key with its tenant, alias, last day and id: a table in a pipe, and JSON."""
    lines = done("list", *where).stdout.splitlines()
    assert lines[0].split("\t") == ["Tenant", "Alias", "Expires", "Id"]
    one, two = entry("one"), entry("two", "North", 7)
    assert lines[1].split("\t") == [
        "Environment",
        one.alias,
        "2036-01-01",
        one.certificate.fingerprint,
    ]
    rows = json.loads(done("list", *where, "--json").stdout)
    assert rows[1] == {
        "tenant": "North",
        "alias": two.alias,
        "id": two.certificate.fingerprint,
        "issuedTo": "CN=two",
        "issuedBy": "CN=two",
        "expires": "2036-01-01",
    }


def test_warnings_are_not_in_what_a_program_reads(where: list[str | Path], tmp_path: Path) -> None:
    """What is wrong with a file of the keystore goes to standard error, beside the JSON."""
    (tmp_path / "keystore" / "North" / "ruined.p12").write_bytes(b"ruined")
    command = [sys.executable, "-m", "reclab", "keystore", "list", "--json", *where]
    result = subprocess.run(command, capture_output=True, check=True, timeout=60, text=True)
    assert len(json.loads(result.stdout)) == 2
    assert "ruined.p12 is not a PKCS#12 file" in result.stderr


def test_backup_and_restore(where: list[str | Path], tmp_path: Path) -> None:
    """A backup is 0600, is not written over another file, and fills another keystore."""
    out = tmp_path / "keys.backup"
    its = ("--backup-password-file", secret(tmp_path, "backup.password", "the backup's"))
    done("backup", "--out", out, *its, *where)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    before = out.read_bytes()
    assert bad_input("backup", "--out", out, *its, *where) == (
        f"{out} is there already: say --force to replace it"
    )
    assert out.read_bytes() == before
    done("backup", "--out", out, *its, *where, "--force")
    assert out.read_bytes() != before
    (tmp_path / "other").mkdir()
    password = secret(tmp_path, "other.password", "other")
    other = ("--folder", tmp_path / "other", "--password-file", password)
    report = json.loads(done("restore", out, *its, *other, "--json").stdout)
    assert report == {"added": 2, "kept": 0, "replaced": 0}
    assert held(tmp_path / "other", "other") == held(tmp_path / "keystore")
    assert "0 keys were added, 2 were there already." in done("restore", out, *its, *other).stderr
    assert not list(tmp_path.glob(".*"))


def test_backup_that_cannot_be_written_leaves_nothing(
    where: list[str | Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is one sentence, and no part of a backup lies there afterwards."""
    its = ("--backup-password-file", secret(tmp_path, "backup.password", "the backup's"))
    keystore = Keystore.open(tmp_path / "keystore", PASSWORD)  # its own files are not on that disk

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("reclab.keystore.new_file.os.fsync", full)
    out = tmp_path / "out" / "keys.backup"
    out.parent.mkdir()
    said = bad_input("backup", "--out", out, *its, *where)
    assert said == f"{out} cannot be written: no space left on device"
    assert list(out.parent.iterdir()) == []
    keystore.close()


def test_wrong_backup_password_restores_nothing(where: list[str | Path], tmp_path: Path) -> None:
    """Another password, or another file, is one sentence with exit code 1."""
    out = tmp_path / "keys.backup"
    its = ("--backup-password-file", secret(tmp_path, "backup.password", "the backup's"))
    done("backup", "--out", out, *its, *where)
    wrong = ("--backup-password-file", secret(tmp_path, "wrong.password", "wrong"))
    assert "its password is another one" in refused("restore", out, *wrong, *where)
    assert refused("restore", its[1], *its, *where) == "the file is not a backup of a keystore"


def test_passwd(where: list[str | Path], tmp_path: Path) -> None:
    """The keystore opens with the new password, and the password file holds it."""
    before = held(tmp_path / "keystore")
    new = secret(tmp_path, "new.password", "the new pässword")
    said = done("passwd", "--new-password-file", new, *where).stderr
    assert "2 keys are encrypted with the new password." in said
    assert "keystore.password holds the new password." in said
    assert "keytool opens no keystore whose password" in said
    assert (tmp_path / "keystore.password").read_text() == "the new pässword\n"
    assert held(tmp_path / "keystore", "the new pässword") == before


def test_passwd_of_a_keystore_in_use_is_refused(where: list[str | Path], tmp_path: Path) -> None:
    """While a server has the keystore open, its password is not changed behind its back."""
    server = Keystore.open(tmp_path / "keystore", PASSWORD)
    new = secret(tmp_path, "new.password", "new")
    said = refused("passwd", "--new-password-file", new, *where)
    assert "is in use by another process" in said
    assert done("list", *where).stdout
    server.close()
    done("passwd", "--new-password-file", new, *where)


def test_import_takes_the_dbid_of_the_tenants_other_keys(
    where: list[str | Path], tmp_path: Path
) -> None:
    """Imported keys get the alias of recordings: the DBID is known from others, or said."""
    old = tmp_path / "old.p12"
    old.write_bytes(merged_pkcs12([entry("three"), entry("four")], "old"))
    its = ("--import-password-file", secret(tmp_path, "old.password", "old"))
    done("import", old, "--tenant", "North", "--alias", entry("three").alias, *its, *where)
    aliases = held(tmp_path / "keystore")["North"].keys()
    assert aliases == {entry(name, "North", 7).alias for name in ("two", "three")}
    said = refused("import", old, "--tenant", "New", *its, *where)
    assert said == "no alias tells the DBID of tenant New: say it by --dbid"
    result = done("import", old, "--tenant", "New", "--dbid", "9", *its, *where, "--json")
    assert json.loads(result.stdout) == {"added": 2, "kept": 0, "replaced": 0}
    assert entry("four", "New", 9).alias in held(tmp_path / "keystore")["New"]
    assert bad_input("import", old, *its, *where) == "say the tenant by --tenant"


def test_export(where: list[str | Path], tmp_path: Path) -> None:
    """One file per tenant, 0600, with the tenant's keys under the given password."""
    its = ("--export-password-file", secret(tmp_path, "java.password", "for java"))
    out = tmp_path / "java"
    files = [Path(line) for line in done("export", "--out", out, *its, *where).stdout.split()]
    assert files == [out / "Environment.p12", out / "North.p12"]
    for file, name in zip(files, ("one", "two"), strict=True):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        (found,) = import_entries(file.read_bytes(), "for java", name="file")
        assert found.certificate == entry(name).certificate
    assert "is there already" in bad_input("export", "--out", out, *its, *where)
    again = done("export", "--out", out, *its, *where, "--force", "--tenant", "North")
    assert again.stdout.split() == [str(out / "North.p12")]
    said = refused("export", "--out", out, *its, *where, "--tenant", "Nobody")
    assert said == "tenant Nobody has no keys"


def test_wrong_keystore_password_is_refused(where: list[str | Path], tmp_path: Path) -> None:
    """A keystore that does not open is a sentence with exit code 1, without the password."""
    wrong = secret(tmp_path, "wrong.password", "not this one")
    said = refused("list", "--folder", tmp_path / "keystore", "--password-file", wrong)
    assert said == f"the keystore password opens none of the 2 entries in {tmp_path}/keystore"


def test_bad_input_is_told(where: list[str | Path], tmp_path: Path) -> None:
    """Options that contradict each other and missing files are sentences with exit code 2."""
    missing = tmp_path / "missing"
    password = where[3]
    assert bad_input("list", "--folder", missing, "--password-file", password) == (
        f"there is no keystore folder {missing}"
    )
    assert not missing.exists()
    assert "--password-file belongs to --folder" in bad_input("list", "--password-file", password)
    assert "not both" in bad_input("list", *where, "--url", "http://127.0.0.1:1")
    assert "start a lab" in bad_input("list", "--data", tmp_path)
    assert "there is no terminal to ask for the keystore's password" in bad_input(
        "list", "--folder", tmp_path / "keystore"
    )
    assert f"{missing} cannot be read" in bad_input("restore", missing, *where)
    assert "is a folder" in bad_input("backup", "--out", tmp_path, *where)
    link = tmp_path / "link"
    link.symlink_to(missing)
    assert "is there already" in bad_input("backup", "--out", link, *where)


def test_passwords_can_be_typed(
    where: list[str | Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a terminal passwords are asked for, new ones twice, and never shown."""
    monkeypatch.setattr("reclab.keystore.passwords.at_terminal", lambda: True)
    folder = ("--folder", tmp_path / "keystore")
    typed = f"{PASSWORD}\nnew one\nnew one\n"
    result = done("passwd", *folder, typed=typed)
    assert "new one" not in result.output
    assert PASSWORD not in result.output
    assert "Give the new password to the crypto server before it starts." in result.stderr
    assert (tmp_path / "keystore.password").read_text() == f"{PASSWORD}\n"
    assert held(tmp_path / "keystore", "new one")

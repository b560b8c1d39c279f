"""The keystore's folder: what is removed, put, swept, and not followed."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from crypto_server.errors import KeystoreError
from crypto_server.keystore import KeyEntry, Keystore
from tests.crypto_server.keys import TENANT, key_pair
from tests.crypto_server.keystore.entries import PASSWORD, UNSAFE, UNUSABLE, add, envelope_for


def test_key_is_removed_from_one_tenant_only(keystore: Keystore) -> None:
    """`remove` gives the entry back, forgets its file at once, and leaves other tenants alone."""
    for tenant in ("Environment", "Other"):
        add(keystore, key_pair("one"), tenant)
    add(keystore, key_pair("two"))
    fingerprint = key_pair("one").certificate.fingerprint
    removed = keystore.remove("Environment", fingerprint)
    assert removed.certificate == key_pair("one").certificate
    assert keystore.entry("Environment", fingerprint) is None
    assert keystore.entry("Other", fingerprint) is not None
    assert len(keystore.entries("Environment")) == 1
    with pytest.raises(KeystoreError, match="tenant Environment has no key of the certificate"):
        keystore.remove("Environment", fingerprint)
    with pytest.raises(KeystoreError, match="tenant Nobody has no key"):
        keystore.remove("Nobody", fingerprint)


def test_key_in_a_file_of_another_name_is_removed_too(keystore: Keystore) -> None:
    """Every file that holds the certificate goes, whatever it is called."""
    file = add(keystore, key_pair("one"))
    file.with_name("copy.p12").write_bytes(file.read_bytes())
    keystore.remove(TENANT, key_pair("one").certificate.fingerprint)
    assert list(file.parent.glob("*.p12")) == []


def test_put_changes_all_or_nothing(keystore: Keystore) -> None:
    """One entry that clashes keeps all the others of the same call out, in every tenant."""
    add(keystore, key_pair("one"))
    twin = key_pair("one", key_label="another key")
    wanted = {
        "New": [KeyEntry("fresh", key_pair("two").certificate, key_pair("two").private_key)],
        TENANT: [KeyEntry("twin", twin.certificate, twin.private_key)],
    }
    with pytest.raises(KeystoreError, match=f"tenant {TENANT} has another certificate"):
        keystore.put(wanted)
    assert keystore.tenants() == [TENANT]
    assert keystore.put(wanted, replace=True) == (1, 0, 1)
    assert [entry.certificate for entry in keystore.entries(TENANT)] == [twin.certificate]


def test_two_that_clash_with_each_other_are_refused(keystore: Keystore) -> None:
    """Entries of one call that an envelope could not tell apart are refused, replace or not."""
    pairs = [key_pair("one"), key_pair("one", key_label="another key")]
    wanted = [KeyEntry(f"alias {n}", p.certificate, p.private_key) for n, p in enumerate(pairs)]
    with pytest.raises(KeystoreError, match="another certificate under the alias alias 0"):
        keystore.put({TENANT: wanted}, replace=True)
    assert keystore.tenants() == []


def test_kept_entry_gets_another_alias_only_when_it_may(keystore: Keystore) -> None:
    """The same certificate under another alias is kept as it is, with `replace` renamed."""
    pair = key_pair("one")
    add(keystore, pair)
    renamed = {TENANT: [KeyEntry("renamed", pair.certificate, pair.private_key)]}
    assert keystore.put(renamed) == (0, 1, 0)
    assert [entry.alias for entry in keystore.entries(TENANT)] == [pair.alias]
    assert keystore.put(renamed, replace=True) == (0, 0, 1)
    assert [entry.alias for entry in keystore.entries(TENANT)] == ["renamed"]


def test_links_lead_nowhere(keystore: Keystore, tmp_path: Path) -> None:
    """A link to another tenant's key, or folder, opens nothing, and a warning names it."""
    file = add(keystore, key_pair("one"), "Other")
    add(keystore, key_pair("two"))
    link = tmp_path / "keystore" / TENANT / "link.p12"
    link.symlink_to(file)
    (tmp_path / "keystore" / "Third").symlink_to(file.parent)
    os.mkfifo(link.with_name("pipe.p12"))
    with capture_logs() as logs:
        assert keystore.find(TENANT, envelope_for(key_pair("one"))) is None
        assert keystore.tenants() == [TENANT, "Other"]
        with pytest.raises(KeystoreError, match="is not a folder of its own"):
            keystore.entries("Third")
    assert {log["reason"] for log in logs if log["event"] == UNUSABLE} == {
        "link.p12 is a symbolic link, which is not followed",
        "pipe.p12 is not a plain file",
    }
    unsafe = [log["path"] for log in logs if log["event"] == UNSAFE]
    assert unsafe == [str(tmp_path / "keystore" / "Third")]


def test_key_that_others_may_read_is_warned_about_once(keystore: Keystore) -> None:
    """A file or a folder that is open to others is used, and told once with its mode."""
    file = add(keystore, key_pair("one"))
    file.chmod(0o644)
    file.parent.chmod(0o770)
    with capture_logs() as logs:
        assert keystore.reload() == (1, 0)
        keystore.entries(TENANT)
    assert [(log["path"], log["fault"]) for log in logs] == [
        (str(file.parent), "is open to others (mode 0770)"),
        (str(file), "is open to others (mode 0644)"),
    ]


def test_remains_of_a_killed_writer_are_swept(keystore: Keystore, tmp_path: Path) -> None:
    """Half-written files, and states of a change that never began, are gone at the next start."""
    file = add(keystore, key_pair("one"))
    half = file.with_name(f".{file.name}.0123456789ab")
    half.write_bytes(b"half")
    (tmp_path / "keystore" / ".change.new" / "after" / "T").mkdir(parents=True)
    (tmp_path / "keystore" / ".change.over").mkdir()
    Keystore.open(tmp_path / "keystore", PASSWORD)
    assert not half.exists()
    assert sorted(path.name for path in (tmp_path / "keystore").iterdir()) == [
        ".lock",
        ".writing.lock",
        TENANT,
    ]


def test_busy_writer_is_waited_for_and_then_told(
    keystore: Keystore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another process writes, an addition waits; when that takes too long it says so."""
    monkeypatch.setattr("crypto_server.keystore.folder_lock._PATIENCE", 0.05)
    other = os.open(tmp_path / "keystore" / ".writing.lock", os.O_RDWR)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(KeystoreError, match="is being changed by another process"):
        add(keystore, key_pair("one"))
    os.close(other)
    assert add(keystore, key_pair("one")).exists()


def test_keystore_on_a_read_only_disk_is_read(
    keystore: Keystore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing can be written the keys are found all the same, without locks."""
    add(keystore, key_pair("one"))
    keystore.close()
    for lock in tmp_path.glob("keystore/.*lock"):
        lock.unlink()
    opened = os.open

    def read_only(path: str, flags: int, mode: int = 0o777) -> int:
        if flags & (os.O_CREAT | os.O_RDWR | os.O_WRONLY):
            raise OSError(errno.EROFS, "Read-only file system")
        return opened(path, flags, mode)

    monkeypatch.setattr(os, "open", read_only)
    found = Keystore.open(tmp_path / "keystore", PASSWORD)
    assert len(found.entries(TENANT)) == 1
    with pytest.raises(KeystoreError, match="read-only file system"):
        add(found, key_pair("two"))


def test_disk_that_did_not_answer_once_is_asked_again(
    keystore: Keystore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that could not be opened for want of descriptors is a key as soon as it can be."""
    file = add(keystore, key_pair("one"))
    file.touch()

    def busy(_path: Path) -> bytes:
        raise OSError(errno.EMFILE, "Too many open files")

    with capture_logs() as logs, monkeypatch.context() as patched:
        patched.setattr("crypto_server.keystore.tenant_folders.read_plain", busy)
        assert keystore.reload() == (0, 1)
        assert keystore.reload() == (0, 1)
    assert [log["event"] for log in logs] == [UNUSABLE], "told once"
    assert keystore.reload() == (1, 0)


@pytest.mark.parametrize("name", ["North & South", "North%20%26%20south%2f", "100%", "\u00e4" * 90])
def test_folder_that_is_no_tenants_is_told_and_not_passed_over(
    keystore: Keystore, name: str
) -> None:
    """Keys in a folder that no tenant's name leads to count as unusable: no backup lacks them."""
    file = add(keystore, key_pair("one"), "North & South")
    other = file.parent.with_name(name)
    other.mkdir(mode=0o700)
    (other / file.name).write_bytes(file.read_bytes())
    with capture_logs() as logs:
        assert keystore.reload() == (1, 1)
    assert keystore.tenants() == ["North & South"]
    assert [log["fault"] for log in logs] == ["is not named as a tenant's folder is"]
    with pytest.raises(KeystoreError, match="1 files of the keystore cannot be used"):
        keystore.everything()


def test_what_root_writes_belongs_to_the_keystores_owner(
    keystore: Keystore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files, folders and locks that an administrator makes as root are the server's to read."""
    given: list[tuple[int, int]] = []
    above = keystore.folder.stat()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", lambda _file, uid, gid: given.append((uid, gid)))
    add(keystore, key_pair("one"))
    assert len(given) == 3, "the writers' lock, the tenant's folder, the entry"
    assert set(given) == {(above.st_uid, above.st_gid)}


def test_lock_that_may_not_be_opened_is_not_passed_by(
    keystore: Keystore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder that can be written, somebody else's lock file is a refusal, not no lock."""
    opened = os.open

    def not_the_locks(path: str, flags: int, mode: int = 0o777) -> int:
        if str(path).endswith("lock"):
            raise OSError(errno.EACCES, "Permission denied")
        return opened(path, flags, mode)

    monkeypatch.setattr(os, "open", not_the_locks)
    with pytest.raises(KeystoreError, match="cannot be used: permission denied"):
        Keystore.open(keystore.folder, PASSWORD)

"""Backup and restore: all keys travel, and whatever is wrong restores nothing."""

from __future__ import annotations

import hashlib
import itertools
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto_server.errors import KeystoreError
from crypto_server.keystore import KeyEntry, Keystore, key_entry
from crypto_server.keystore import backup as backup_file
from crypto_server.keystore.backup import backup, restore, seal, unseal
from tests.crypto_server.keys import key_pair
from tests.crypto_server.keystore.dying import killed_before
from tests.crypto_server.keystore.entries import content, entry, fill, small_entry

PASSWORD, BACKUP_PASSWORD = "the keystore password", "the backup password ü"
HEADER = 40
USUAL_COST = backup_file._LOG_COST


@pytest.fixture(autouse=True)
def _quick_derivation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hardly anything here is about how hard a password is to guess."""
    monkeypatch.setattr(key_entry, "_KDF_ROUNDS", 1)
    monkeypatch.setattr(backup_file, "_LOG_COST", 4)


@pytest.fixture
def full(tmp_path: Path) -> Keystore:
    """A keystore with two tenants, one of them with two keys."""
    keystore = Keystore.open(tmp_path / "full", PASSWORD)
    fill(keystore, ("Environment", entry("one")), ("Environment", entry("two")))
    fill(keystore, ("Ä/.. & Co", entry("one", "Ä/.. & Co", 7)))
    return keystore


@pytest.fixture
def empty(tmp_path: Path) -> Keystore:
    """A keystore without keys and another password."""
    return Keystore.open(tmp_path / "empty", "another keystore password")


def test_everything_travels(full: Keystore, empty: Keystore) -> None:
    """A restore into an empty keystore makes it equal; a second one finds everything there."""
    data = backup(full, BACKUP_PASSWORD)
    assert restore(empty, data, BACKUP_PASSWORD) == (3, 0, 0, 2)
    assert content(empty) == content(full)
    assert restore(empty, data, BACKUP_PASSWORD) == (0, 3, 0, 2)
    assert empty.reload() == (3, 0)


def test_missing_keys_come_back_and_others_stay(full: Keystore) -> None:
    """A restore brings a removed key back and leaves alone what came after the backup."""
    data = backup(full, BACKUP_PASSWORD)
    full.remove("Environment", entry("two").certificate.fingerprint)
    fill(full, ("Environment", entry("later")))
    assert restore(full, data, BACKUP_PASSWORD) == (1, 2, 0, 2)
    aliases = {one.alias for one in full.entries("Environment")}
    assert aliases == {entry(name).alias for name in ("one", "two", "later")}


@pytest.mark.parametrize("kind", ["same recipient", "same alias"])
def test_clash_refuses_everything_unless_it_may_replace(
    full: Keystore, empty: Keystore, kind: str
) -> None:
    """One clash of names restores nothing at all; with `replace` the backup's key is there."""
    pair = key_pair("one", key_label="twin") if kind == "same recipient" else key_pair("other")
    alias = "another" if kind == "same recipient" else entry("one").alias
    fill(empty, ("Environment", KeyEntry(alias, pair.certificate, pair.private_key)))
    before = content(empty)
    data = backup(full, BACKUP_PASSWORD)
    with pytest.raises(KeystoreError, match="tenant Environment has another certificate under"):
        restore(empty, data, BACKUP_PASSWORD)
    assert content(empty) == before
    assert restore(empty, data, BACKUP_PASSWORD, replace=True) == (2, 0, 1, 2)
    assert content(empty) == content(full)


def test_backup_that_would_lack_keys_is_refused(full: Keystore) -> None:
    """While a file of the keystore cannot be read, nothing claims to be a backup of it."""
    (full.folder / "Environment" / "ruined.p12").write_bytes(b"ruined")
    with pytest.raises(KeystoreError, match="1 files of the keystore cannot be used"):
        backup(full, BACKUP_PASSWORD)
    with pytest.raises(KeystoreError, match="password of the backup is empty"):
        seal({}, "")


def test_secrets_are_not_in_the_file(full: Keystore) -> None:
    """Neither tenant, alias, certificate nor key can be seen in a backup."""
    data = backup(full, BACKUP_PASSWORD)
    for secret in (b"Environment", b"rcs_", entry("one").certificate.der[20:60], b"tenants"):
        assert secret not in data
    assert repr(backup_file._packed(entry("one"))) == f"_Entry({entry('one').alias!r})"
    assert backup(full, BACKUP_PASSWORD) != data


@pytest.mark.parametrize(
    ("ruin", "sentence"),
    [
        (lambda data: b"", "not a backup"),
        (lambda data: b"PK\3\4" + data, "not a backup"),
        (lambda data: data[:30], "the backup is cut"),
        (lambda data: data[:HEADER], "the backup is cut"),
        (lambda data: data[:-1], "it is cut or changed"),
        (lambda data: data + b"\0", "it is cut or changed"),
        (lambda data: data[:8] + b"\2" + data[9:], "of version 2, but 1 is what is read"),
        (lambda data: data[:9] + b"\x1f" + data[10:], "more memory or time"),
        (lambda data: data[:9] + b"\xff" + data[10:], "more memory or time"),
        (lambda data: data[:9] + b"\x10\xff" + data[11:], "more memory or time"),
        (lambda data: data[:11] + b"\xff" + data[12:], "more memory or time"),
        (lambda data: data[:9] + b"\0" + data[10:], "more memory or time"),
    ],
)
def test_ruined_file_is_one_sentence_and_restores_nothing(
    full: Keystore, empty: Keystore, ruin: object, sentence: str
) -> None:
    """What is no backup, cut, of another version or greedy is refused before anything is done."""
    assert callable(ruin)
    with pytest.raises(KeystoreError, match=sentence):
        restore(empty, ruin(backup(full, BACKUP_PASSWORD)), BACKUP_PASSWORD)
    assert content(empty) == {}


def test_wrong_password_restores_nothing(full: Keystore, empty: Keystore) -> None:
    """Another password is told in one sentence, which does not hold it."""
    data = backup(full, BACKUP_PASSWORD)
    with pytest.raises(KeystoreError, match="its password is another one") as caught:
        restore(empty, data, "a wrong one")
    assert "a wrong one" not in str(caught.value)
    assert content(empty) == {}


def test_greedy_header_derives_nothing(full: Keystore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parameters beyond the bounds are refused before scrypt is asked at all."""
    data = backup(full, BACKUP_PASSWORD)

    def derive(*_given: object, **_named: object) -> bytes:
        raise AssertionError("scrypt was asked")

    monkeypatch.setattr(hashlib, "scrypt", derive)
    for at, value in ((9, b"\x14"), (9, b"\x10\xc8"), (11, b"\5"), (8, b"\x09")):
        with pytest.raises(KeystoreError):
            unseal(data[:at] + value + data[at + len(value) :], BACKUP_PASSWORD)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_changed_bit_is_refused(data: st.DataObject) -> None:
    """One flipped bit anywhere in the file, header or content, opens nothing."""
    sealed = _small_seal()
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    changed = bytearray(sealed)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(KeystoreError):
        unseal(bytes(changed), BACKUP_PASSWORD)


def test_every_bit_of_the_header_is_checked() -> None:
    """Each of the header's bits is authenticated, or refused for what it asks."""
    sealed = _small_seal()
    assert unseal(sealed, BACKUP_PASSWORD)
    for bit in range(8 * HEADER):
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(KeystoreError):
            unseal(bytes(changed), BACKUP_PASSWORD)


def _small_seal() -> bytes:
    return seal({"T": [small_entry("one")]}, BACKUP_PASSWORD)


def test_header_is_the_documented_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 1, and scrypt of 2^16, 8, 1: what docs/keystore.md tells who writes a reader."""
    monkeypatch.setattr(backup_file, "_LOG_COST", USUAL_COST)
    sealed = seal({}, BACKUP_PASSWORD)
    assert sealed[:12] == b"RCSKEYS\n" + bytes([1, 16, 8, 1])
    assert unseal(sealed, BACKUP_PASSWORD) == {}


def test_backup_that_could_not_be_restored_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would be larger than a restore takes is refused when it is made."""
    size = len(_small_seal())
    monkeypatch.setattr(backup_file, "MAX_BACKUP", size)
    assert unseal(_small_seal(), BACKUP_PASSWORD)
    monkeypatch.setattr(backup_file, "MAX_BACKUP", size - 1)
    with pytest.raises(KeystoreError, match=f"more than the {size - 1} bytes"):
        _small_seal()


def test_failing_disk_restores_nothing(
    full: Keystore, empty: Keystore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk says no in the middle of a restore, the keystore is as it was."""
    fill(empty, ("Environment", entry("later")))
    before = content(empty)
    data = backup(full, BACKUP_PASSWORD)
    refused = 0
    while _restored_but_for_one_sync(empty, data, refused, monkeypatch) is False:
        assert content(empty) == before
        assert not list(empty.folder.glob(".change*"))
        refused += 1
    assert refused >= 16
    assert content(empty).keys() == content(full).keys()


def _restored_but_for_one_sync(
    keystore: Keystore, data: bytes, which: int, monkeypatch: pytest.MonkeyPatch
) -> bool:
    """Restore on a disk that refuses one fsync, counted from 0; return whether it was done."""
    calls = itertools.count()

    def fsync(_descriptor: int) -> None:
        if next(calls) == which:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("crypto_server.keystore.private_files.os.fsync", fsync)
        try:
            restore(keystore, data, BACKUP_PASSWORD)
        except KeystoreError as error:
            assert "no space left" in str(error)  # noqa: PT017 - both outcomes are looked at
            return False
    return True


def test_killed_restore_is_finished_or_was_none(tmp_path: Path) -> None:
    """Killed before any of its steps, a restore is whole at the next start, or was none."""
    small = {"A": [small_entry("one", "A")], "B": [small_entry("one", "B")]}
    folder, pristine = tmp_path / "keystore", tmp_path / "pristine"
    Keystore.open(folder, PASSWORD).close()
    shutil.copytree(folder, pristine)
    found: list[int] = []

    def work() -> None:
        Keystore.open(folder, PASSWORD).put(small)

    step = 1
    while killed_before(step, folder, work):
        keystore = Keystore.open(folder, PASSWORD)
        found.append(sum(len(own) for own in content(keystore).values()))
        keystore.close()
        shutil.rmtree(folder)
        shutil.copytree(pristine, folder)
        step += 1
    assert sorted(set(found)) == [0, 2]
    assert found == sorted(found)


def test_file_in_the_way_survives_a_restore_that_fails(
    empty: Keystore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lay under an entry's name, even if this password opens it not, is there again."""
    one = small_entry("one")
    folder = empty.folder / "Environment"
    folder.mkdir(mode=0o700)
    locked = one.to_pkcs12("an older password")
    (folder / one.file_name).write_bytes(locked)
    data = seal({"Environment": [one], "Other": [small_entry("one", "Other")]}, BACKUP_PASSWORD)
    for refused in itertools.count():
        if _restored_but_for_one_sync(empty, data, refused, monkeypatch):
            break
        assert (folder / one.file_name).read_bytes() == locked
    assert refused > 10
    assert len(empty.entries("Environment")) == 1


def test_key_of_another_certificate_is_not_restored(empty: Keystore) -> None:
    """A backup that says a key belongs to a certificate where it does not restores nothing."""
    one, two = small_entry("one"), small_entry("two")
    mixed = KeyEntry(two.alias, two.certificate, one.private_key)
    data = seal({"T": [one, mixed]}, BACKUP_PASSWORD)
    with pytest.raises(KeystoreError, match="does not belong"):
        restore(empty, data, BACKUP_PASSWORD)
    assert content(empty) == {}

"""The change of the keystore password: whole or not at all, whatever happens meanwhile."""

from __future__ import annotations

import fcntl
import functools
import itertools
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from crypto_server.errors import KeystoreError
from crypto_server.keystore import FolderInUse, KeyEntry, Keystore, key_entry
from crypto_server.keystore.folder_change import FolderChange
from crypto_server.keystore.password_files import read_password_file
from tests.crypto_server.keystore.dying import killed_before
from tests.crypto_server.keystore.entries import content, fill, small_entry

OLD, NEW = "the old password", "the new password"
ENTRIES = (
    ("Environment", small_entry("one")),
    ("Other", small_entry("one", "Other")),
)


@pytest.fixture(autouse=True)
def _quick_derivation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here is about how hard a password is to guess."""
    monkeypatch.setattr(key_entry, "_KDF_ROUNDS", 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A keystore folder with an entry for each of two tenants under the password `OLD`."""
    keystore = Keystore.open(tmp_path / "keystore", OLD)
    fill(keystore, *ENTRIES)
    keystore.close()
    return tmp_path / "keystore"


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    """A file that holds `OLD`."""
    file = tmp_path / "password"
    file.write_text(OLD + "\n")
    return file


def contents(folder: Path, password: str) -> dict[str, dict[str, int]]:
    """Return what a keystore that opens with `password` holds."""
    keystore = Keystore.open(folder, password)
    try:
        assert keystore.count().unusable == 0
        return content(keystore)
    finally:
        keystore.close()


def test_new_password_opens_all_and_the_old_one_nothing(folder: Path, password_file: Path) -> None:
    """After the change every entry opens with the new password, which the file holds then."""
    keystore = Keystore.open(folder, OLD, password_file=password_file)
    before = content(keystore)
    assert keystore.change_password(NEW) == len(ENTRIES)
    assert content(keystore) == before
    keystore.close()
    assert contents(folder, NEW) == before
    assert password_file.read_text() == NEW + "\n"
    with pytest.raises(KeystoreError, match="opens none of the 2 entries"):
        Keystore.open(folder, OLD)
    assert {path.name for path in folder.iterdir()} >= {"Environment", "Other"}
    assert not [path for path in folder.iterdir() if path.name.startswith(".change")]


def test_empty_password_is_refused_and_an_empty_keystore_takes_one(tmp_path: Path) -> None:
    """An empty new password changes nothing; a keystore without entries takes a new one."""
    keystore = Keystore.open(tmp_path / "keystore", OLD)
    with pytest.raises(KeystoreError, match="new keystore password is empty"):
        keystore.change_password("")
    assert keystore.change_password(NEW) == 0
    fill(keystore, ENTRIES[0])
    keystore.close()
    assert len(contents(tmp_path / "keystore", NEW)) == 1


def test_killed_at_any_step_no_key_is_lost(
    folder: Path, password_file: Path, tmp_path: Path
) -> None:
    """Killed before each step in turn, what the password file says opens every key afterwards.

    So does the other password, from when the change has begun until it is over.
    """
    expected = contents(folder, OLD)
    pristine = tmp_path / "pristine"
    shutil.copytree(folder, pristine)
    opened_by: list[set[str]] = []

    def change() -> None:
        Keystore.open(folder, OLD, password_file=password_file).change_password(NEW)

    step = 1
    while killed_before(step, tmp_path, change):
        said = read_password_file(password_file)
        begun = bool(list(folder.glob(".change")))
        opened_by.append({said} | ({OLD, NEW} if begun else set()))
        for password in opened_by[-1] if step % 2 else {said}:
            attempt = tmp_path / "attempt"
            shutil.copytree(folder, attempt)
            assert contents(attempt, password) == expected
            assert not list(attempt.glob(".change*"))
            shutil.rmtree(attempt)
        shutil.rmtree(folder)
        shutil.copytree(pristine, folder)
        password_file.write_text(OLD + "\n")
        step += 1
    phases = [found for found, _ in itertools.groupby(opened_by)]
    assert phases == [{OLD}, {OLD, NEW}, {NEW}]


@pytest.mark.parametrize("first", [OLD, NEW])
def test_killed_while_settling_either_password_still_settles(
    folder: Path, tmp_path: Path, first: str
) -> None:
    """A change cut in its middle, settled by one that is killed too, opens with either password."""
    expected = contents(folder, OLD)
    _cut_in_the_middle(folder)
    cut = tmp_path / "cut"
    shutil.copytree(folder, cut)
    step = 1
    while killed_before(step, folder, lambda: Keystore.open(folder, first)):
        if list(folder.glob(".change")):
            second = (OLD, NEW)[step % 2]
            middle = tmp_path / "middle"
            shutil.copytree(folder, middle)
            assert contents(middle, second) == expected
            shutil.rmtree(middle)
        else:
            assert contents(folder, first) == expected
        shutil.rmtree(folder)
        shutil.copytree(cut, folder)
        step += 1
    assert step > 20


def test_killed_at_any_step_an_empty_keystore_still_opens(
    tmp_path: Path, password_file: Path
) -> None:
    """Without entries there is nothing to try a password on: a change that was cut is over."""
    folder = tmp_path / "empty"

    def change() -> None:
        Keystore.open(folder, OLD, password_file=password_file).change_password(NEW)

    step = 1
    while killed_before(step, tmp_path, change):
        if folder.exists():
            assert contents(folder, read_password_file(password_file)) == {}
            assert not list(folder.glob(".change*"))
            shutil.rmtree(folder)
        password_file.write_text(OLD + "\n")
        step += 1
    assert step > 20


@pytest.mark.parametrize("password", ["eight\0letters", "\0", "half a \ud800"])
def test_password_that_no_file_can_have_is_refused(folder: Path, password: str) -> None:
    """A zero character would end the password for OpenSSL: nothing would ever open again."""
    keystore = Keystore.open(folder, OLD)
    for refused in (keystore.change_password, functools.partial(Keystore.open, folder)):
        with pytest.raises(KeystoreError, match=r"zero character|whole characters"):
            refused(password)
    keystore.close()
    assert len(contents(folder, OLD)) == len(ENTRIES)


@pytest.mark.parametrize("password", ["ü€😀" * 3, "x" * 3000, " \t ", "a\nb"])
def test_odd_passwords_open_what_they_encrypted(folder: Path, password: str) -> None:
    """Whatever is taken as a password opens the keystore afterwards."""
    keystore = Keystore.open(folder, OLD)
    keystore.change_password(password)
    keystore.close()
    assert len(contents(folder, password)) == len(ENTRIES)


def test_files_that_cannot_be_used_keep_the_password(folder: Path) -> None:
    """A file that was not read would stay under a password that is forgotten: refused instead."""
    stray = folder / "Environment" / "stray.p12"
    stray.write_bytes(small_entry("two").to_pkcs12("a third password"))
    keystore = Keystore.open(folder, OLD)
    with pytest.raises(KeystoreError, match="1 files of the keystore cannot be used, and would"):
        keystore.change_password(NEW)
    stray.unlink()
    assert keystore.change_password(NEW) == len(ENTRIES)


def test_failing_disk_goes_back_whatever_the_password_file_says(
    folder: Path, password_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who wrote the new password into the file first does not end a change half-way."""
    keystore = Keystore.open(folder, OLD, password_file=password_file)
    password_file.write_text(NEW + "\n")
    for fails_after in range(9, 14):
        monkeypatch.setattr("crypto_server.keystore.private_files.os.fsync", _failing(fails_after))
        with pytest.raises(KeystoreError, match="no space left"):
            keystore.change_password(NEW)
        monkeypatch.undo()
        monkeypatch.setattr(key_entry, "_KDF_ROUNDS", 1)
    keystore.close()
    assert len(contents(folder, OLD)) == len(ENTRIES)


def _cut_in_the_middle(folder: Path) -> None:
    """Leave a change of the password as a killed process does that changed one file of two."""
    keystore = Keystore.open(folder, OLD)
    files = sorted(folder.glob("[!.]*/*.p12"))
    before = {str(path.relative_to(folder)): path.read_bytes() for path in files}
    after = {
        name: KeyEntry.from_pkcs12(data, OLD, name=name).to_pkcs12(NEW)
        for name, data in before.items()
    }
    keystore.close()
    FolderChange.begin(folder, before, after)
    files[0].write_bytes(next(iter(after.values())))


def test_server_that_changes_its_password_finds_keys_all_the_time(folder: Path) -> None:
    """While the password changes, and after it, another thread always finds every key."""
    keystore = Keystore.open(folder, OLD)
    ended = threading.Event()
    missing: list[int] = []
    looked = 0

    def look() -> None:
        nonlocal looked
        while not ended.is_set():
            looked += 1
            count = len(keystore.entries("Environment"))
            if count != 1:
                missing.append(count)

    reader = threading.Thread(target=look)
    reader.start()
    for password in (NEW, OLD, NEW):
        keystore.change_password(password)
    ended.set()
    reader.join(10)
    assert looked > 3
    assert not missing
    fill(keystore, ("Other", small_entry("two", "Other")))
    keystore.close()
    assert len(contents(folder, NEW)["Other"]) == 2


def test_keystore_in_use_keeps_its_password(folder: Path) -> None:
    """While another process has the keystore open, its password is not changed."""
    other = os.open(folder / ".lock", os.O_RDWR)
    fcntl.flock(other, fcntl.LOCK_SH)
    keystore = Keystore.open(folder, OLD)
    with pytest.raises(FolderInUse, match="in use by another process"):
        keystore.change_password(NEW)
    assert len(keystore.entries("Environment")) == 1
    os.close(other)
    assert keystore.change_password(NEW) == len(ENTRIES)


def test_refused_change_still_holds_the_keystore(folder: Path) -> None:
    """One whose own change was refused still keeps others from changing the password."""
    first, second = Keystore.open(folder, OLD), Keystore.open(folder, OLD)
    for keystore in (first, second, first):
        with pytest.raises(FolderInUse):
            keystore.change_password(NEW)
    second.close()
    assert first.change_password(NEW) == len(ENTRIES)


@pytest.mark.parametrize("fails_after", [0, 3, 6, 9, 12, 15])
def test_full_disk_changes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, fails_after: int
) -> None:
    """When the disk says no once, at any time, the old password stays and every key is found."""
    keystore = Keystore.open(folder, OLD)
    expected = content(keystore)
    monkeypatch.setattr("crypto_server.keystore.private_files.os.fsync", _failing(fails_after))
    with pytest.raises(KeystoreError, match="no space left"):
        keystore.change_password(NEW)
    monkeypatch.undo()
    assert content(keystore) == expected
    keystore.close()
    assert contents(folder, OLD) == expected


def _failing(after: int) -> Callable[[int], None]:
    calls = 0

    def fsync(_descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == after + 1:
            raise OSError(28, "No space left on device")

    return fsync


def test_password_file_that_cannot_be_written_undoes_the_change(
    folder: Path, tmp_path: Path
) -> None:
    """Where the password file says no, the entries keep the password that it holds."""
    missing = tmp_path / "gone" / "password"
    keystore = Keystore.open(folder, OLD, password_file=missing)
    with pytest.raises(KeystoreError, match=f"not changed: the password file {missing} cannot be"):
        keystore.change_password(NEW)
    keystore.close()
    assert len(contents(folder, OLD)) == 2


def test_half_written_password_file_is_swept(folder: Path, password_file: Path) -> None:
    """The password in a file that a killed process did not finish does not stay lying there."""
    half = password_file.with_name(".password.0123456789ab")
    half.write_text("half a pass")
    other = password_file.with_name(".password.of somebody else")
    other.write_text("")
    Keystore.open(folder, OLD, password_file=password_file)
    assert (half.exists(), other.exists()) == (False, True)


def test_wrong_password_cannot_settle(folder: Path) -> None:
    """A third password neither finishes nor undoes a change that was cut."""
    _cut_in_the_middle(folder)
    with pytest.raises(KeystoreError, match="opens no entry"):
        Keystore.open(folder, "a third password")
    assert (folder / ".change").is_dir()
    assert len(contents(folder, OLD)) == 2

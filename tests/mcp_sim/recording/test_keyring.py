"""The spool keyring: what it seals, what it refuses, and where it lies."""

from __future__ import annotations

import base64
import json
import threading
from pathlib import Path

import pytest

from mcp_sim.recording.keyring import (
    BrokenBoxError,
    KeyringError,
    SpoolKeyring,
    UnknownKeyError,
)
from mcp_sim.recording.plan import SealedBox

SECRET = b"a session key of thirty-two bytes"


def test_box_opens_to_what_was_sealed() -> None:
    """A box gives back its content, and shows none of it."""
    keyring = SpoolKeyring.generate()
    box = keyring.seal(SECRET)
    assert keyring.open(box) == SECRET
    assert SECRET not in box.box


def test_two_boxes_of_one_secret_have_nothing_in_common() -> None:
    """Every box has a nonce of its own."""
    keyring = SpoolKeyring.generate()
    first, second = keyring.seal(SECRET), keyring.seal(SECRET)
    assert first.nonce != second.nonce
    assert first.box != second.box


def test_box_of_another_purpose_does_not_open() -> None:
    """A profile's box cannot be taken for a session key's."""
    keyring = SpoolKeyring.generate()
    box = keyring.seal(SECRET, purpose="profile")
    with pytest.raises(BrokenBoxError):
        keyring.open(box, purpose="session key")
    assert keyring.open(box, purpose="profile") == SECRET


def test_changed_box_does_not_open() -> None:
    """One flipped bit in box or nonce, or a missing byte, is noticed."""
    keyring = SpoolKeyring.generate()
    box = keyring.seal(SECRET)
    for broken in (
        SealedBox(box.kid, box.nonce, bytes([box.box[0] ^ 1]) + box.box[1:]),
        SealedBox(box.kid, bytes([box.nonce[0] ^ 1]) + box.nonce[1:], box.box),
        SealedBox(box.kid, box.nonce, box.box[:-1]),
        SealedBox(box.kid, box.nonce, b""),
    ):
        with pytest.raises(BrokenBoxError):
            keyring.open(broken)


def test_older_key_opens_older_boxes() -> None:
    """After a change of the current key, old boxes still open and new ones use the new key."""
    keys = {"old": b"o" * 32, "new": b"n" * 32}
    old, both = SpoolKeyring({"old": keys["old"]}, "old"), SpoolKeyring(keys, "new")
    assert both.open(old.seal(SECRET)) == SECRET
    assert both.seal(SECRET).kid == "new"
    with pytest.raises(UnknownKeyError, match="spool key 'new' is not in the keyring"):
        old.open(both.seal(SECRET))


def test_text_carries_the_whole_keyring() -> None:
    """Another node that is given the text opens this node's boxes."""
    keyring = SpoolKeyring.generate()
    other = SpoolKeyring.from_text(keyring.to_text(), name="RECLAB_SPOOL_KEYRING")
    assert other.open(keyring.seal(SECRET)) == SECRET


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not JSON", "ring: is not a spool keyring"),
        ('{"keys": {}}', "ring: is not a spool keyring"),
        ('{"current": "a", "keys": {"a": "!!"}}', "ring: is not a spool keyring"),
        ('{"current": "a", "keys": {}}', "ring: the current spool key 'a' is not in the keyring"),
        ('{"current": "a", "keys": {"a": "QUJD"}}', "ring: spool key 'a' is not 32 bytes long"),
    ],
)
def test_wrong_text_is_refused_in_one_sentence(text: str, message: str) -> None:
    """What is no keyring is named, and not quoted."""
    with pytest.raises(KeyringError) as caught:
        SpoolKeyring.from_text(text, name="ring")
    assert str(caught.value) == message


def test_missing_file_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    """The first start makes folder and file (0600); the second start reads the same keys."""
    path = tmp_path / "keys" / "spool.json"
    first = SpoolKeyring.open_or_create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert SpoolKeyring.open_or_create(path).open(first.seal(SECRET)) == SECRET
    assert [entry.name for entry in path.parent.iterdir()] == ["spool.json"]


def test_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """A keyring that is open to the group or to everybody is not used."""
    path = tmp_path / "spool.json"
    SpoolKeyring.open_or_create(path)
    path.chmod(0o640)
    with pytest.raises(KeyringError, match="others may read it, its mode must be 0600"):
        SpoolKeyring.open_or_create(path)


def test_unreadable_path_is_told(tmp_path: Path) -> None:
    """A folder instead of a file, or a file instead of a folder: one sentence with the path."""
    with pytest.raises(KeyringError, match=f"{tmp_path}: cannot be read"):
        SpoolKeyring.open_or_create(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(KeyringError, match="cannot be written"):
        SpoolKeyring.open_or_create(tmp_path / "file" / "spool.json")


def test_processes_that_start_together_get_one_keyring(tmp_path: Path) -> None:
    """Of several makers at once one wins, and all have its keys."""
    path = tmp_path / "spool.json"
    gate = threading.Barrier(8)
    made: list[str] = []

    def start() -> None:
        gate.wait()
        made.append(SpoolKeyring.open_or_create(path).to_text())

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert len(set(made)) == 1


def test_keys_do_not_show() -> None:
    """Neither the keyring nor a box shows a key or a content when printed."""
    keyring = SpoolKeyring.generate()
    key = json.loads(keyring.to_text())["keys"][keyring.current]
    shown = repr(keyring) + repr(keyring.seal(SECRET))
    assert key not in shown
    assert repr(base64.b64decode(key)) not in shown


def test_the_environment_may_hold_the_keyring(tmp_path: Path) -> None:
    """Its text in the variable is the keyring; no file is made, and a ruined one is not quoted."""
    text = SpoolKeyring.generate().to_text()
    path = tmp_path / "spool.json"
    found = SpoolKeyring.for_spool(path, tmp_path / "spool", {"RECLAB_SPOOL_KEYRING": text})
    assert found.to_text() == text
    assert not path.exists()
    with pytest.raises(KeyringError) as caught:
        SpoolKeyring.for_spool(path, tmp_path, {"RECLAB_SPOOL_KEYRING": text[:-20]})
    assert str(caught.value) == "RECLAB_SPOOL_KEYRING: is not a spool keyring"


@pytest.mark.parametrize("name", ["spool/keyring", "spool/ready/../keyring", "link/keyring"])
def test_a_keyring_does_not_lie_in_its_spool(tmp_path: Path, name: str) -> None:
    """Whoever copies the spool must not get the keys with it, also not through a link."""
    (tmp_path / "spool" / "ready").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "spool")
    with pytest.raises(KeyringError, match="lies in the spool that it protects"):
        SpoolKeyring.for_spool(tmp_path / name, tmp_path / "spool", {})
    assert not list((tmp_path / "spool").rglob("keyring"))


@pytest.mark.parametrize("state", ["capturing", "rendering", "ready", "failed"])
def test_no_new_keyring_where_recordings_wait(tmp_path: Path, state: str) -> None:
    """A keyring that was lost is told before anything is tried with another one."""
    path, spool = tmp_path / "spool.json", tmp_path / "spool"
    first = SpoolKeyring.for_spool(path, spool, {})
    (spool / state / "CALL1").mkdir(parents=True)
    assert SpoolKeyring.for_spool(path, spool, {}).to_text() == first.to_text()
    path.unlink()
    with pytest.raises(KeyringError, match="holds recordings that only it opens"):
        SpoolKeyring.for_spool(path, spool, {})
    assert not path.exists()


def test_delivered_recordings_need_no_keyring(tmp_path: Path) -> None:
    """What was delivered left its sound and its keys: a new keyring harms nothing."""
    (tmp_path / "spool" / "delivered" / "CALL1").mkdir(parents=True)
    SpoolKeyring.for_spool(tmp_path / "spool.json", tmp_path / "spool", {})
    assert (tmp_path / "spool.json").stat().st_mode & 0o777 == 0o600

"""A keystore password that an administrator changed outlives the next start of the lab."""

from __future__ import annotations

from pathlib import Path

from crypto_server.keystore import Keystore
from reclab.doors import USUAL_ADDRESSES
from reclab.preparation import TENANT, LabFolder, RecordingOptions, prepare


def keystore_of(folder: LabFolder) -> Keystore:
    """The keystore, opened with what its password file says, as the crypto server does it."""
    file = folder.password_file("keystore")
    return Keystore.open(folder.keystore, file.read_text().strip(), password_file=file)


def test_changed_password_is_kept(tmp_path: Path) -> None:
    """What a start prepares leaves the password in force alone, and the keys open."""
    folder = LabFolder(tmp_path / "lab")
    prepare(folder, USUAL_ADDRESSES, RecordingOptions())
    keystore = keystore_of(folder)
    try:
        assert keystore.change_password("another sentence") == 2
    finally:
        keystore.close()
    prepare(folder, USUAL_ADDRESSES, RecordingOptions())
    assert folder.password_file("keystore").read_text().strip() == "another sentence"
    again = keystore_of(folder)
    try:
        assert len(again.entries(TENANT)) == 2
    finally:
        again.close()

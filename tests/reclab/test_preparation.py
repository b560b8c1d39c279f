"""A lab's folder: made once, private, and at home wherever it is moved to."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from reclab.doors import USUAL_ADDRESSES
from reclab.preparation import LabFolder, RecordingOptions, describe, prepare
from service_shell.settings import SettingsError


def prepared(root: Path) -> LabFolder:
    """A lab's folder as `reclab prepare` makes it."""
    folder = LabFolder(root)
    prepare(folder, USUAL_ADDRESSES, RecordingOptions())
    return folder


def test_only_certificates_may_be_read_by_others(tmp_path: Path) -> None:
    """Everything else in the folder is for its owner."""
    root = prepared(tmp_path / "lab").root
    readable = {
        path.relative_to(root).parts[0]
        for path in [root, *root.rglob("*")]
        if path.stat().st_mode & 0o077
    }
    assert readable <= {"certificates"}


def test_moved_folder(tmp_path: Path) -> None:
    """Moved elsewhere, it keeps keys and passwords, and names its files where they are now."""
    before = prepare(prepared(tmp_path / "here"), USUAL_ADDRESSES, RecordingOptions())
    (tmp_path / "here").rename(tmp_path / "there")
    folder = LabFolder(tmp_path / "there")
    after = prepare(folder, USUAL_ADDRESSES, RecordingOptions())
    assert after == before
    lab = describe(folder, after)
    assert len(lab.keys) == 2
    for path in (lab.ca_file, *lab.keys.values()):
        assert Path(path).is_relative_to(tmp_path / "there")
        assert Path(path).is_file()


def test_lost_plan(tmp_path: Path) -> None:
    """Without the file that holds its passwords a folder is of no use, and a sentence says so."""
    folder = prepared(tmp_path / "lab")
    folder.plan.unlink()
    with pytest.raises(SettingsError, match=r"lab-plan\.json is missing, and the keystore"):
        prepare(folder, USUAL_ADDRESSES, RecordingOptions())


def test_faults_are_enabled_for_one_start(tmp_path: Path) -> None:
    """With faults each service has the setting and the account; the next start without has none."""
    folder = LabFolder(tmp_path / "lab")
    plan = prepare(folder, USUAL_ADDRESSES, RecordingOptions(), faults=True)
    for name in ("store", "processor", "crypto", "mcp"):
        settings = tomllib.loads((folder.settings / f"{name}.toml").read_text())
        assert settings["faults"] == {"enabled": True}
        assert settings["accounts"][-1]["roles"] == ["faults"]
    lab = describe(folder, plan, faults=True)
    assert folder.password_file("faults").read_text() == lab.users["faults"].password + "\n"
    again = prepare(folder, USUAL_ADDRESSES, RecordingOptions())
    assert again.passwords == plan.passwords
    assert "faults" not in describe(folder, again).users
    for name in ("store", "processor", "crypto", "mcp"):
        settings = tomllib.loads((folder.settings / f"{name}.toml").read_text())
        assert "faults" not in settings
        assert {role for each in settings["accounts"] for role in each["roles"]}.isdisjoint(
            {"faults"}
        )

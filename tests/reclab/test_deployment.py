"""The lab's profile over several starts: ours follows the lab, an administrator's stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from reclab.deployment import last_deployed, merge
from reclab.doors import USUAL_ADDRESSES
from reclab.preparation import LabFolder, RecordingOptions, prepare


@pytest.mark.parametrize(
    ("last", "wanted", "present", "merged"),
    [
        ({"a": "1"}, {"a": "2"}, {"a": "1"}, {"a": "2"}),
        ({"a": "1"}, {"a": "2"}, {"a": "mine"}, {"a": "mine"}),
        ({"a": "1"}, {"a": "1"}, {}, {}),
        ({"a": "1"}, {}, {"a": "1"}, {}),
        ({}, {"a": "1"}, {}, {"a": "1"}),
        ({}, {}, {"b": "mine"}, {"b": "mine"}),
        ({}, {"a": "1"}, {"a": "mine"}, {"a": "mine"}),
    ],
    ids=["moved", "changed", "removed", "ours gone", "new", "added", "first start finds one"],
)
def test_options_are_merged(
    last: dict[str, str], wanted: dict[str, str], present: dict[str, str], merged: dict[str, str]
) -> None:
    """An option that nobody touched follows the lab; changed, added or removed ones stay so."""
    assert merge({"s": last}, {"s": wanted}, {"s": present})["s"] == merged


def test_sections_of_others_stay() -> None:
    """A section that the lab knows nothing of is kept, an empty one too."""
    present = {"s": {"a": "1"}, "mine": {"x": "y"}, "empty": {}}
    assert merge({}, {"s": {"a": "1"}}, present) == present


def test_last_deployed_is_what_was_prepared(tmp_path: Path) -> None:
    """What the last start made is read from the lab's folder; without one it is nothing."""
    folder = LabFolder(tmp_path / "lab")
    assert last_deployed(folder) == {}
    prepare(folder, USUAL_ADDRESSES, RecordingOptions(type="mp3"))
    sections = last_deployed(folder)
    assert sections["gvp.service-parameters"]["recordingclient.type"] == "fixed,audio/mp3"
    assert list(sections["recording-certificates"]) == ["certificates-1", "certificates-2"]
    (folder.settings / "profiles.toml").write_text("[[[")
    assert last_deployed(folder) == {}

"""What lies in the store, and what `export` writes, is opened by OpenSSL's own command lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.lab_under_test import LabUnderTest, run, samples
from tests.peers import peer


@pytest.mark.peer
@pytest.mark.slow
def test_either_recipient_opens_both_forms(lab: LabUnderTest, tmp_path: Path) -> None:
    """`openssl cms` opens the stored pair, `openssl smime` the archive form, with either key."""
    lab.load("--calls", 1, "--rate", 1, "--hold", 2, "--signalling", "siprec", "--codec", "pcma")
    [recording] = lab.wait_for_recordings(1)
    [media] = recording["mediaFiles"]
    archive = tmp_path / "x.bin"
    exported = lab.reclab("export", recording["id"], "--out", archive)
    assert exported.returncode == 0, exported.stderr
    keys = [Path(lab.lab["keys"][alias]) for alias in media["certAlias"]]
    assert len(set(keys)) == 2
    contents = []
    for number, key in enumerate(keys):
        contents.append(lab.opened(media, tmp_path, key))
        audio = tmp_path / f"archive-{number}.wav"
        run(
            peer("openssl"), "smime", "-decrypt", "-inform", "DER", "-in", archive,
            "-inkey", key, "-out", audio,
        )  # fmt: skip
        contents.append(audio.read_bytes())
    assert len(set(contents)) == 1
    assert samples(contents[0]).any(axis=1).all()
    assert len(contents[0]) == int(media["size"])

"""How much memory archiving takes: bounded, however many recordings there are."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.peers import peer
from tests.reclab.archive.many import many_recordings

COUNT = 60


@pytest.mark.peer
def test_memory_does_not_grow_with_the_archive(tmp_path: Path) -> None:
    """60 MB as folders and as a zip: command and processor stay bounded, and files open.

    `python -m tests.reclab.archive.many` does the same with 2,000 recordings.
    """
    openssl = peer("openssl")
    with many_recordings(tmp_path, COUNT) as many:
        folders, packed = many.archive("folders"), many.archive("zip")
        assert folders.bounded, str(folders)
        assert packed.bounded, str(packed)
        assert folders.report["fetched"] == packed.report["fetched"] == COUNT
        assert many.open_files(tmp_path / "folders", openssl, most=10) == 10
        with zipfile.ZipFile(packed.report["zip"]) as archive:
            archive.extractall(tmp_path / "unzipped")
        assert many.open_files(tmp_path / "unzipped", openssl, most=10) == 10

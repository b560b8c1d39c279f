"""Metadata that were kept as files: each known shape is read, and what is unusable is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reclab.recover.inventory import PaperRow
from reclab.recover.papers import read_paper, scan_papers
from recording_format.errors import MetadataError

MEDIA: dict[str, Any] = {
    "mediaDescriptor": {"storage": "webDAV", "path": "http://store/recordings/m.wav.bin"},
    "startTime": "2026-01-02T10:00:00.000Z",
    "stopTime": "2026-01-02T10:00:12.500Z",
    "mediaId": "m.wav",
    "type": "audio/wav",
    "duration": "12500",
    "size": "50000",
    "tenant": "Environment",
    "parameters": {"id": "R1", "ani": "1"},
    "partitions": ["/a"],
    "mediaUri": "http://processor/x",
}
ANSWERED = MEDIA | {
    "originalMediaDescriptor": MEDIA["mediaDescriptor"],
    "mediaDescriptor": None,
    "startTime": "2026-01-02T10:00:00.000+0000",
}


@pytest.mark.parametrize(
    "content",
    [
        {"mediaFiles": [MEDIA]},
        {"id": "R1", "ccid": "c", "region": "lab", "mediaFiles": [MEDIA], "eventHistory": []},
        {"statusCode": 0, "recording": {"id": "R1", "mediaFiles": [ANSWERED]}, "archive": {}},
    ],
)
def test_known_shapes(tmp_path: Path, content: dict[str, Any]) -> None:
    """A platform's post, a post to the web services, an answer or an archive's document."""
    file = tmp_path / "failed" / "x_Environment_c" / "R1_2026.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(content))
    [row] = scan_papers(tmp_path)
    assert row == PaperRow("m.wav", "R1", str(file), 0)
    assert isinstance(row, PaperRow)
    media = read_paper(row)
    assert (media.media_id, media.recording_id) == ("m.wav", "R1")
    assert media.media_descriptor.path == "http://store/recordings/m.wav.bin"
    assert "mediaUri" not in media.to_wire()


def test_what_is_unusable(tmp_path: Path) -> None:
    """Broken JSON is named; JSON about something else is passed over."""
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "large.json").write_bytes(b" " * (8 * 1024 * 1024 + 1))
    (tmp_path / "other.json").write_text('{"lab": 1}')
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "odd.json").write_text('{"mediaFiles": [1, {"mediaId": 7}]}')
    assert list(scan_papers(tmp_path)) == [
        f"{tmp_path / 'broken.json'} cannot be read: it is not JSON",
        f"{tmp_path / 'large.json'} cannot be read: it has more than 8388608 bytes",
    ]


def test_incomplete_metadata(tmp_path: Path) -> None:
    """What lacks is named by its path, and so is a file that went away."""
    file = tmp_path / "x.json"
    file.write_text(json.dumps({"mediaFiles": [{k: v for k, v in MEDIA.items() if k != "tenant"}]}))
    [row] = scan_papers(tmp_path)
    assert isinstance(row, PaperRow)
    with pytest.raises(MetadataError, match=r"x\.json\.tenant is missing"):
        read_paper(row)
    file.unlink()
    with pytest.raises(MetadataError, match="cannot be read any more"):
        read_paper(row)

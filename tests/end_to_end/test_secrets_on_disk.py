"""No plaintext audio and no session key lies on disk, at any moment of a recording's life."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from recording_format.certificates import RecordingCertificate
from recording_format.envelope import Envelope
from recording_format.private_keys import load_private_key
from tests.end_to_end.lab_under_test import LabUnderTest, samples, wait_until
from tests.end_to_end.test_sipp import PCAPS, decoded_by_ffmpeg
from tests.peers import peer

NEEDLE = 160  # bytes of A-law, or samples: one packet's worth


def contents(folder: Path) -> Iterator[bytes]:
    """All files below `folder` as they are now; one that moves away meanwhile is seen next time."""
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                yield path.read_bytes()
        except OSError:
            continue


def session_key(lab: LabUnderTest, media: dict[str, list[str] | str]) -> bytes:
    alias = media["certAlias"][0]
    key_file = Path(lab.lab["keys"][alias])
    certificate = key_file.parent.parent / "certificates" / key_file.name.replace(".key", "")
    envelope = Envelope.from_pem(str(media["pkcs7"]))
    return envelope.unwrap(
        RecordingCertificate.load(certificate.read_text(), name="recipient"),
        load_private_key(key_file.read_bytes(), name="recipient"),
    ).secret


@pytest.mark.peer
@pytest.mark.slow
def test_nothing_plain_on_disk(lab: LabUnderTest, tmp_path: Path) -> None:
    """Everything that spool, journal, store and catalogue ever held is searched for both."""
    sipp = peer("sipp")
    pcm = decoded_by_ffmpeg(PCAPS / "g711a.pcap", tmp_path)
    alaw = (tmp_path / "payload.al").read_bytes()
    (tmp_path / "pcap").symlink_to(PCAPS)
    caller = subprocess.Popen(
        [sipp, "-sn", "uac_pcap", lab.sip, "-i", "127.0.0.1", "-m", "3", "-r", "1", "-nostdin"],
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    seen: set[bytes] = set()

    def look() -> bool:
        seen.update(contents(lab.folder))
        return caller.poll() is not None and len(lab.recordings()) == 3

    try:
        wait_until(look, "three recordings", seconds=90)
    finally:
        caller.kill()
        caller.wait()
    seen.update(contents(lab.folder))
    middle = len(pcm) // 2
    forbidden = [alaw[middle : middle + NEEDLE], pcm[middle : middle + NEEDLE].tobytes()]
    recordings = lab.recordings()
    for recording in recordings:
        [media] = recording["mediaFiles"]
        forbidden.append(session_key(lab, media))
        # The search itself is proved: the opened file does hold the audio.
        left, _ = samples(lab.opened(media, tmp_path))
        assert forbidden[1] in left.tobytes()
    journals = [content for content in seen if len(content) > 20_000]
    assert len(journals) > 10, "the recordings were seen while they grew"
    for content in seen:
        assert not any(needle in content for needle in forbidden)


def test_passwords_and_keys_are_for_their_owner(lab: LabUnderTest) -> None:
    """Every file that holds a secret of the lab is unreadable for others."""
    secrets = [user["password"].encode() for user in lab.lab["users"].values()]
    secrets.append(b"PRIVATE KEY")
    holders = [
        path
        for path in lab.folder.rglob("*")
        if path.is_file() and any(secret in path.read_bytes() for secret in secrets)
    ]
    assert holders
    assert not [path for path in holders if path.stat().st_mode & 0o077]

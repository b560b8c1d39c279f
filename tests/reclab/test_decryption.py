"""The decryption behind `reclab decrypt`: what is proved, what is chosen, in how little memory."""

from __future__ import annotations

import io
import json
import os
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from reclab.decryption import MediaPapers, Opener, decrypted, read_papers, written_whole
from recording_format.archive import archive_prefix
from recording_format.envelope import Envelope, RecipientInfo
from recording_format.errors import RecordingFormatError
from tests.crypto_server.keys import KeyPair
from tests.crypto_server.recordings import encrypted, mp3, wav
from tests.recording_format.authority import recorder

SOUND = wav(100_001)


def pair(number: int) -> KeyPair:
    """Return a recorder of the tests' CA."""
    return KeyPair(recorder(number).recording(), recorder(number).key)


def test_a_file_system_without_nameless_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a file must have a name from the beginning, it is private, and goes with an error."""
    monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY | os.O_EXCL | os.O_CREAT)
    out = tmp_path / "out"
    seen: list[int] = []

    def fail() -> None:
        with written_whole(out) as file:
            file.write(b"secret")
            seen.extend(one.stat().st_mode & 0o777 for one in tmp_path.iterdir())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert seen == [0o600]
    assert list(tmp_path.iterdir()) == []
    with written_whole(out) as file:
        file.write(b"whole")
    assert list(tmp_path.iterdir()) == [out]
    assert out.read_bytes() == b"whole"


def test_memory_is_bounded(tmp_path: Path) -> None:
    """64 MiB are decrypted and verified in under 8 MiB of memory."""
    made = encrypted(wav(64 << 20), pair(1))
    (tmp_path / "x.bin").write_bytes(made.stored)
    papers = read_papers(made.answer, "recording.json", "x.bin")
    with (tmp_path / "x.bin").open("rb") as file:
        tracemalloc.start()
        try:
            size = sum(map(len, decrypted(file, papers, Opener(recorder(1).key))))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert size == 64 << 20
    assert peak < 8 << 20


def plaintext(stored: bytes, papers: MediaPapers, **opener: Any) -> bytes | str:
    """Return what comes out of stored bytes with recorder 1's key, or the sentence."""
    file = cast("io.BufferedReader", io.BufferedReader(cast("io.RawIOBase", io.BytesIO(stored))))
    try:
        return b"".join(decrypted(file, papers, Opener(recorder(1).key, **opener)))
    except RecordingFormatError as error:
        return str(error)


@pytest.mark.parametrize("archived", [False, True])
def test_flipped_bits_never_come_out_as_verified(archived: bool) -> None:
    """A bit flipped in any byte of the file: the recorded audio, or one sentence."""
    made = encrypted(wav(400), pair(1), pair(2))
    papers = read_papers(made.answer, "recording.json", "x.bin")
    assert papers.envelope is not None
    data = made.stored
    if archived:
        data = archive_prefix(papers.envelope, len(data)) + data
    results = set()
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << at % 8
        result = plaintext(bytes(changed), papers)
        results.add(result if isinstance(result, bytes) else None)
    assert results <= {None, made.plaintext}
    assert None in results


def test_of_several_recipients_the_right_one_is_found() -> None:
    """With a bare key all recipients of its length are looked at; a wrong session key is seen."""
    made = encrypted(SOUND, pair(1), pair(2), pair(3))
    papers = read_papers(made.answer, "recording.json", "x.bin")
    envelope = papers.envelope
    assert envelope is not None
    # Before the right one stands another key that is wrapped for the same private key.
    decoy = Envelope.from_pem(encrypted(SOUND, pair(1)).media["pkcs7"]).recipients[0]
    decoy = RecipientInfo(decoy.issuer, 999, decoy.encrypted_key)
    several = replace(envelope, recipients=(decoy, *envelope.recipients))
    assert plaintext(made.stored, replace(papers, envelope=several)) == SOUND
    assert plaintext(made.stored, MediaPapers(several)) == SOUND
    alone = replace(envelope, recipients=(decoy,))
    assert "mac" in str(plaintext(made.stored, replace(papers, envelope=alone)))
    assert "is no WAV, MP3 or MP4" in str(plaintext(made.stored, MediaPapers(alone)))


def test_other_content_only_where_it_is_asked_for() -> None:
    """What begins like no media file needs `any_content`, or a mac that proves it."""
    made = encrypted(b"some words" * 50, pair(1))
    papers = read_papers(made.answer, "recording.json", "x.bin")
    assert plaintext(made.stored, papers) == made.plaintext
    bare = MediaPapers(papers.envelope)
    assert "is no WAV, MP3 or MP4" in str(plaintext(made.stored, bare))
    assert plaintext(made.stored, bare, any_content=True) == made.plaintext


def test_sizes_of_the_metadata_count() -> None:
    """Without digests, a plaintext of another length than the metadata says is refused."""
    made = encrypted(mp3(5), pair(1), extension="mp3").changed(lab=None)
    papers = read_papers(made.answer, "recording.json", "x.bin")
    assert papers.lab is None
    assert plaintext(made.stored, papers) == made.plaintext
    longer = read_papers(made.changed(size="9").answer, "recording.json", "x.bin")
    assert "the plaintext has 2085 bytes" in str(plaintext(made.stored, longer))
    absurd = read_papers(made.changed(size="9" * 5000).answer, "recording.json", "x.bin")
    assert absurd.size is None, "what is no size is none"


def media(name: str, **more: object) -> dict[str, object]:
    """Return a media file's metadata of that name."""
    made = encrypted(wav(100), pair(1))
    return made.media | {"mediaId": f"{name}.wav", "mediaPath": f"/x/play-{name}.wav.bin", **more}


@pytest.mark.parametrize(
    ("file_name", "chosen"),
    [
        ("two.wav.bin", "two"),
        ("two.wav", "two"),
        ("play-two.wav.bin", "two"),
        ("stored-two.bin", "two"),
        ("one.wav.bin", "one"),
    ],
)
def test_the_media_file_is_found_by_its_name(file_name: str, chosen: str) -> None:
    """The media id, the play name, the stored object's name and the archive's name all do."""
    path = "http://store/recordings/stored-two.bin"
    files = [media("one"), media("two", originalMediaDescriptor={"path": path})]
    for document in ({"mediaFiles": files}, {"id": "x", "mediaFiles": files}):
        for whole in (document, {"statusCode": 0, "recording": document}):
            papers = read_papers(json.dumps(whole).encode(), "r.json", file_name)
            assert papers.media_id == f"{chosen}.wav"
            named = read_papers(json.dumps(whole).encode(), "r.json", "x", f"{chosen}.wav")
            assert named.media_id == f"{chosen}.wav"


def test_one_media_file_needs_no_name() -> None:
    """A recording of one media file, or a media file alone, is what it is; others are listed."""
    one = media("one")
    for text in (json.dumps(one), json.dumps({"mediaFiles": [one]})):
        assert read_papers(text.encode(), "r", "any").media_id == "one.wav"
    for files, choice in (
        ([one, media("two")], "; choose one by --media: one.wav, two.wav"),
        ([], ""),
    ):
        text = json.dumps({"mediaFiles": files})
        with pytest.raises(RecordingFormatError, match=rf"^r has no media file any{choice}$"):
            read_papers(text.encode(), "r", "any")

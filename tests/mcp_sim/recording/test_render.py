"""From a journal to a sealed recording: the sound, the names, the proofs, and no trace in clear."""

from __future__ import annotations

import io
import subprocess
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from mcp_sim.recording.keyring import SpoolKeyring
from mcp_sim.recording.plan import Event, LegClosed, LegOpened, ParametersChanged, Paused, Resumed
from mcp_sim.recording.render.messages import RenderSettings
from mcp_sim.recording.render.render import EmptyRecordingError, RenderError, render
from mcp_sim.recording.spool.folders import ITEM, JOURNAL, MEDIA
from mcp_sim.recording.spool.item import read_item, whole_body
from mcp_sim.recording.spool.spool import Spool, State
from recording_format.envelope import Envelope
from recording_format.integrity import check_mac
from recording_format.metadata import decode_metadata
from recording_format.session_key import SessionKey
from tests.peers import peer
from tests.recording_format.authority import key_pem, recorder

from .recorded_call import (
    course,
    make_plan,
    open_recording,
    read_metadata,
    record,
    write_journal,
)
from .synthetic_call import MS, SECOND, T0, heard, speech, stream

SETTINGS = RenderSettings()


def _wave(data: bytes) -> npt.NDArray[np.int16]:
    with wave.open(io.BytesIO(data)) as reader:
        frames = np.frombuffer(reader.readframes(reader.getnframes()), "<i2")
        return frames.reshape(-1, reader.getnchannels()).T


def test_a_call_becomes_a_sealed_wav_file(spool: Spool, keyring: SpoolKeyring) -> None:
    """Both parties are heard on their own channels, sample for sample, with either recipient."""
    one, other = speech(150, seed=1), speech(150, seed=2)
    sent = stream(one, start=100 * MS) + stream(other, leg=1, ssrc=9, start=600 * MS)
    item = record(spool, keyring, course(4321, legs=2), sent)
    summary = render(spool, item, keyring, SETTINGS)
    for recipient in (1, 2):
        media, data = open_recording(spool, item, recipient)
        sound = _wave(data)
        assert sound.shape == (2, 34_568)
        assert np.array_equal(sound[0, 800:24_800], heard(one))
        assert np.array_equal(sound[1, 4800:28_800], heard(other))
        assert media.size_bytes == len(data)
    assert (summary.packets, summary.lost, summary.duration_ms) == (300, 0, 4321)
    assert not summary.recovered


def test_the_item_is_ready_and_its_journal_is_gone(spool: Spool, keyring: SpoolKeyring) -> None:
    """After the one rename nothing but the sealed file and its description is left."""
    item = record(spool, keyring, course(1000), stream(speech(40)))
    render(spool, item, keyring, SETTINGS)
    assert spool.state_of(item) is State.READY
    left = {path.name for path in spool.folder(item, State.READY).iterdir()}
    assert left == {MEDIA, ITEM}


def test_metadata_tells_the_call(spool: Spool, keyring: SpoolKeyring) -> None:
    """Times, duration, parameters, masks, aliases, path and legs are those of the call."""
    turns: list[Event] = [
        Paused(T0 + 2 * SECOND),
        ParametersChanged({"agentId": "agent1", "ani": "+1"}),
        Resumed(T0 + 3500 * MS),
    ]
    sent = stream(speech(100), start=250 * MS) + stream(speech(3), leg=1, ssrc=9)
    item = record(spool, keyring, course(12_500, legs=2, extra=turns), sent)
    render(spool, item, keyring, SETTINGS)
    media, data = open_recording(spool, item)
    assert media.start_time == "2026-01-02T10:00:00.000Z"
    assert media.stop_time == "2026-01-02T10:00:12.500Z"
    assert (media.duration, media.size, media.type) == ("12500", str(len(data)), "audio/wav")
    assert (media.tenant, media.ivrprofile) == ("Environment", "recording")
    assert media.parameters == {
        "id": "CALL1",
        "ani": "+1",
        "dnis": "8005550199",
        "agentId": "agent1",
    }
    assert [(mask.time, mask.type) for mask in media.masks] == [
        ("2026-01-02T10:00:02.000Z", "paused"),
        ("2026-01-02T10:00:03.500Z", "resume"),
    ]
    name = "CALL1_2026-01-02T10-00-00.000Z-0a1b2c3d-00000001-00000001.wav"
    assert media.media_id == name
    assert media.media_descriptor.path == f"http://store.example/recordings/{name}.bin"
    assert media.cert_alias == make_plan().cert_aliases
    assert media.lab is not None
    left, right = media.lab.legs
    assert (left.label, left.channel, left.packets) == ("leg-0", "left", 100)
    assert (left.offset_ms, left.paused_ms) == (250, 1500)
    assert (right.channel, right.packets) == ("right", 3)


def test_the_proofs_fit_to_the_file(spool: Spool, keyring: SpoolKeyring) -> None:
    """Size and digest are the ciphertext's, and the mac proves them under the session key."""
    key = SessionKey.generate()
    item = record(spool, keyring, course(1000), stream(speech(40)), key=key)
    render(spool, item, keyring, SETTINGS)
    ready = read_item(spool.folder(item, State.READY))
    media = read_metadata(ready)
    assert media.lab is not None
    assert media.pkcs7 is not None
    envelope = Envelope.from_pem(media.pkcs7)
    check_mac(key, media_id=media.media_id, iv=envelope.iv, lab=media.lab)
    stored = (spool.folder(item, State.READY) / MEDIA).stat().st_size
    assert ready.size == media.lab.size == stored
    assert ready.sha256 == media.lab.sha256


@pytest.mark.peer
def test_openssl_opens_the_recording(spool: Spool, keyring: SpoolKeyring, tmp_path: Path) -> None:
    """The documented `openssl cms` line gives the same file as our own reading."""
    openssl = str(peer("openssl"))
    item = record(spool, keyring, course(2000), stream(speech(90)))
    render(spool, item, keyring, SETTINGS)
    media, data = open_recording(spool, item)
    assert media.pkcs7 is not None
    (tmp_path / "envelope.pem").write_text(media.pkcs7)
    (tmp_path / "key.pem").write_bytes(key_pem(recorder(1).key))
    (tmp_path / "recorder.pem").write_text(recorder(1).pem)
    command = [
        *(openssl, "cms", "-decrypt", "-inform", "PEM", "-in", "envelope.pem", "-content"),
        *(str(spool.folder(item, State.READY) / MEDIA), "-inkey", "key.pem"),
        *("-recip", "recorder.pem", "-binary", "-out", "audio"),
    ]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "audio").read_bytes() == data


def test_no_sound_and_no_key_is_ever_on_disk(spool: Spool, keyring: SpoolKeyring) -> None:
    """Neither payload, nor samples, nor the session key is found in any file, before or after."""
    key = SessionKey.generate()
    payloads = speech(100)
    secrets = [payloads[5], heard(payloads[5:6]).tobytes(), key.secret, key.secret.hex().encode()]
    for plan in (make_plan("CALL1"), make_plan("CALL2", encrypted=False)):
        item = record(spool, keyring, course(2100), stream(payloads), plan=plan, key=key)
        _assert_absent(spool.root, secrets)
        render(spool, item, keyring, SETTINGS)
        _assert_absent(spool.root, secrets)


def _assert_absent(folder: Path, secrets: list[bytes]) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    for path in files:
        content = path.read_bytes()
        assert not any(secret in content for secret in secrets), path


def test_a_password_among_the_parameters_is_sealed(spool: Spool, keyring: SpoolKeyring) -> None:
    """It is in no file of the item in clear, and in the posted body all the same."""
    plan = make_plan(parameters={"rp.speechminer_auth": "user:tell-nobody", "dnis": "1"})
    item = record(spool, keyring, course(500), plan=plan)
    render(spool, item, keyring, SETTINGS)
    folder = spool.folder(item, State.READY)
    _assert_absent(folder, [b"tell-nobody"])
    ready = read_item(folder)
    assert "rp.speechminer_auth" not in read_metadata(ready).parameters
    (posted,) = decode_metadata(whole_body(ready, keyring)).media_files
    assert posted.parameters["rp.speechminer_auth"] == "user:tell-nobody"
    assert posted.parameters["dnis"] == "1"


def test_an_interrupted_render_begins_anew_under_a_new_iv(
    spool: Spool, keyring: SpoolKeyring
) -> None:
    """Whatever a killed render left is thrown away; no IV is used twice under the key."""
    key = SessionKey.generate()
    ivs = set()
    for segment in (1, 2, 3):
        plan = make_plan(segment=segment)
        item = record(spool, keyring, course(1000), stream(speech(40)), plan=plan, key=key)
        folder = spool.folder(item, State.RENDERING)
        for name in (f"{MEDIA}.part", MEDIA, ITEM):
            (folder / name).write_bytes(b"left by a killed render")
        render(spool, item, keyring, SETTINGS)
        media, _ = open_recording(spool, item)
        assert media.pkcs7 is not None
        ivs.add(Envelope.from_pem(media.pkcs7).iv)
    assert len(ivs) == 3


@pytest.mark.parametrize("cut", [0, 7])
def test_a_journal_without_an_end_is_recovered(
    spool: Spool, keyring: SpoolKeyring, cut: int
) -> None:
    """The last packet ends the call; what was whole in the journal is heard, and it is marked."""
    payloads = speech(150)
    item = record(spool, keyring, course(9000)[:-2], stream(payloads))
    path = spool.folder(item, State.RENDERING) / JOURNAL
    if cut:
        path.write_bytes(path.read_bytes()[:-cut])
    summary = render(spool, item, keyring, SETTINGS)
    media, data = open_recording(spool, item)
    whole = 100 if cut else 150
    assert summary.recovered
    assert media.lab is not None
    assert media.lab.recovered
    assert summary.duration_ms == (whole - 1) * 20
    assert np.array_equal(_wave(data)[0], heard(payloads[: whole - 1]))


def test_a_call_killed_before_its_start_was_noted_is_kept(
    spool: Spool, keyring: SpoolKeyring
) -> None:
    """Packets without a start: the first one is t0, and the wall clock is the journal's."""
    opened = [event for event in course(0) if isinstance(event, LegOpened)]
    item = record(spool, keyring, opened, stream(speech(50), start=77 * MS))
    modified = (spool.folder(item, State.RENDERING) / JOURNAL).stat().st_mtime
    summary = render(spool, item, keyring, SETTINGS)
    media, _ = open_recording(spool, item)
    assert (summary.duration_ms, summary.recovered) == (980, True)
    assert media.stopped.timestamp() == pytest.approx(modified, abs=0.01)


def test_a_call_that_was_never_answered_is_empty(spool: Spool, keyring: SpoolKeyring) -> None:
    """No 2xx and no packet is no recording, and neither is a journal without a plan."""
    opened = [event for event in course(0) if isinstance(event, LegOpened)]
    item = record(spool, keyring, opened)
    with pytest.raises(EmptyRecordingError, match="CALL1 was never answered"):
        render(spool, item, keyring, SETTINGS)
    (spool.folder(item, State.RENDERING) / JOURNAL).write_bytes(b"")
    with pytest.raises(EmptyRecordingError):
        render(spool, item, keyring, SETTINGS)


def test_a_folder_without_a_journal_is_empty(spool: Spool, keyring: SpoolKeyring) -> None:
    """Killed between the folder and its journal: nothing was recorded, nothing is put aside.

    A journal that is missing beside other files is another matter.
    """
    spool.create("item")
    folder = spool.advance("item", State.RENDERING)
    with pytest.raises(EmptyRecordingError):
        render(spool, "item", keyring, RenderSettings())
    (folder / MEDIA).write_bytes(b"something")
    with pytest.raises(RenderError, match="cannot be opened"):
        render(spool, "item", keyring, RenderSettings())


def test_an_unencrypted_profile_makes_a_plain_object(spool: Spool, keyring: SpoolKeyring) -> None:
    """No envelope, no alias, no `.bin`; size and digest are the plain file's."""
    plan = make_plan(encrypted=False, cert_aliases=[])
    item = record(spool, keyring, course(1000), stream(speech(40)), plan=plan)
    render(spool, item, keyring, SETTINGS)
    ready = read_item(spool.folder(item, State.READY))
    media = read_metadata(ready)
    assert (media.pkcs7, media.cert_alias) == (None, [])
    assert media.media_descriptor.path.endswith(".wav")
    assert ready.size == media.size_bytes == 44 + 8000 * 4
    assert media.lab is not None
    assert (media.lab.size, media.lab.mac) == (ready.size, "")
    assert ready.sealed is not None


@pytest.mark.peer
@pytest.mark.parametrize(("channels", "count"), [("stereo", 2), ("mono", 1)])
def test_mp3_has_the_length_of_the_call(
    spool: Spool, keyring: SpoolKeyring, tmp_path: Path, channels: str, count: int
) -> None:
    """FFmpeg decodes exactly the call's samples, in as many channels as the plan says."""
    plan = make_plan(media_type="audio/mp3", channels=channels)
    item = record(spool, keyring, course(3217), stream(speech(100)), plan=plan)
    render(spool, item, keyring, SETTINGS)
    media, data = open_recording(spool, item)
    path = tmp_path / "call.mp3"
    path.write_bytes(data)
    command = [str(peer("ffmpeg")), "-v", "error", "-i", str(path), "-f", "s16le", "-"]
    decoded = subprocess.run(command, capture_output=True, check=True)
    assert len(decoded.stdout) == 25_736 * 2 * count
    assert media.media_id.endswith(".mp3")
    assert (media.type, media.size_bytes) == ("audio/mp3", len(data))


def test_a_call_too_long_for_wav_is_refused_with_the_reason(
    spool: Spool, keyring: SpoolKeyring
) -> None:
    """40 hours of stereo end above 4 GiB: the error says so, before anything is written."""
    item = record(spool, keyring, course(40 * 3600 * 1000))
    with pytest.raises(RenderError, match="4 GiB"):
        render(spool, item, keyring, SETTINGS)
    left = {path.name for path in spool.folder(item, State.RENDERING).iterdir()}
    assert left == {JOURNAL}


def test_a_journal_of_another_keyring_is_refused(spool: Spool, keyring: SpoolKeyring) -> None:
    """The error names the key that is missing; the journal stays."""
    item = record(spool, keyring, course(1000))
    with pytest.raises(RenderError, match="not in the keyring"):
        render(spool, item, SpoolKeyring.generate(), SETTINGS)
    assert (spool.folder(item, State.RENDERING) / JOURNAL).exists()


def test_a_damaged_journal_is_refused(spool: Spool, keyring: SpoolKeyring) -> None:
    """A file that is no journal is an error with its name."""
    item = record(spool, keyring, course(1000))
    (spool.folder(item, State.RENDERING) / JOURNAL).write_bytes(b"no journal at all" * 9)
    with pytest.raises(RenderError, match="journal"):
        render(spool, item, keyring, SETTINGS)


def test_a_user_in_the_stores_url_is_not_published(spool: Spool, keyring: SpoolKeyring) -> None:
    """A password that somebody wrote into the URL reaches neither metadata nor disk."""
    plan = make_plan(storage_url="http://me:tell-nobody@store.example/recordings/")
    item = record(spool, keyring, course(500), plan=plan)
    render(spool, item, keyring, SETTINGS)
    ready = read_item(spool.folder(item, State.READY))
    assert ready.storage_url == "http://store.example/recordings"
    _assert_absent(spool.folder(item, State.READY), [b"tell-nobody"])


def test_a_journal_in_many_frames_gives_the_same_sound(spool: Spool, keyring: SpoolKeyring) -> None:
    """One packet per frame or all in one: the recording is the same."""
    payloads = speech(120)
    sounds = []
    for segment, per_frame in ((1, 1), (2, 10_000)):
        plan = make_plan(segment=segment)
        item = record(spool, keyring, [], plan=plan)
        path = spool.folder(item, State.RENDERING) / JOURNAL
        path.unlink()
        write_journal(path, plan, keyring, course(3000), stream(payloads), per_frame=per_frame)
        render(spool, item, keyring, SETTINGS)
        sounds.append(open_recording(spool, item)[1])
    assert sounds[0] == sounds[1]


def test_what_this_machine_lost_stands_in_the_metadata(spool: Spool, keyring: SpoolKeyring) -> None:
    """Datagrams that the kernel or a slow disk cost are told apart from those lost on the way."""
    sent = stream(speech(40))
    closed = LegClosed(0, T0 + SECOND, received=35, overflowed=3, dropped=2)
    events = [*course(1000)[:-2], closed, course(1000)[-1]]
    item = record(spool, keyring, events, sent[:20] + sent[25:])
    render(spool, item, keyring, SETTINGS)
    media = read_metadata(read_item(spool.folder(item, State.READY)))
    assert media.lab is not None
    (leg,) = media.lab.legs
    assert (leg.packets, leg.lost, leg.other) == (35, 5, {"dropped": 2, "overflowed": 3})

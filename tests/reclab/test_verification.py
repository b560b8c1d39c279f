"""`verify` proves what is stored, and finds every kind of wrong with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mcp_sim.load.report import CallReport
from reclab.lab_client import UnknownRecording
from reclab.verification import NO_SIGNATURE, Options, Verdict, Verifier
from reclab.verify_command import verify_recordings
from tests.mcp_sim.load.sounds import LEAD, mixed, stereo, uuid_of
from tests.reclab.fake_lab import PACKETS, FakeLab, call_report, fake_lab

CALL = uuid_of(5)


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[FakeLab]:
    """A lab without recordings."""
    async with fake_lab(tmp_path) as made:
        yield made


async def judge(
    lab: FakeLab, call: CallReport | None = None, options: Options | None = None
) -> Verdict:
    """Verify the one call of a lab."""
    async with Verifier(lab.lab, options) as verifier:
        calls = {} if call is None else {call.identity: call}
        (verdict,) = await verify_recordings(verifier, ids=[CALL], calls=calls)
        return verdict


async def test_a_good_recording_is_verified(lab: FakeLab) -> None:
    """Stored, sealed, whole: verified, with its parties, aliases and legs."""
    media = lab.add(CALL)
    verdict = await judge(lab, call_report(CALL), Options(through_crypto=True))
    assert verdict.problems == ()
    assert verdict.verified
    assert (verdict.caller, verdict.dialed) == ("+16175550000", "8005550000")
    assert list(verdict.aliases) == media["certAlias"]
    assert [leg.missing_ms for leg in verdict.legs] == [0, 0]
    assert (verdict.offset_ms, verdict.swap) == (0, False)


def _flip(lab: FakeLab, media: dict[str, Any]) -> None:
    name = next(iter(lab.objects))
    stored = bytearray(lab.objects[name])
    stored[1000] ^= 1
    lab.objects[name] = bytes(stored)


def _cut(lab: FakeLab, media: dict[str, Any]) -> None:
    name = next(iter(lab.objects))
    lab.objects[name] = lab.objects[name][:-16]


def _lose(lab: FakeLab, media: dict[str, Any]) -> None:
    lab.objects.clear()


def _rename(lab: FakeLab, media: dict[str, Any]) -> None:
    media["mediaId"] = "other-" + media["mediaId"]


def _no_key(lab: FakeLab, media: dict[str, Any]) -> None:
    lab.lab.keys.clear()


def _ruin_envelope(lab: FakeLab, media: dict[str, Any]) -> None:
    media["pkcs7"] = media["pkcs7"][:200]


def _elsewhere(lab: FakeLab, media: dict[str, Any]) -> None:
    media["mediaDescriptor"]["path"] = "http://198.51.100.1/recordings/x.bin"


def _wrong_size(lab: FakeLab, media: dict[str, Any]) -> None:
    media["size"] = "44"


def _wrong_duration(lab: FakeLab, media: dict[str, Any]) -> None:
    media["duration"] = "3000"


def _no_alias(lab: FakeLab, media: dict[str, Any]) -> None:
    media["certAlias"] = []


def _no_media_id(lab: FakeLab, media: dict[str, Any]) -> None:
    del media["mediaId"]


def _unknown_type(lab: FakeLab, media: dict[str, Any]) -> None:
    media["type"] = "audio/ogg"


def _other_played(lab: FakeLab, media: dict[str, Any]) -> None:
    lab.played = {path: sound + b"\x00" for path, sound in lab.played.items()}


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (_flip, "chunk 0 of the ciphertext is not the one that was recorded"),
        (_cut, "the ciphertext ends after"),
        (_lose, "was not found"),
        (_rename, "the mac of the recording"),
        (_no_key, "no private key for any recipient"),
        (_ruin_envelope, "the envelope is not PEM"),
        (_elsewhere, "lies outside of the lab's store"),
        (_wrong_size, "the metadata says 44 bytes"),
        (_wrong_duration, "shorter than the metadata says"),
        (_no_alias, "names no certificate alias"),
        (_no_media_id, "mediaId is missing"),
        (_unknown_type, "'audio/ogg' cannot be decoded"),
        (_other_played, "the crypto server plays other bytes"),
    ],
)
async def test_what_is_wrong_is_said(
    lab: FakeLab, damage: Callable[[FakeLab, dict[str, Any]], None], sentence: str
) -> None:
    """Each damage to object, envelope, key or metadata is found and named."""
    damage(lab, lab.add(CALL))
    verdict = await judge(lab, None, Options(through_crypto=True))
    assert not verdict.verified
    assert any(sentence in problem for problem in verdict.problems), verdict.problems


async def test_damaged_sound_is_found(lab: FakeLab) -> None:
    """Swapped channels, a missing packet: the verdict has the numbers."""
    sound = stereo(CALL, PACKETS)[::-1].copy()
    sound[0, LEAD + 1600 : LEAD + 1760] = 0
    lab.add(CALL, sound)
    verdict = await judge(lab)
    assert verdict.swap
    assert [leg.missing_ms for leg in verdict.legs] == [0, 20]


async def test_mono_recordings_are_verified(lab: FakeLab) -> None:
    """Both parties in one channel: both are found."""
    lab.add(CALL, mixed(stereo(CALL, PACKETS)))
    assert (await judge(lab, call_report(CALL))).problems == ()


async def test_the_report_counts_every_packet(lab: FakeLab) -> None:
    """More packets sent than recorded: missing sound, and the recorder's count is compared."""
    lab.add(CALL)
    verdict = await judge(lab, call_report(CALL, PACKETS + 3))
    assert "customer: 103 packets were sent, the recorder received 100" in verdict.problems
    assert [leg.missing_ms for leg in verdict.legs] == [60, 60]
    assert (await judge(lab)).verified


async def test_a_recovered_recording_ends_where_it_ends(lab: FakeLab) -> None:
    """After a crash what was sent later is not held against the recording."""
    media = lab.add(CALL)
    media["lab"]["recovered"] = True
    verdict = await judge(lab, call_report(CALL, PACKETS + 500))
    assert verdict.problems == ()
    assert verdict.media[0].recovered


async def test_calls_too_short_to_tell_are_taken_as_stored(lab: FakeLab) -> None:
    """A call that was interrupted after half a second carries no proof, and is no fault."""
    sound = stereo(CALL, 25)
    lab.add(CALL, sound)
    assert (await judge(lab, call_report(CALL, 25))).problems == ()
    assert not (await judge(lab)).verified


async def test_foreign_recordings_are_a_choice(lab: FakeLab) -> None:
    """Without a signature: not verified, unless foreign ones are allowed and it is no sent call."""
    noise = np.random.default_rng(1).normal(0, 900, (2, 16_000)).astype(np.float32)
    lab.add(CALL, noise)
    assert (await judge(lab)).problems == (NO_SIGNATURE,)
    assert (await judge(lab, None, Options(allow_foreign=True))).verified
    assert not (await judge(lab, call_report(CALL), Options(allow_foreign=True))).verified


async def test_paused_spans_come_from_the_masks(lab: FakeLab) -> None:
    """A paused second is silent and nothing of it is missing."""
    sound = stereo(CALL, PACKETS)
    sound[:, 8000:12000] = 0
    masks = [
        {"time": "2026-01-02T10:00:01.000+0000", "type": "paused"},
        {"time": "2026-01-02T10:00:01.500+0000", "type": "resume"},
    ]
    lab.add(CALL, sound, masks=masks)
    assert (await judge(lab, call_report(CALL))).problems == ()


async def test_a_call_in_two_files_is_verified(lab: FakeLab) -> None:
    """Two media files of one recording, the second from later in the same call."""
    whole = stereo(CALL, 200)
    first = lab.add(CALL, whole[:, :16_000])
    name, stored = next(iter(lab.objects.items()))
    second = lab.add(CALL, whole[:, 16_000:])
    second["startTime"], second["stopTime"] = (
        "2026-01-02T10:00:02.000+0000",
        "2026-01-02T10:00:04.041+0000",
    )
    # Both have one media id here, which the fake store cannot tell apart by name.
    first["mediaDescriptor"] = {"path": f"{lab.lab.store}/first.bin"}
    first["originalMediaDescriptor"] = first["mediaDescriptor"]
    lab.objects["/recordings/first.bin"] = stored
    lab.answers[CALL]["mediaFiles"] = [second, first]
    assert name in lab.objects
    verdict = await judge(lab, call_report(CALL, 200))
    assert verdict.problems == ()
    assert len(verdict.media) == 2


async def test_all_recordings_are_read_page_by_page(lab: FakeLab) -> None:
    """--all verifies every page of the search; one bad recording does not stop the others."""
    for number in range(5):
        lab.add(uuid_of(number))
    lab.objects.pop(next(iter(lab.objects)))
    async with Verifier(lab.lab) as verifier:
        verdicts = await verify_recordings(verifier, everything=True)
    assert [verdict.verified for verdict in verdicts] == [False, True, True, True, True]


async def test_calls_that_are_not_stored_are_named(lab: FakeLab) -> None:
    """A sent call without a recording is a verdict of its own."""
    lab.add(CALL)
    calls = {one: call_report(one) for one in (CALL, uuid_of(6))}
    async with Verifier(lab.lab) as verifier:
        said: list[str] = []
        stored, lost = await verify_recordings(verifier, calls=calls, wait=0.01, say=said.append)
    assert said[0] == "Waiting for 1 of 2 calls to be stored …"
    assert said[-1] == "Listening to 1 recordings …"
    assert stored.verified
    assert (lost.id, lost.verified) == (uuid_of(6), False)
    assert lost.problems == ("the call was sent, and no recording of it is stored",)


async def test_an_unknown_id_is_named(lab: FakeLab) -> None:
    """An id that the processor does not know is an error that names it."""
    async with Verifier(lab.lab) as verifier:
        with pytest.raises(UnknownRecording, match="NOBODY"):
            await verify_recordings(verifier, ids=["NOBODY"])


async def test_passwords_stay_out_of_what_is_said(lab: FakeLab) -> None:
    """No verdict, and no repr of what it comes from, quotes a password."""
    lab.add(CALL)
    lab.objects.clear()
    verdict = await judge(lab)
    assert "secret" not in repr(verdict) + repr(lab.lab)


async def test_a_key_beside_the_labs_own(lab: FakeLab, tmp_path: Path) -> None:
    """A recording of another certificate is proved by the key that a person names, and no other."""
    lab.add(CALL)
    (key,) = (Path(path) for path in lab.lab.keys.values())
    lab.lab.keys.clear()
    stranger = tmp_path / "stranger.pem"
    stranger.write_bytes(
        rsa.generate_private_key(65537, 2048).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
    )
    assert (await judge(lab, options=Options(keys=(stranger, key)))).verified
    refused = await judge(lab, options=Options(keys=(stranger,)))
    assert not refused.verified
    assert refused.problems
    absent = await judge(lab, options=Options(keys=(Path("/no/key"),)))
    assert "/no/key cannot be read" in str(absent.problems)

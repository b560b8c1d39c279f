"""Stored media files become sound, exactly as long as they say, or one sentence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_sim.load.check import check
from mcp_sim.load.decode import MediaError, Sound, decode_media
from mcp_sim.recording.render.mp3 import Mp3Writer
from tests.mcp_sim.load.sounds import both_legs, stereo, uuid_of
from tests.mcp_sim.load.test_wave_file import PCM16, wav


def mp3_of(samples: np.ndarray[tuple[int, ...], np.dtype[np.int16]], kbps: int) -> bytes:
    """Return an MP3 file as the recorder writes it."""
    writer = Mp3Writer(channels=len(samples), samples=samples.shape[1], kbps=kbps)
    return writer.write(samples) + writer.finish()


def test_wav_is_decoded_as_it_is() -> None:
    """The samples of a WAV file come out unchanged, and it is no lossy copy."""
    sound = decode_media(PCM16, "audio/wav")
    assert sound.samples.tolist() == [[-4, -2, 0, 2], [-3, -1, 1, 3]]
    assert not sound.lossy


@pytest.mark.parametrize("count", [1000, 16_001, 48_317])
def test_mp3_has_the_length_that_went_in(count: int) -> None:
    """The encoder's delay and padding are taken off: to the sample."""
    samples = np.zeros((2, count), np.int16)
    samples[0] = 5000 * np.sin(np.arange(count) / 4)
    sound = decode_media(mp3_of(samples, 32), "audio/mp3")
    assert sound.samples.shape == samples.shape
    assert sound.lossy
    error = sound.samples[0, 200:-200] - samples[0, 200:-200]
    assert np.sqrt(np.mean(error**2)) < 500


def test_a_call_in_mp3_keeps_its_clock() -> None:
    """A signed call lies at the same sample in the MP3 as in what was encoded."""
    whole = stereo(uuid_of(9), 200)
    coded = decode_media(mp3_of(np.round(whole).astype(np.int16), 32), "audio/mp3")
    finding = check(coded, both_legs(uuid_of(9), packets=200))
    plain = check(Sound(whole), both_legs(uuid_of(9), packets=200))
    assert finding.problems == plain.problems == ()
    assert [leg.shift_ms for leg in finding.legs] == [leg.shift_ms for leg in plain.legs]


@pytest.mark.parametrize(
    ("data", "media_type", "sentence"),
    [
        (b"junk", "audio/wav", "not a WAV file"),
        (b"", "audio/mp3", "the MP3 file cannot be decoded"),
        (b"junk" * 500, "audio/mp3", "the MP3 file cannot be decoded"),
        (b"", "video/mp4", "the media type 'video/mp4' cannot be decoded"),
        (wav(1, 16, 1, 16_000, bytes(32)), "audio/wav", "16000 samples per second"),
    ],
)
def test_what_cannot_be_decoded_is_said(data: bytes, media_type: str, sentence: str) -> None:
    """Broken and foreign files are refused in one sentence."""
    with pytest.raises(MediaError, match=sentence):
        decode_media(data, media_type)


@settings(max_examples=60, deadline=None)
@given(junk=st.binary(max_size=300), at=st.integers(0, 4000))
def test_damaged_mp3_never_crashes(junk: bytes, at: int) -> None:
    """Whatever stands in an MP3 file, it is sound or a `MediaError`."""
    coded = bytearray(_CODED)
    coded[at : at + len(junk)] = junk
    try:
        sound = decode_media(bytes(coded), "audio/mp3")
    except MediaError:
        return
    assert len(sound.samples) in (1, 2)


_CODED = mp3_of(np.round(stereo(uuid_of(3), 50)).astype(np.int16), 32)

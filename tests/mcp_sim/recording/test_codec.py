"""G.711 tables, against FFmpeg and against themselves."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from mcp_sim.recording.timeline import codec
from tests.peers import peer

FFMPEG_NAMES = {"pcmu": "mulaw", "pcma": "alaw"}
ALL_BYTES = np.arange(256, dtype=np.uint8)


@pytest.mark.peer
@pytest.mark.parametrize("name", ["pcmu", "pcma"])
def test_every_byte_is_decoded_as_by_ffmpeg(name: str) -> None:
    """Each of the 256 bytes becomes the very sample that FFmpeg gives."""
    command = [
        *(str(peer("ffmpeg")), "-v", "error", "-f", FFMPEG_NAMES[name], "-ar", "8000"),
        *("-i", "-", "-f", "s16le", "-"),
    ]
    decoded = subprocess.run(command, input=ALL_BYTES.tobytes(), capture_output=True, check=True)
    expected = np.frombuffer(decoded.stdout, "<i2")
    assert np.array_equal(codec.decode(name, ALL_BYTES), expected)


@pytest.mark.parametrize(("name", "largest"), [("pcmu", 32124), ("pcma", 32256)])
def test_the_range_is_that_of_the_standard(name: str, largest: int) -> None:
    """The loudest values are those of G.711, in both directions."""
    table = codec.decode_table(name)
    assert (int(table.min()), int(table.max())) == (-largest, largest)


@pytest.mark.parametrize("name", ["pcmu", "pcma"])
def test_a_decoded_byte_is_encoded_as_itself(name: str) -> None:
    """Decoding and encoding again gives the same sample for every byte."""
    samples = codec.decode(name, ALL_BYTES)
    assert np.array_equal(codec.decode(name, codec.encode(name, samples)), samples)


@pytest.mark.parametrize("name", ["pcmu", "pcma"])
def test_each_sample_is_encoded_to_the_nearest_value(name: str) -> None:
    """No other byte of the codec is nearer to any of the 65536 samples than the chosen one."""
    samples = np.arange(-32768, 32768, dtype=np.int32)
    encoded = codec.encode(name, samples.astype(np.int16))
    table = codec.decode_table(name).astype(np.int32)
    chosen = np.abs(table[encoded] - samples)
    best = np.min([np.abs(value - samples) for value in table], axis=0)
    assert np.array_equal(chosen, best)


def test_shapes_are_kept() -> None:
    """Rows of packets stay rows of samples."""
    rows = np.zeros((3, 160), dtype=np.uint8)
    assert codec.decode("pcmu", rows).shape == (3, 160)
    assert codec.decode("pcmu", rows).dtype == np.int16


def test_silence_is_quiet() -> None:
    """The codecs' own silence bytes decode to (nearly) nothing."""
    assert codec.decode_table("pcmu")[0xFF] == 0
    assert codec.decode_table("pcma")[0xD5] == 8


def test_the_shared_tables_cannot_be_changed() -> None:
    """A caller that writes into a table gets an error and harms nobody."""
    with pytest.raises(ValueError, match="read-only"):
        codec.decode_table("pcmu")[0] = 1


def test_an_unknown_codec_is_named() -> None:
    """The error says which codec it was."""
    with pytest.raises(codec.UnknownCodecError, match="'opus'"):
        codec.decode_table("opus")

"""G.711 tables against the standard's properties and against FFmpeg."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from mcp_sim.load import g711
from tests.peers import peer


@pytest.mark.parametrize(("law", "least", "silence"), [("pcmu", 0, 0xFF), ("pcma", 8, 0xD5)])
def test_tables_are_each_others_inverse(law: g711.Law, least: int, silence: int) -> None:
    """Every level is encoded to a code that decodes to it; silence has its usual code."""
    levels = g711.decoding_table(law)
    assert np.array_equal(levels[g711.encode(levels, law)], levels)
    assert np.abs(levels.astype(int)).min() == least
    assert g711.encoding_table(law)[0] == silence


@pytest.mark.parametrize("law", ["pcmu", "pcma"])
def test_encoding_takes_the_nearest_level(law: g711.Law) -> None:
    """No other level is nearer to a sample than the one that its code stands for."""
    samples = np.arange(-32768, 32768, 7, dtype=np.int16)
    levels = np.unique(g711.decoding_table(law).astype(int))
    nearest = np.abs(samples[:, None].astype(int) - levels).min(axis=1)
    got = g711.decode(g711.encode(samples, law), law).astype(int)
    assert np.array_equal(np.abs(got - samples), nearest)


@pytest.mark.peer
@pytest.mark.parametrize(("law", "name"), [("pcmu", "mulaw"), ("pcma", "alaw")])
def test_decoding_equals_ffmpegs(law: g711.Law, name: str) -> None:
    """FFmpeg decodes each of the 256 codes to the same sample."""
    codes = np.arange(256, dtype=np.uint8)
    command = [str(peer("ffmpeg")), "-v", "error", "-f", name, "-ar", "8000", "-ac", "1"]
    command += ["-i", "pipe:0", "-f", "s16le", "pipe:1"]
    done = subprocess.run(command, input=codes.tobytes(), capture_output=True, check=True)
    assert np.array_equal(np.frombuffer(done.stdout, "<i2"), g711.decode(codes, law))

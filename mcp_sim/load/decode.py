"""A stored media file (WAV or MP3) becomes the samples that a listener would hear, at 8 kHz.

MP3 goes through PyAV, which honours the encoder delay and padding of the LAME tag, as players do.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import av
import numpy as np
from numpy.typing import NDArray

from mcp_sim.load.signature import SAMPLE_RATE
from mcp_sim.load.wave_file import WaveError, read_wave


class MediaError(ValueError):
    """A media file cannot be decoded; the sentence says why."""


@dataclass(frozen=True)
class Sound:
    """float32[channels, samples] at 8 kHz, full scale ±32768; `lossy` after a lossy coding."""

    samples: NDArray[np.float32]
    lossy: bool = False


def decode_media(data: bytes, media_type: str) -> Sound:
    """Decode a media file by its type, ``audio/wav`` or ``audio/mp3``."""
    if media_type in ("audio/wav", "audio/x-wav", "audio/wave"):
        try:
            wave = read_wave(data)
        except WaveError as error:
            raise MediaError(str(error)) from None
        samples, rate, lossy = wave.samples, wave.rate, False
    elif media_type in ("audio/mp3", "audio/mpeg"):
        samples, rate = _decode_mp3(data)
        lossy = True
    else:
        raise MediaError(f"the media type {media_type!r} cannot be decoded")
    if rate != SAMPLE_RATE:
        raise MediaError(f"the media file has {rate} samples per second instead of {SAMPLE_RATE}")
    return Sound(samples, lossy)


def _decode_mp3(data: bytes) -> tuple[NDArray[np.float32], int]:
    try:
        with av.open(io.BytesIO(data), "r", format="mp3") as container:
            stream = container.streams.audio[0]
            frames = [frame.to_ndarray() for frame in container.decode(stream)]
            rate, channels = stream.rate, stream.channels
    except (av.FFmpegError, IndexError) as error:
        raise MediaError(f"the MP3 file cannot be decoded: {error}") from None
    if not frames:
        return np.zeros((channels, 0), np.float32), rate
    joined = np.concatenate(frames, axis=1)
    scale = 1.0 if joined.dtype.kind == "i" else 32768.0
    return joined.astype(np.float32) * np.float32(scale), rate

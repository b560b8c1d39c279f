"""How media files begin: what tells a right session key from a wrong one where no mac does.

A plaintext from a wrong key or IV is random. It passes for MP3 once in 100 million times when two
frames are there to be looked at, for MP4 once in four milliards, for WAV once in 2⁶³ times.
"""

from __future__ import annotations

from typing import Literal

#: So many bytes of a file's beginning are always enough to be sure; fewer are looked at too.
ENOUGH = 4096

_VERSION_1 = 3
_RESERVED_VERSION = 1
_LAYER_3 = 1
_RESERVED_RATE = 3
_KILOBITS = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def media_kind(beginning: bytes) -> Literal["wav", "mp3", "mp4", ""]:
    """Return what a file begins like: RIFF/WAVE, an ID3 tag or MPEG layer III frames, or MP4.

    Where `beginning` reaches the second frame, it must be one too. Empty for anything else.
    """
    if beginning[:4] in (b"RIFF", b"RF64") and beginning[8:12] == b"WAVE":
        return "wav"
    if beginning[4:8] == b"ftyp":
        return "mp4"
    if _is_id3(beginning):
        return "mp3"
    size = _frame_size(beginning)
    if not size:
        return ""
    following = beginning[size:]
    if len(following) >= 4 and (not _frame_size(following) or _differs(beginning, following)):
        return ""
    return "mp3"


def _is_id3(beginning: bytes) -> bool:
    """Tell whether an ID3v2 tag's header stands there (ID3v2.4 structure §3.1)."""
    return (
        len(beginning) >= 10
        and beginning[:3] == b"ID3"
        and beginning[3] < 0xFF
        and beginning[4] < 0xFF
        and all(byte < 0x80 for byte in beginning[6:10])
    )


def _frame_size(data: bytes) -> int:
    """Return the bytes of the layer III frame that begins here, 0 when none does (ISO 11172-3)."""
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return 0
    version, layer = data[1] >> 3 & 3, data[1] >> 1 & 3
    rate, bits = data[2] >> 2 & 3, data[2] >> 4
    if version == _RESERVED_VERSION or layer != _LAYER_3 or rate == _RESERVED_RATE:
        return 0
    if bits in (0, 15):
        return 0  # a free rate tells no size, and no recorder writes it
    first = version == _VERSION_1
    slots = 144 if first else 72
    return slots * _KILOBITS[first][bits] * 1000 // _RATES[version][rate] + (data[2] >> 1 & 1)


def _differs(one: bytes, other: bytes) -> bool:
    """Tell whether version, layer or sampling rate differ, as they never do within a file."""
    return one[1] & 0x1E != other[1] & 0x1E or one[2] & 0x0C != other[2] & 0x0C

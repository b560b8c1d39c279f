"""A stored object that is proven as it passes."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording_format.checked_stream import CheckedStream
from recording_format.digests import CHUNK_SIZE, CiphertextHasher
from recording_format.errors import IntegrityError
from recording_format.lab import Lab

DATA = random.Random(5).randbytes(2 * CHUNK_SIZE + 1000)
SIZES = (0, 1, 16, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 2 * CHUNK_SIZE, len(DATA))


def lab_of(data: bytes) -> Lab:
    """The metadata of an object."""
    hasher = CiphertextHasher()
    hasher.update(data)
    digests = hasher.finish()
    return Lab(size=digests.size, sha256=digests.sha256, chunks=list(digests.chunks))


def passed(data: bytes, size: int, lab: Lab | None, *, step: int = 100_000) -> Iterator[bytes]:
    """Yield what passes when `data` comes in steps."""
    stream = CheckedStream(size, lab)
    for start in range(0, len(data), step):
        yield from stream.take(data[start : start + step])
    yield from stream.finish()
    assert stream.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("known", [True, False])
def test_the_right_object_passes_whole(size: int, known: bool) -> None:
    """What comes out is what went in, in parts of one chunk at most."""
    data = DATA[:size]
    parts = list(passed(data, size, lab_of(data) if known else None))
    assert b"".join(parts) == data
    assert all(0 < len(part) <= CHUNK_SIZE for part in parts)


@given(st.integers(0, len(DATA) - 1), st.integers(0, 7), st.integers(20_000, 3_000_000))
def test_a_flipped_bit_does_not_pass(position: int, bit: int, step: int) -> None:
    """Whichever bit is wrong: an error, and nothing of its chunk came out before."""
    wrong = bytearray(DATA)
    wrong[position] ^= 1 << bit
    out: list[bytes] = []
    with pytest.raises(IntegrityError, match="differs from its metadata in bytes"):
        out.extend(passed(bytes(wrong), len(DATA), _LAB, step=step))
    assert b"".join(out) == DATA[: position // CHUNK_SIZE * CHUNK_SIZE]


_LAB = lab_of(DATA)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("wrong", [-1, 1, -CHUNK_SIZE])
def test_a_wrong_length_does_not_pass(known: bool, wrong: int) -> None:
    """An object that is cut or goes on is an error, with digests and without."""
    data = (DATA + b"x")[: len(DATA) + wrong]
    with pytest.raises(IntegrityError, match="bytes"):
        list(passed(data, len(DATA), _LAB if known else None))
    with pytest.raises(IntegrityError, match="bytes instead of"):
        CheckedStream(len(data), _LAB)


def test_the_digest_of_the_whole_counts_too() -> None:
    """Where the digests of the chunks are missing, or contradict, the whole one decides."""
    for lab in (
        Lab(size=len(DATA), sha256="00" * 32, chunks=_LAB.chunks),
        Lab(size=len(DATA), sha256="00" * 32, chunks=[]),
    ):
        out: list[bytes] = []
        with pytest.raises(IntegrityError, match="differs from the digest of its metadata"):
            out.extend(passed(DATA, len(DATA), lab))
        assert len(b"".join(out)) < len(DATA)
    upper = Lab(size=len(DATA), sha256=_LAB.sha256.upper(), chunks=[])
    assert b"".join(passed(DATA, len(DATA), upper)) == DATA

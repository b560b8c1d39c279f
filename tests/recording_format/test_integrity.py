"""Digests and mac: nothing that was changed gets through."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recording_format.digests import CHUNK_SIZE, CiphertextDigests, CiphertextHasher, chunk_count
from recording_format.errors import IntegrityError
from recording_format.integrity import (
    ChunkVerifier,
    check_chunk,
    check_digests,
    check_mac,
    media_mac,
)
from recording_format.lab import Lab
from recording_format.session_key import SessionKey

VECTORS = Path(__file__).parent / "vectors"
KEY = SessionKey(bytes(range(32)))
IV = bytes(range(16))
NAME = "call-0a1b2c3d-00000001-00000001.wav"
SIZES = [0, 1, 16, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 2 * CHUNK_SIZE, 3 * CHUNK_SIZE + 16]


def digests_of(data: bytes) -> CiphertextDigests:
    """Return the digests of data taken at once."""
    hasher = CiphertextHasher()
    hasher.update(data)
    return hasher.finish()


def lab_of(digests: CiphertextDigests, mac: str) -> Lab:
    """Return a lab object with these digests."""
    return Lab(size=digests.size, sha256=digests.sha256, chunks=list(digests.chunks), mac=mac)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("step", [1_000_003, CHUNK_SIZE, 5 * CHUNK_SIZE])
def test_digests_are_those_of_hashlib(size: int, step: int) -> None:
    """Whatever the pieces, whole and chunks have the SHA-256 that hashlib gives them."""
    data = os.urandom(size)
    hasher = CiphertextHasher()
    for at in range(0, size, step):
        hasher.update(data[at : at + step])
    digests = hasher.finish()
    chunks = [data[at : at + CHUNK_SIZE] for at in range(0, size, CHUNK_SIZE)]
    assert digests.size == size
    assert digests.sha256 == hashlib.sha256(data).hexdigest()
    assert list(digests.chunks) == [hashlib.sha256(chunk).hexdigest() for chunk in chunks]
    assert len(digests.chunks) == chunk_count(size)
    check_digests(digests)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("step", [700_001, CHUNK_SIZE, 9 * CHUNK_SIZE])
def test_verifier_lets_the_right_bytes_through(size: int, step: int) -> None:
    """The recorded bytes come out whole and in order, in checked chunks."""
    data = os.urandom(size)
    verifier = ChunkVerifier(digests_of(data))
    out = [chunk for at in range(0, size, step) for chunk in verifier.feed(data[at : at + step])]
    verifier.finish()
    assert b"".join(out) == data
    assert all(len(chunk) <= CHUNK_SIZE for chunk in out)


@given(at=st.integers(0, 2 * CHUNK_SIZE + 99), bit=st.integers(0, 7))
@settings(max_examples=25, deadline=None)
def test_verifier_stops_before_the_changed_chunk(at: int, bit: int) -> None:
    """A flipped bit stops the stream, and nothing of its chunk was let out."""
    data = bytes(2 * CHUNK_SIZE + 100)
    changed = bytearray(data)
    changed[at] ^= 1 << bit
    verifier = ChunkVerifier(digests_of(data))
    out: list[bytes] = []

    def read_all() -> None:
        for start in range(0, len(changed), 300_000):
            out.extend(verifier.feed(bytes(changed[start : start + 300_000])))

    with pytest.raises(IntegrityError, match="not the one that was recorded"):
        read_all()
    assert sum(map(len, out)) <= at // CHUNK_SIZE * CHUNK_SIZE


def test_verifier_refuses_less_and_more() -> None:
    """Bytes that lack are reported at the end, bytes too many at once."""
    data = os.urandom(CHUNK_SIZE + 10)
    short = ChunkVerifier(digests_of(data))
    short.feed(data[:-1])
    with pytest.raises(IntegrityError, match="ends after 1048585 of its 1048586 bytes"):
        short.finish()
    with pytest.raises(IntegrityError, match="longer than its 1048586 bytes"):
        ChunkVerifier(digests_of(data)).feed(data + b"x")


@pytest.mark.parametrize("size", SIZES)
def test_pieces_of_nothing_change_nothing(size: int) -> None:
    """Empty pieces before, between and behind the chunks are borne, whole chunks or not."""
    data = os.urandom(size)
    verifier = ChunkVerifier(digests_of(data))
    pieces = [data[at : at + CHUNK_SIZE] for at in range(0, size, CHUNK_SIZE)]
    out = [chunk for piece in pieces for part in (b"", piece) for chunk in verifier.feed(part)]
    assert verifier.feed(b"") == []
    verifier.finish()
    assert b"".join(out) == data


@pytest.mark.parametrize("step", [CHUNK_SIZE, 300_000])
def test_a_changed_chunk_is_not_let_out_whole(step: int) -> None:
    """A changed bit is seen when whole chunks come, and when pieces of them do."""
    data = bytearray(os.urandom(2 * CHUNK_SIZE))
    verifier = ChunkVerifier(digests_of(bytes(data)))
    data[CHUNK_SIZE + 5] ^= 1
    out: list[bytes] = []

    def read_all() -> None:
        for at in range(0, len(data), step):
            out.extend(verifier.feed(bytes(data[at : at + step])))

    with pytest.raises(IntegrityError, match="chunk 1 of the ciphertext"):
        read_all()
    assert b"".join(out) == data[:CHUNK_SIZE]


def test_check_chunk_knows_its_place() -> None:
    """A right chunk in another's place is refused, and so is one that does not exist."""
    first, second = b"a" * CHUNK_SIZE, b"b" * 5
    digests = digests_of(first + second)
    check_chunk(digests, 0, first)
    check_chunk(digests, 1, second)
    with pytest.raises(IntegrityError, match="chunk 1"):
        check_chunk(digests, 1, first)
    for index in (-1, 2):
        with pytest.raises(IntegrityError, match="has no chunk"):
            check_chunk(digests, index, second)


def test_mac_vectors_stand() -> None:
    """The macs of earlier releases are still the macs, or old recordings could not be checked."""
    vectors = json.loads((VECTORS / "mac.json").read_text())
    assert len(vectors) >= 3
    for vector in vectors:
        digests = msgspec.convert(vector["digests"], CiphertextDigests)
        key = SessionKey(bytes.fromhex(vector["key"]))
        iv = bytes.fromhex(vector["iv"])
        assert media_mac(key, media_id=vector["media_id"], iv=iv, digests=digests) == vector["mac"]
        check_mac(key, media_id=vector["media_id"], iv=iv, lab=lab_of(digests, vector["mac"]))


def test_mac_binds_everything() -> None:
    """Another key, cipher, name, IV, length or chunk is another mac; the whole's SHA-256 is not."""
    digests = digests_of(os.urandom(2 * CHUNK_SIZE))
    longer = digests_of(bytes(2 * CHUNK_SIZE + 1))
    swapped = msgspec.structs.replace(digests, chunks=digests.chunks[::-1])
    shorter = msgspec.structs.replace(digests, size=digests.size - 1)
    base = media_mac(KEY, media_id=NAME, iv=IV, digests=digests)
    others = [
        media_mac(SessionKey(bytes(32)), media_id=NAME, iv=IV, digests=digests),
        media_mac(SessionKey(KEY.secret[:16]), media_id=NAME, iv=IV, digests=digests),
        media_mac(KEY, media_id=NAME + "x", iv=IV, digests=digests),
        media_mac(KEY, media_id=NAME, iv=IV[::-1], digests=digests),
        media_mac(KEY, media_id=NAME, iv=IV, digests=longer),
        media_mac(KEY, media_id=NAME, iv=IV, digests=swapped),
        media_mac(KEY, media_id=NAME, iv=IV, digests=shorter),
    ]
    assert len({base, *others}) == 8
    for mac in others:
        with pytest.raises(IntegrityError, match=f"the mac of the recording {NAME} is wrong"):
            check_mac(KEY, media_id=NAME, iv=IV, lab=lab_of(digests, mac))
    resummed = msgspec.structs.replace(digests, sha256="0" * 64)
    assert media_mac(KEY, media_id=NAME, iv=IV, digests=resummed) == base


@given(
    left=st.tuples(st.text(max_size=6), st.binary(max_size=6)),
    right=st.tuples(st.text(max_size=6), st.binary(max_size=6)),
)
@settings(max_examples=60, deadline=None)
def test_mac_is_unambiguous(left: tuple[str, bytes], right: tuple[str, bytes]) -> None:
    """No two different names and IVs share a mac, however bytes move from one to the other."""
    digests = digests_of(b"")
    macs = [media_mac(KEY, media_id=name, iv=iv, digests=digests) for name, iv in (left, right)]
    assert (macs[0] == macs[1]) == (left == right)


def test_digests_without_a_mac_prove_nothing() -> None:
    """A lab object whose mac was taken away is refused as that."""
    with pytest.raises(IntegrityError, match=f"{NAME} has digests, but no mac"):
        check_mac(KEY, media_id=NAME, iv=IV, lab=lab_of(digests_of(b"x"), ""))


@pytest.mark.parametrize("mac", ["0" * 64, "not hex", "Ä", "\ud800"])
def test_strange_macs_are_only_compared(mac: str) -> None:
    """A mac of any shape is wrong, and nothing worse."""
    with pytest.raises(IntegrityError, match=f"the mac of the recording {NAME} is wrong"):
        check_mac(KEY, media_id=NAME, iv=IV, lab=lab_of(digests_of(b"x"), mac))


@pytest.mark.parametrize(
    "digests",
    [
        CiphertextDigests(-1, "0" * 64, ()),
        CiphertextDigests(1 << 63, "0" * 64, ()),
        CiphertextDigests(1, "0" * 64, ()),
        CiphertextDigests(0, "0" * 64, ("0" * 64,)),
        CiphertextDigests(CHUNK_SIZE + 1, "0" * 64, ("0" * 64,)),
        CiphertextDigests(1, "0" * 64, ("0" * 63,)),
        CiphertextDigests(1, "0" * 64, ("0" * 64 + "\n",)),
        CiphertextDigests(1, "G" * 64, ("0" * 64,)),
        CiphertextDigests(1, "A" * 64, ("0" * 64,)),
    ],
)
def test_inconsistent_digests_are_refused(digests: CiphertextDigests) -> None:
    """Digests that contradict their size, or are no digests, are refused wherever they are used."""
    with pytest.raises(IntegrityError):
        check_digests(digests)
    with pytest.raises(IntegrityError):
        ChunkVerifier(digests)
    with pytest.raises(IntegrityError):
        check_mac(KEY, media_id=NAME, iv=IV, lab=lab_of(digests, "0" * 64))

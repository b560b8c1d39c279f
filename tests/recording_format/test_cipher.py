"""The media cipher: round trips in any pieces, NIST's vectors, new IVs, cut ciphertexts."""

from __future__ import annotations

import inspect
import os
import random
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recording_format.cipher import (
    MediaDecryptor,
    MediaEncryptor,
    ciphertext_size,
    decrypt_part,
)
from recording_format.errors import CiphertextError
from recording_format.session_key import SessionKey
from tests.peers import peer

KEY = SessionKey(bytes(range(32)))


def encrypt(key: SessionKey, pieces: list[bytes]) -> tuple[MediaEncryptor, bytes]:
    """Return a finished encryptor and the ciphertext."""
    encryptor = MediaEncryptor(key)
    return encryptor, b"".join([*map(encryptor.update, pieces), encryptor.finalize()])


def decrypt(key: SessionKey, iv: bytes, pieces: list[bytes]) -> bytes:
    """Return the plaintext."""
    decryptor = MediaDecryptor(key, iv)
    return b"".join([*map(decryptor.update, pieces), decryptor.finalize()])


def cut(data: bytes, step: int) -> list[bytes]:
    """Cut `data` into pieces of `step` bytes."""
    return [data[at : at + step] for at in range(0, len(data), step)]


@given(pieces=st.lists(st.binary(max_size=70), max_size=8), step=st.integers(1, 50))
@settings(max_examples=60, deadline=None)
def test_any_pieces_come_back(pieces: list[bytes], step: int) -> None:
    """However a plaintext and its ciphertext are cut, the same bytes come out."""
    encryptor, ciphertext = encrypt(KEY, pieces)
    plain = b"".join(pieces)
    assert encryptor.plaintext_size == len(plain)
    assert len(ciphertext) == ciphertext_size(len(plain)) == encryptor.digests.size
    assert decrypt(KEY, encryptor.iv, cut(ciphertext, step)) == plain


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 31, 32])
def test_padding_always_adds_a_byte(size: int) -> None:
    """A whole block of plaintext gets another block of padding (RFC 5652 §6.3)."""
    assert ciphertext_size(size) == size // 16 * 16 + 16


def test_iv_is_drawn_and_cannot_be_given() -> None:
    """Encryptors under one key never share an IV, and nobody can hand them one."""
    assert len({MediaEncryptor(KEY).iv for _ in range(200)}) == 200
    assert list(inspect.signature(MediaEncryptor).parameters) == ["key"]
    with pytest.raises(AttributeError):
        MediaEncryptor(KEY).iv = bytes(16)  # type: ignore[misc]  # there is no way, this shows it


@pytest.mark.parametrize(
    ("key", "ciphertext"),
    [
        # NIST SP 800-38A, F.2.2 and F.2.6: CBC-AES128.Decrypt and CBC-AES256.Decrypt
        ("2b7e151628aed2a6abf7158809cf4f3c", "7649abac8119b246cee98e9b12e9197d"),
        (
            "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
            "f58c4c04d6e5f1ba779eabfb5f7bfbd6",
        ),
    ],
)
def test_nist_vectors(key: str, ciphertext: str) -> None:
    """NIST's first CBC block decrypts to NIST's plaintext."""
    decryptor = MediaDecryptor(SessionKey(bytes.fromhex(key)), bytes(range(16)))
    plain = decryptor.update(bytes.fromhex(ciphertext) + bytes(16))
    assert plain == bytes.fromhex("6bc1bee22e409f96e93d7e117393172a")


@pytest.mark.peer
@pytest.mark.parametrize("bits", [128, 256])
def test_openssl_reads_it(bits: int) -> None:
    """`openssl enc -d` gets the same plaintext from our ciphertext."""
    key = SessionKey.generate(bits)
    plain = os.urandom(100_003)
    encryptor, ciphertext = encrypt(key, [plain])
    options = ["-K", key.secret.hex(), "-iv", encryptor.iv.hex()]
    command = [str(peer("openssl")), "enc", "-d", f"-{key.algorithm}", *options]
    run = subprocess.run(command, input=ciphertext, capture_output=True, check=True, timeout=30)
    assert run.stdout == plain


@pytest.mark.parametrize("size", [0, 1, 15, 17, 31])
def test_a_cut_ciphertext_is_an_error(size: int) -> None:
    """A ciphertext that is empty or not whole blocks is refused, and the sentence says so."""
    with pytest.raises(CiphertextError, match="the ciphertext is cut"):
        decrypt(KEY, bytes(16), [bytes(size)])


@given(
    size=st.integers(0, 400),
    part=st.integers(1, 8).map(lambda blocks: 16 * blocks),
    step=st.integers(1, 40),
)
@settings(max_examples=60, deadline=None)
def test_any_part_is_decrypted_alone(size: int, part: int, step: int) -> None:
    """A part of whole blocks needs the 16 bytes before it only; padding is cut at the real end."""
    plain = random.Random(size).randbytes(size)
    encryptor, ciphertext = encrypt(KEY, [plain])
    chained = encryptor.iv + ciphertext
    for at in range(0, len(ciphertext), part):
        piece = ciphertext[at : at + part]
        previous = chained[at : at + 16]
        last = at + part >= len(ciphertext)
        assert decrypt_part(KEY, previous, piece, last=last) == plain[at : at + part]
        decryptor = MediaDecryptor.at(KEY, previous)
        pieces = [*map(decryptor.update, cut(piece, step))]
        pieces.append(decryptor.finalize() if last else decryptor.leave())
        assert b"".join(pieces) == plain[at : at + part]


@pytest.mark.parametrize("size", [0, 1, 15, 17, 40])
def test_a_part_is_whole_blocks(size: int) -> None:
    """A part that is empty or not whole blocks is refused inside the file as at its end."""
    for last in (False, True):
        with pytest.raises(CiphertextError, match="the ciphertext is cut"):
            decrypt_part(KEY, bytes(16), bytes(size), last=last)


def test_bytes_that_look_like_padding_stay_inside_the_file() -> None:
    """Only the real end loses its padding: a part that ends in 01 keeps it."""
    encryptor, ciphertext = encrypt(KEY, [b"\x01" * 64])
    assert decrypt_part(KEY, encryptor.iv, ciphertext[:32], last=False) == b"\x01" * 32
    assert decrypt_part(KEY, encryptor.iv, ciphertext[:32], last=True) == b"\x01" * 31


def test_wrong_padding_is_an_error() -> None:
    """Bytes that do not end in padding are refused with one sentence."""
    encryptor, ciphertext = encrypt(KEY, [bytes(40)])
    with pytest.raises(CiphertextError, match="does not decrypt under this key"):
        decrypt(KEY, encryptor.iv, [ciphertext[:32]])


def test_wrong_iv_length_is_an_error() -> None:
    """An IV is 16 bytes."""
    with pytest.raises(CiphertextError, match="16 bytes, not 12"):
        MediaDecryptor(KEY, bytes(12))


def test_digests_come_only_at_the_end() -> None:
    """Asking an unfinished encryptor for digests is a programming error."""
    with pytest.raises(RuntimeError, match="before finalize"):
        _ = MediaEncryptor(KEY).digests

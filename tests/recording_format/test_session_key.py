"""Session keys: their sizes, and that they stay hidden."""

from __future__ import annotations

import pytest

from recording_format.session_key import SessionKey


@pytest.mark.parametrize(("bits", "algorithm"), [(256, "aes-256-cbc"), (128, "aes-128-cbc")])
def test_generates_keys_of_both_sizes(bits: int, algorithm: str) -> None:
    """A new key has the bits that were asked for, knows its cipher and is never the same again."""
    key = SessionKey.generate(bits)
    assert len(key.secret) == bits // 8
    assert key.algorithm == algorithm
    assert key != SessionKey.generate(bits)


def test_default_is_aes_256() -> None:
    """A key that nobody sized is an AES-256 key."""
    assert SessionKey.generate().algorithm == "aes-256-cbc"


@pytest.mark.parametrize("size", [0, 15, 17, 24, 33])
def test_refuses_other_sizes_without_quoting_them(size: int) -> None:
    """A key of another length is refused by its length; the bytes are not in the message."""
    secret = b"\x5a" * size
    with pytest.raises(ValueError, match="16 or 32 bytes") as caught:
        SessionKey(secret)
    assert "ZZ" not in str(caught.value)


def test_refuses_other_bit_counts() -> None:
    """AES-192 is not a cipher of recordings."""
    with pytest.raises(ValueError, match="128 or 256 bits"):
        SessionKey.generate(192)


def test_hides_itself() -> None:
    """Neither repr, str nor a format shows the key, in any spelling."""
    key = SessionKey(b"SECRETSECRET1234")
    for text in (repr(key), str(key), f"{key}", f"{[key]}"):
        assert "SECRET" not in text
        assert key.secret.hex() not in text


def test_compares_by_value_and_is_no_dictionary_key() -> None:
    """Equal bytes are equal keys; a key is equal to nothing else and cannot be hashed."""
    assert SessionKey(b"k" * 16) == SessionKey(b"k" * 16)
    assert SessionKey(b"k" * 16) != SessionKey(b"l" * 16)
    assert SessionKey(b"k" * 16) != b"k" * 16
    with pytest.raises(TypeError):
        hash(SessionKey(b"k" * 16))

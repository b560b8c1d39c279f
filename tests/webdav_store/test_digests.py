"""Digest fields are read and written as RFC 9530 and RFC 8941 say."""

from __future__ import annotations

import base64
import hashlib
import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webdav_store.digests import (
    announced_digests,
    digest_of_file,
    format_digest,
    wanted_algorithm,
)
from webdav_store.errors import Refused


@pytest.mark.parametrize(
    ("field", "algorithm"),
    [
        (None, None),
        ("", None),
        ("sha-256=10", "sha-256"),
        ("sha-256=1, sha-512=9", "sha-512"),
        ("sha-512=3,sha-256=10,md5=10", "sha-256"),
        ("sha-256=0", None),
        ("md5=10", None),
        ("sha-256", None),
        ("sha-256=11", None),
        ("sha-256=-1", None),
        ("sha-256=1;q=2", "sha-256"),
        ("sha-256=10, ,=,", "sha-256"),
    ],
)
def test_the_best_liked_known_algorithm_is_chosen(field: str | None, algorithm: str | None) -> None:
    """Weights run from 0 (not acceptable) to 10; unknown algorithms and nonsense are ignored."""
    assert wanted_algorithm(field) == algorithm


def test_a_digest_is_written_as_a_byte_sequence() -> None:
    """The example of RFC 9530, appendix B.1, of the body `{"hello": "world"}` and a line feed."""
    digest = hashlib.sha256(b'{"hello": "world"}\n').digest()
    expected = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
    assert format_digest("sha-256", digest) == expected
    assert announced_digests(expected) == {"sha-256": digest}


def test_unknown_algorithms_are_not_checked() -> None:
    """A digest by an algorithm that we do not know is no reason to refuse an upload."""
    assert announced_digests("md5=:AAAA:, crc32c=:AA==:") == {}
    assert announced_digests(None) == {}


@pytest.mark.parametrize("value", [":AAAA:", "AAAA", "::", ":****:", '"x"', ":" + "A" * 44])
def test_a_malformed_announcement_is_refused(value: str) -> None:
    """A digest that cannot be checked is refused rather than passed over."""
    with pytest.raises(Refused) as refused:
        announced_digests(f"sha-256={value}")
    assert refused.value.status == 400


@given(st.text())
def test_any_field_is_read_or_refused(text: str) -> None:
    """No field makes anything but an answer or a refusal."""
    assert wanted_algorithm(text) in (None, "sha-256", "sha-512")
    with suppress(Refused):
        assert set(announced_digests(text)) <= {"sha-256", "sha-512"}


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_a_file_is_digested_whole_and_in_place(tmp_path: Path, size: int) -> None:
    """The digest is of all bytes; the position from which somebody reads stays."""
    body = os.urandom(size)
    path = tmp_path / "file"
    path.write_bytes(body)
    with path.open("rb") as file:
        assert digest_of_file(file.fileno(), "sha-512") == hashlib.sha512(body).digest()
        assert file.read() == body


def test_base64_of_the_right_length_is_needed() -> None:
    """A SHA-256 of 31 bytes is malformed."""
    short = base64.b64encode(b"x" * 31).decode()
    with pytest.raises(Refused):
        announced_digests(f"sha-256=:{short}:")

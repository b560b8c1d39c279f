"""Metadata that is missing, wrong, too much or no metadata at all: each fault by its path."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recording_format.errors import MetadataError
from recording_format.metadata import (
    MAX_METADATA_SIZE,
    decode_metadata,
)
from tests.recording_format.posted import PASSWORD, Json, example, file_of, part, read

MISSING = object()
NO_NAME = "has characters that a name cannot have"
NO_DURATION = "is not a number of milliseconds or seconds"


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("mediaId", MISSING, "is missing"),
        ("mediaId", None, "is missing"),
        ("mediaId", "", "is empty"),
        ("mediaId", ["x"], "is not text"),
        ("mediaId", "a/b", NO_NAME),
        ("mediaId", "..", NO_NAME),
        ("mediaId", "ä" * 128, "is longer than 255 bytes"),
        ("mediaDescriptor", MISSING, "is missing"),
        ("mediaDescriptor", "x", "is not an object"),
        ("mediaDescriptor.path", MISSING, "is missing"),
        ("mediaDescriptor.data", [], "is not an object"),
        ("startTime", MISSING, "is missing"),
        ("startTime", "today", "is not a time with its zone"),
        ("stopTime", "2026", "is not a time with its zone"),
        ("type", MISSING, "is missing"),
        ("tenant", MISSING, "is missing"),
        ("tenant", "x" * 9000, "is longer than 8192 characters"),
        ("size", MISSING, "is missing"),
        ("size", "-5", "is not a whole number"),
        ("size", 1.5, "is not a whole number"),
        ("size", True, "is not a whole number"),
        ("size", "9" * 19, "is not a whole number"),
        ("duration", MISSING, "is missing"),
        ("duration", "long", NO_DURATION),
        ("duration", 1e30, NO_DURATION),
        ("parameters", MISSING, "is missing"),
        ("parameters", [], "is not an object"),
        ("parameters.id", MISSING, "is missing"),
        ("parameters.id", "a\nb", NO_NAME),
        ("masks", {}, "is not a list"),
        ("masks", [{}], "[0].time is missing"),
        ("pkcs7", 5, "is not text"),
        ("pkcs7", "x" * (1024 * 1024 + 1), "is longer than 1048576 characters"),
        ("certAlias", [1], "[0] is not text"),
        ("certAlias", ["a", "b" * 9000], "[1] is longer than 8192 characters"),
        ("lab", "x", "is not an object"),
        ("lab.size", MISSING, "is missing"),
        ("lab.sha256", "a" * 65, "is longer than 64 characters"),
        ("lab.recovered", "yes", "is not true or false"),
        ("lab.legs", {}, "is not a list"),
        ("lab.legs", [{"lost": -1}], "[0].lost is not a whole number"),
        ("lab.legs", [{}] * 1001, "has more than 1000 entries"),
    ],
)
def test_faults_are_named_by_path(key: str, value: Json, fault: str) -> None:
    """Whatever is missing or wrong is said in one sentence with its path."""
    root = example()
    *way, last = key.split(".")
    holder = part(root, "mediaFiles", 0, *way)
    holder[last] = value
    if value is MISSING:
        del holder[last]
    with pytest.raises(MetadataError) as caught:
        read(root)
    expected = f"mediaFiles[0].{key}{fault if fault[0] == '[' else ' ' + fault}"
    assert str(caught.value) == expected
    assert caught.value.path == expected.split(" ", maxsplit=1)[0]


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ([], "mediaFiles is missing or empty"),
        (None, "mediaFiles is missing or empty"),
        ({}, "mediaFiles is not a list"),
        (["x"], "mediaFiles[0] is not an object"),
        ([{}] * 101, "mediaFiles has more than 100 entries"),
    ],
)
def test_faults_of_the_list_are_named(files: Json, fault: str) -> None:
    """A post without media files, or with something else in their place, is refused."""
    with pytest.raises(MetadataError) as caught:
        read({"mediaFiles": files})
    assert str(caught.value) == fault


def test_the_second_file_has_its_own_path() -> None:
    """The path counts media files from 0."""
    root = example()
    second = copy.deepcopy(file_of(root))
    del second["mediaId"]
    root["mediaFiles"] = [file_of(root), second]
    with pytest.raises(MetadataError, match=r"^mediaFiles\[1\]\.mediaId is missing$"):
        read(root)


def test_numbers_of_keys_are_bounded() -> None:
    """Objects with thousands of keys and parameters by the hundred are refused."""
    root = example()
    part(root, "mediaFiles", 0, "parameters").update({f"p{n}": "" for n in range(501)})
    with pytest.raises(MetadataError, match="parameters has over 500 entries"):
        read(root)
    with pytest.raises(MetadataError, match="the metadata has more than 1000 keys"):
        read({str(n): 0 for n in range(1001)})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"a":NaN}',
        b'{"a":"\\ud800"}',
        b"1" * 5000,
    ],
)
def test_what_is_no_json_is_an_error(body: bytes) -> None:
    """Broken, foreign and absurdly nested JSON is one sentence, never a crash."""
    with pytest.raises(MetadataError, match=r"^the metadata is not (JSON|an object)$"):
        decode_metadata(body)


def test_bodies_are_bounded() -> None:
    """A body above the limit is refused before it is parsed."""
    with pytest.raises(MetadataError, match="more than 8388608"):
        decode_metadata(b" " * (MAX_METADATA_SIZE + 1))
    with pytest.raises(MetadataError, match="more than 10"):
        decode_metadata(b" " * 11, max_size=10)


@pytest.mark.parametrize(
    "name", ["mediaId", "startTime", "size", "duration", "masks", "pkcs7", "lab"]
)
def test_errors_hold_no_values(name: str) -> None:
    """A password that stands in the wrong place is not quoted by the error."""
    root = example()
    file_of(root)[name] = {"rp.speechminer_auth": PASSWORD}
    with pytest.raises(MetadataError) as caught:
        read(root)
    assert "topsecret" not in str(caught.value)
    assert "topsecret" not in repr(caught.value.__cause__)


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_junk_is_an_error(body: bytes) -> None:
    """Junk is refused, never a crash."""
    with pytest.raises(MetadataError):
        decode_metadata(body)

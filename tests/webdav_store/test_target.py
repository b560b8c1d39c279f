"""The decoding of request-targets refuses everything that is not plainly a path."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webdav_store.errors import TargetRefused
from webdav_store.target import decode_destination, decode_target


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/", "/"),
        ("/recordings", "/recordings"),
        ("/recordings/", "/recordings/"),
        ("//recordings///a.bin", "/recordings/a.bin"),
        ("/a%20b?query=%zz", "/a b"),
        ("/caf%C3%A9", "/café"),
        ("/café", "/café"),
        ("http://store:8801/recordings/a", "/recordings/a"),
        ("HTTP://store", "/"),
        ("/...", "/..."),
        ("/a..b", "/a..b"),
        ("/.hidden", "/.hidden"),
    ],
)
def test_plain_targets_are_decoded_once(target: str, path: str) -> None:
    """Escapes are undone, empty segments dropped, the query left out."""
    assert decode_target(target) == path


@pytest.mark.parametrize(
    "target",
    [
        "",
        "*",
        "recordings",
        "ftp://store/a",
        "http:///a",
        "http://[::1/a",
        "/a#fragment",
        "/..",
        "/a/../b",
        "/a/./b",
        "/%2e%2e/a",
        "/%2E./a",
        "/.%2e",
        "/%252e%252e/a",
        "/a%2fb",
        "/a%5cb",
        "/a\\b",
        "/%00",
        "/a%0ab",
        "/a%7f",
        "/%c0%ae%c0%ae/a",
        "/%e0%80%ae",
        "/%ff",
        "/%",
        "/%2",
        "/%zz",
        "/%u002e",
        "/%ef%bf%bf",
        "/\udcc0\udcae",
    ],
)
def test_what_is_no_plain_path_is_refused(target: str) -> None:
    """Dot segments, control characters, slashes and broken encodings answer 400."""
    with pytest.raises(TargetRefused) as refused:
        decode_target(target)
    assert refused.value.status == 400


@pytest.mark.parametrize("target", ["/" + "a" * 256, "/" + "/".join(["a" * 200] * 11)])
def test_what_no_disk_can_name_is_refused(target: str) -> None:
    """Names over 255 bytes and paths over 2,048 answer 414."""
    with pytest.raises(TargetRefused) as refused:
        decode_target(target)
    assert refused.value.status == 414


@given(st.text())
def test_any_text_is_decoded_safely_or_refused(text: str) -> None:
    """No text leads to a dot segment, a control character or another error than a refusal."""
    try:
        path = decode_target("/" + text)
    except TargetRefused:
        return
    assert not {".", ".."} & set(path.split("/"))
    assert path.startswith("/")
    assert "\0" not in path


NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\"), min_size=1
)


@given(NAMES)
def test_an_ordinary_name_survives_quoting(name: str) -> None:
    """What was quoted is read back the same, unless it is refused."""
    try:
        assert decode_target("/" + quote(name, safe="")) == "/" + name
    except TargetRefused:
        refused = {"%", "\ufffe", "\uffff"} & set(name)
        assert refused or name in (".", "..") or len(name.encode()) > 255


@pytest.mark.parametrize("header", ["/a%3fb", "/a%23b", "/a;b", "http://store/a%3Bb"])
def test_a_destination_that_would_lose_a_part_is_refused(header: str) -> None:
    """WsgiDAV would cut these names; they answer 400 instead."""
    with pytest.raises(TargetRefused):
        decode_destination(header)

"""Which addresses are fetched: those below a known storage, and no others."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from recording_processor.storages import NotFetchable, Storage, Storages

STORE = Storage(url="http://store:8801/recordings", name="processor", password="hush")
INNER = Storage(url="http://store:8801/recordings/old/", name="other")
PLAIN = Storage(url="http://plain.example/dav")
STORAGES = Storages([STORE, INNER, PLAIN])


@pytest.mark.parametrize(
    ("path", "url", "storage"),
    [
        ("http://store:8801/recordings/a.bin", "http://store:8801/recordings/a.bin", STORE),
        ("http://STORE:8801/recordings/a%20b", "http://store:8801/recordings/a%20b", STORE),
        (
            "http://store:8801/recordings/é@;=",
            "http://store:8801/recordings/%C3%A9%40%3B%3D",
            STORE,
        ),
        ("http://store:8801/recordings/old/x", "http://store:8801/recordings/old/x", INNER),
        ("http://plain.example:80/dav/x/y", "http://plain.example/dav/x/y", PLAIN),
    ],
)
def test_what_lies_in_a_storage_is_fetched_there(path: str, url: str, storage: Storage) -> None:
    """The address is put together from the storage's own; the longest storage wins."""
    found = STORAGES.locate(path)
    assert (found.url, found.storage) == (url, storage)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "recordings/a",
        "file:///etc/passwd",
        "ftp://store:8801/recordings/a",
        "https://store:8801/recordings/a",
        "http://store/recordings/a",
        "http://store:8802/recordings/a",
        "http://store:8801/recordings",
        "http://store:8801/recordings/",
        "http://store:8801/recordingsx/a",
        "http://store:8801/recordings/../secret",
        "http://store:8801/recordings/%2e%2e/secret",
        "http://store:8801/recordings/.%2E/secret",
        "http://store:8801/recordings/a%2f..%2f..%2fb",
        "http://store:8801/recordings/..%5cb",
        "http://store:8801/recordings//a",
        "http://store:8801/recordings/a?x=1",
        "http://store:8801/recordings/a#b",
        "http://store:8801/recordings/a%00",
        "http://store:8801/recordings/a%0d%0aX:%20y",
        "http://store:8801/recordings/a\r\nX: y",
        "http://store:8801\\@evil/recordings/a",
        "http://user:pw@store:8801/recordings/a",
        "http://store:8801@evil.example/recordings/a",
        "http://evil.example/http://store:8801/recordings/a",
        "http://store:99999/recordings/a",
        "http://[::1/recordings/a",
        "http://store:8801/recordings/" + "a" * 5000,
    ],
)
def test_nothing_else_is_fetched(path: str) -> None:
    """Whatever lies elsewhere, or hides where it lies, is refused in a sentence."""
    with pytest.raises(NotFetchable) as refused:
        STORAGES.locate(path)
    assert "pw" not in str(refused.value)


@settings(deadline=None)
@given(tail=st.text(max_size=40) | st.from_regex(r"(/|\.|%2e|%2f|%5c|a|@|:|\?)*", fullmatch=True))
def test_every_address_stays_below_its_storage(tail: str) -> None:
    """Whatever stands behind a storage's address, what is fetched is a path below it."""
    try:
        found = STORAGES.locate(f"http://store:8801/recordings{tail}")
    except NotFetchable:
        return
    url = URL(found.url, encoded=True)
    assert (url.scheme, url.host, url.port) == ("http", "store", 8801)
    assert url.raw_path.startswith("/recordings/")
    assert not {"", ".", ".."} & set(url.path.split("/")[1:])
    assert url.raw_query_string == ""


def test_passwords_do_not_show() -> None:
    """Neither a storage nor an object shows the password."""
    assert "hush" not in repr(STORE) + repr(STORAGES.locate("http://store:8801/recordings/a"))


def test_an_impossible_storage_is_refused() -> None:
    """A storage whose URL is none is named."""
    with pytest.raises(ValueError, match="`nonsense`: it is not an http or https URL"):
        Storages([Storage(url="nonsense")])

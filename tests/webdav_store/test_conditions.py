"""Headers reach WsgiDAV only in a form that it reads rightly."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from webdav_store.conditions import passed_headers, refuse_endless, refuse_unstorable
from webdav_store.errors import Refused


def headers(**fields: str) -> CIMultiDictProxy[str]:
    """Return headers; underscores in names stand for hyphens."""
    return CIMultiDictProxy(CIMultiDict({k.replace("_", "-"): v for k, v in fields.items()}))


@pytest.mark.parametrize("value", ["bytes=0-", "bytes=0-0", "bytes=5-9", "bytes=-1", "bytes= 2-3"])
def test_one_range_is_passed_on(value: str) -> None:
    """A GET's single range is served."""
    assert passed_headers("GET", headers(Range=value)) == {"Range": value}


@pytest.mark.parametrize(
    "value",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=-0",
        "bytes=9-5",
        "bytes=0-1,3-4",
        "lines=1-2",
        "bytes=" + "9" * 30 + "-",
    ],
)
def test_other_ranges_are_ignored(value: str) -> None:
    """RFC 9110 §14.2: what is malformed, unknown or too much to ask is answered with all of it."""
    assert passed_headers("GET", headers(Range=value)) == {}


def test_a_range_is_for_get_alone() -> None:
    """RFC 9110 §14.2: HEAD and PUT ignore it."""
    assert passed_headers("HEAD", headers(Range="bytes=0-1")) == {}


@pytest.mark.parametrize(
    ("value", "passed"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("Sun, 99 Nov 99999 99:99:99 GMT", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_dates_are_read_in_their_three_forms(value: str, passed: str | None) -> None:
    """RFC 9110 §5.6.7; what is no date is ignored, and so is If-Modified-Since beside GET."""
    expected = {} if passed is None else {"If-Unmodified-Since": passed}
    assert passed_headers("PUT", headers(If_Unmodified_Since=value)) == expected
    assert passed_headers("PUT", headers(If_Modified_Since=value)) == {}


def test_a_range_continues_only_a_known_version() -> None:
    """If-Range needs a strong tag; with a date or a weak tag the whole file is sent."""
    tagged = {"Range": "bytes=1-", "If-Range": '"tag"'}
    assert passed_headers("GET", headers(Range="bytes=1-", If_Range='"tag"')) == tagged
    for value in ('W/"tag"', "Sun, 06 Nov 1994 08:49:37 GMT", "tag"):
        assert passed_headers("GET", headers(Range="bytes=1-", If_Range=value)) == {}


def test_unknown_headers_are_left_out() -> None:
    """Nothing but what RFC 4918 and 9110 name reaches the library; repeated fields are joined."""
    fields = CIMultiDict([("If-None-Match", '"a"'), ("If-None-Match", '"b"'), ("X-Other", "x")])
    assert passed_headers("GET", CIMultiDictProxy(fields)) == {"If-None-Match": '"a", "b"'}


@pytest.mark.parametrize("value", ["x" * 4097, "\udcff", "\x01"])
def test_unreadable_headers_are_refused(value: str) -> None:
    """A header that is endless or no text answers 400 by its name."""
    with pytest.raises(Refused, match="header Timeout") as refused:
        passed_headers("LOCK", headers(Timeout=value))
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("fields", "length", "status"),
    [
        ({"Content_Encoding": "gzip"}, 1, 415),
        ({"Content_Range": "bytes 0-1/2"}, 2, 400),
        ({}, 101, 413),
    ],
)
def test_an_upload_that_cannot_be_stored_is_refused(
    fields: dict[str, str], length: int, status: int
) -> None:
    """Encoded, partial and too long uploads are refused by their headers."""
    with pytest.raises(Refused) as refused:
        refuse_unstorable(headers(**fields), 100, length)
    assert refused.value.status == status


def test_an_ordinary_upload_is_not_refused() -> None:
    """A known or unknown length within the limit is fine."""
    refuse_unstorable(headers(Content_Encoding="identity"), 100, 100)
    refuse_unstorable(headers(), 100, None)


@pytest.mark.parametrize("value", [None, "infinity", "Infinity", "2"])
def test_a_propfind_without_end_is_refused(value: str | None) -> None:
    """RFC 4918 §9.1 lets a server refuse it with a condition of its own."""
    depth = {} if value is None else {"Depth": value}
    with pytest.raises(Refused) as refused:
        refuse_endless("PROPFIND", depth)
    assert (refused.value.status, refused.value.condition) == (403, "propfind-finite-depth")
    refuse_endless("PROPFIND", {"Depth": "1"})
    refuse_endless("DELETE", depth)

"""A WebDAV listing is read as it comes, and whatever is none is refused by a sentence."""

from __future__ import annotations

import re

import pytest

from reclab.recover.listing import Listed, ListingError, ListingParser, path_of

LISTING = b"""<?xml version='1.0' encoding='utf-8'?>
<D:multistatus xmlns:D="DAV:">
<D:response><D:href>/recordings/</D:href><D:propstat><D:prop>
<D:resourcetype><D:collection/></D:resourcetype></D:prop></D:propstat></D:response>
<response xmlns="DAV:"><href>http://store/recordings/a%20%C3%A4-1.wav.bin</href><propstat><prop>
<resourcetype/><getcontentlength>32048</getcontentlength></prop></propstat></response>
<D:response><D:href>/recordings/no-length.bin</D:href></D:response>
</D:multistatus>"""
MEMBERS = [
    Listed("/recordings/", None, True),
    Listed("/recordings/a ä-1.wav.bin", 32048, False),
    Listed("/recordings/no-length.bin", None, False),
]


@pytest.mark.parametrize("size", [1, 7, 64, len(LISTING)])
def test_pieces_of_any_size(size: int) -> None:
    """The same members come out, however the bytes are cut."""
    parser = ListingParser()
    found: list[Listed] = []
    for at in range(0, len(LISTING), size):
        found += parser.feed(LISTING[at : at + size])
    assert found + parser.feed(b"", last=True) == MEMBERS


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"<html><p>Welcome</html>", "is not XML"),
        (b"", "is not XML"),
        (b'<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>', "declares types or entities"),
        (b"<a>" + b"x" * 10_000 + b"</a>", "a value that no store would send"),
    ],
)
def test_what_is_no_listing(text: bytes, sentence: str) -> None:
    """One sentence, and no entity is ever looked up."""
    with pytest.raises(ListingError, match=re.escape(sentence)):
        ListingParser().feed(text, last=True)


def test_paths() -> None:
    """The path of a URL is decoded; what is no URL has none."""
    assert path_of("http://store/recordings/a%2Fb") == "/recordings/a/b"
    assert path_of("http://[/recordings") == ""

"""What an XML body may be before WsgiDAV reads it: no DTD, no entity, no great depth or length.

WsgiDAV takes whichever parser is installed; here it is always the same one that looks first.
"""

from __future__ import annotations

from xml.sax import SAXException  # only the error; defusedxml parses
from xml.sax.handler import ContentHandler  # only the interface; defusedxml parses
from xml.sax.xmlreader import AttributesImpl  # only a type; defusedxml parses

from defusedxml import DefusedXmlException  # type: ignore[import-untyped]  # has no stubs
from defusedxml.sax import parseString  # type: ignore[import-untyped]  # has no stubs

from webdav_store.errors import Refused

MAX_DEPTH = 64
MAX_ELEMENTS = 5000
MAX_ATTRIBUTES = 64
MAX_CHARS = 4096


def check_xml(body: bytes) -> None:
    """Raise `Refused` (400) for a body that is no XML, or more than a client has reason to send."""
    try:
        parseString(body, _Bounds(), forbid_dtd=True)
    except (SAXException, DefusedXmlException, ValueError, LookupError):
        raise Refused(400, "the body is not XML that can be read") from None


class _Bounds(ContentHandler):
    """Counts, and keeps nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0
        self._count = 0

    def startElement(self, name: str, attrs: AttributesImpl) -> None:  # noqa: N802  # SAX's name
        self._depth += 1
        self._count += 1
        if self._depth > MAX_DEPTH or self._count > MAX_ELEMENTS:
            raise Refused(400, "the XML of the body has too many elements")
        longest = max(map(len, (name, *attrs.keys(), *attrs.values())))
        if len(attrs) > MAX_ATTRIBUTES or longest > MAX_CHARS:
            raise Refused(400, "the XML of the body has too many attributes, or too long ones")

    def endElement(self, name: str) -> None:  # noqa: N802  # SAX's name
        self._depth -= 1

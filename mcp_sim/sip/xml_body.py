"""XML bodies read tolerantly and within bounds: names without prefixes, in lower case.

Prefixes are cut off, not resolved: devices send undeclared and invented ones. DTDs, entities
and external references are refused (defusedxml). Pure.
"""

from __future__ import annotations

import dataclasses
import html
import re
from collections.abc import Iterator
from xml.sax import SAXException  # only the error; defusedxml parses
from xml.sax.handler import ContentHandler  # only the interface; defusedxml parses
from xml.sax.xmlreader import AttributesImpl  # only a type; defusedxml parses

from defusedxml import DefusedXmlException  # type: ignore[import-untyped]  # has no stubs
from defusedxml.sax import parseString  # type: ignore[import-untyped]  # has no stubs

from .errors import BodyError

MAX_BYTES = 1 << 16  # as much as the body of a message holds (`MessageLimits`)
MAX_ELEMENTS = 5000
MAX_DEPTH = 32
MAX_ATTRIBUTES = 64  # of one element
MAX_ATTRIBUTE_CHARS = 4096  # of a name or a value

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclasses.dataclass(slots=True)
class Element:
    """One element: local name, attributes by local name, its own text, its children."""

    name: str
    attributes: dict[str, str]
    text: str = ""
    children: list[Element] = dataclasses.field(default_factory=list)

    def all(self, *names: str) -> Iterator[Element]:
        """The children of these names."""
        return (child for child in self.children if child.name in names)

    def first(self, name: str) -> Element | None:
        """The first child of that name."""
        return next(self.all(name), None)

    def text_of(self, name: str) -> str:
        """The text of the first child of that name, empty when there is none."""
        child = self.first(name)
        return child.text.strip() if child is not None else ""


def parse_xml(body: bytes, what: str) -> Element:
    """Read a document; `what` names it in the BodyError."""
    if len(body) > MAX_BYTES:
        raise BodyError(f"{what} is longer than {MAX_BYTES} bytes")
    builder = _Builder(what)
    try:
        parseString(body.strip(), builder, forbid_dtd=True)
    except (SAXException, DefusedXmlException, ValueError, LookupError):
        raise BodyError(f"{what} is not valid XML") from None
    if builder.root is None:
        raise BodyError(f"{what} is empty")
    return builder.root


def escaped(text: str) -> str:
    """`text` for an element or a quoted attribute; characters XML cannot carry are dropped."""
    return html.escape(_NOT_XML.sub("", text), quote=True)


class _Builder(ContentHandler):
    """Builds the tree without namespace processing, counting as it goes."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.root: Element | None = None
        self._what = what
        self._open: list[Element] = []
        self._texts: list[list[str]] = []  # of the open ones: each line comes as a piece of its own
        self._count = 0

    def startElement(self, name: str, attrs: AttributesImpl) -> None:  # noqa: N802  # SAX's name
        self._count += 1
        if self._count > MAX_ELEMENTS or len(self._open) >= MAX_DEPTH:
            raise BodyError(f"{self._what} has too many elements")
        longest = max(map(len, (name, *attrs.keys(), *attrs.values())))
        if len(attrs) > MAX_ATTRIBUTES or longest > MAX_ATTRIBUTE_CHARS:
            raise BodyError(f"{self._what} has too many attributes, or too long ones")
        attributes = {_local(key): value for key, value in attrs.items()}
        element = Element(_local(name), attributes)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)
        self._texts.append([])

    def endElement(self, name: str) -> None:  # noqa: N802  # SAX's name
        self._open.pop().text = "".join(self._texts.pop())

    def characters(self, content: str) -> None:
        self._texts[-1].append(content)


def _local(name: str) -> str:
    return name.rpartition(":")[2].lower()

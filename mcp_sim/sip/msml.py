"""MSML (RFC 5707) bodies that control a recorder, and their result answers.

Pure. `createconference` and `modifyconference` carry one recorder command each, with the
parameters of the recording; the exact form of the recorder element is this lab's own. Both
directions: the load generator writes what the recorder reads.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal, get_args

from .errors import BodyError
from .xml_body import Element, escaped, parse_xml

CONTENT_TYPE = "application/msml+xml"
CONTENT_TYPES = (CONTENT_TYPE, "application/vnd.radisys.msml+xml", "text/xml", "application/xml")
NAMESPACE = "http://www.genesyslab.com/2007/gvp"
MAX_PARAMETERS = 200
MAX_COMMANDS = 16

RecorderState = Literal["start", "pause", "resume", "stop"]

# RFC 5707 §11: the response codes that are answered here
OK = 200
BAD_REQUEST = 400
UNKNOWN_ELEMENT = 401
INVALID_VALUE = 410
NO_SUCH_OBJECT = 430
INTERNAL_ERROR = 500


@dataclasses.dataclass(frozen=True, slots=True)
class RecorderCommand:
    """What to do with the recording of a conference; `state` None only sets parameters.

    `create` is True for `createconference`. `parameters` are the recording's (ani, dnis, …).
    """

    conference_id: str
    state: RecorderState | None
    parameters: Mapping[str, str] = dataclasses.field(default_factory=dict)
    create: bool = False

    def encode(self) -> bytes:
        """The INFO body."""
        name = "createconference" if self.create else "modifyconference"
        key = "name" if self.create else "id"
        value = self.conference_id if self.create else f"conf:{self.conference_id}"
        state = f' state="{self.state}"' if self.state is not None else ""
        lines = [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<msml version="1.1" xmlns:gvp="{NAMESPACE}">',
            f'<{name} {key}="{escaped(value)}">',
            f"<gvp:recorder{state}>",
        ]
        if self.parameters:
            lines.append("<gvp:params>")
            lines += [
                f'<gvp:param name="{escaped(key)}" value="{escaped(value)}"/>'
                for key, value in self.parameters.items()
            ]
            lines.append("</gvp:params>")
        return "\r\n".join([*lines, "</gvp:recorder>", f"</{name}>", "</msml>", ""]).encode()


class MsmlError(BodyError):
    """A request that cannot be carried out; `code` is the result of RFC 5707 §11."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


@dataclasses.dataclass(frozen=True, slots=True)
class MsmlResult:
    """The `result` of a request; `conference_id` names a conference that was created."""

    code: int
    description: str = ""
    conference_id: str = ""

    def encode(self) -> bytes:
        """The body of the answer (RFC 5707 §11)."""
        lines = [
            '<?xml version="1.0" encoding="UTF-8"?>',
            '<msml version="1.1">',
            f'<result response="{self.code}">',
        ]
        if self.description:
            lines.append(f"<description>{escaped(self.description)}</description>")
        if self.conference_id:
            lines.append(f"<confid>conf:{escaped(self.conference_id)}</confid>")
        return "\r\n".join([*lines, "</result>", "</msml>", ""]).encode()

    @classmethod
    def parse(cls, body: bytes) -> MsmlResult:
        """Read an answer; raises BodyError."""
        result = _root(body).first("result")
        response = result.attributes.get("response", "") if result is not None else ""
        if result is None or not (response.isascii() and response.isdecimal()):
            raise BodyError("the MSML answer has no result")
        return cls(
            code=int(response[:3]),
            description=result.text_of("description"),
            conference_id=_object_name(result.text_of("confid")),
        )


def parse_commands(body: bytes) -> tuple[RecorderCommand, ...]:
    """Read the recorder commands of an INFO body, in order; raises MsmlError."""
    commands: list[RecorderCommand] = []
    for element in _root(body).children:
        if element.name not in ("createconference", "modifyconference"):
            raise MsmlError(UNKNOWN_ELEMENT, f"the MSML element {element.name[:40]} is not known")
        commands += _commands(element)
        if len(commands) > MAX_COMMANDS:
            raise MsmlError(BAD_REQUEST, f"the MSML has more than {MAX_COMMANDS} commands")
    if not commands:
        raise MsmlError(BAD_REQUEST, "the MSML has no command for a recorder")
    return tuple(commands)


def _root(body: bytes) -> Element:
    try:
        root = parse_xml(body, "the MSML body")
    except BodyError as error:
        raise MsmlError(BAD_REQUEST, str(error)) from None
    if root.name != "msml":
        raise MsmlError(BAD_REQUEST, "the MSML body does not begin with <msml>")
    return root


def _commands(element: Element) -> list[RecorderCommand]:
    create = element.name == "createconference"
    name = element.attributes.get("name" if create else "id", "")
    conference_id = _object_name(name)
    if not conference_id:
        raise MsmlError(BAD_REQUEST, f"the MSML element {element.name} names no conference")
    recorders = list(element.all("recorder"))
    if create and not recorders:
        return [RecorderCommand(conference_id, None, create=True)]
    return [
        RecorderCommand(conference_id, _state(recorder), _parameters(recorder), create)
        for recorder in recorders
    ]


def _state(recorder: Element) -> RecorderState | None:
    said = recorder.attributes.get("state")
    if said is None:
        return None
    for state in get_args(RecorderState):
        if said.strip().lower() == state:
            known: RecorderState = state
            return known
    raise MsmlError(INVALID_VALUE, f"the recorder state {said[:40]} is not known")


def _parameters(recorder: Element) -> dict[str, str]:
    """The gvp:param elements: the value is an attribute (value, expr) or the text."""
    parameters: dict[str, str] = {}
    for params in (recorder, *recorder.all("params")):
        for param in params.all("param"):
            name = param.attributes.get("name", "").strip()
            if not name or len(parameters) >= MAX_PARAMETERS:
                raise MsmlError(BAD_REQUEST, "a recorder parameter has no name, or is one too many")
            value = param.attributes.get("value", param.attributes.get("expr", param.text))
            parameters[name] = value.strip()
    return parameters


def _object_name(identifier: str) -> str:
    """`name` of `conf:name` (RFC 5707 §6.1), without further path parts."""
    return identifier.strip().removeprefix("conf:").partition("/")[0]

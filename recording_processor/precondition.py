"""Whether a change may go on: ``If-Match`` and ``If-None-Match`` of a request (RFC 9110 §13.1).

A profile's entity tag is its version in quotes, so a version seen in a list guards a change too.
"""

from __future__ import annotations

import re

import msgspec

from recording_processor.errors import BadParameter, Changed

_TAGS = re.compile(r'\s*(?:W/)?"[^"]*"\s*(?:,\s*(?:W/)?"[^"]*"\s*)*')
_TAG = re.compile(r'(W/)?"([^"]*)"')
_ANY = "*"


class Precondition(msgspec.Struct, frozen=True):
    """What must be so before the change; None asks for nothing.

    `match` are the strong tags of which one must be the present one, `none_match` those of which
    none may be; ``("*",)`` is any.
    """

    match: tuple[str, ...] | None = None
    none_match: tuple[str, ...] | None = None

    @classmethod
    def read(cls, match: str | None, none_match: str | None) -> Precondition:
        """Read the two headers. Raises `BadParameter`."""
        return cls(_tags("If-Match", match), _tags("If-None-Match", none_match, weak=True))

    def check(self, version: int | None) -> None:
        """Raise `Changed` unless `version` (None: there is none now) is as it must be."""
        if self.match is not None and not _holds(self.match, version):
            raise Changed(
                "If-Match: there is no such profile"
                if version is None
                else f"If-Match: the profile has changed, its version is {version}"
            )
        if self.none_match is not None and _holds(self.none_match, version):
            raise Changed(f"If-None-Match: the profile is there, its version is {version}")


NO_PRECONDITION = Precondition()


def entity_tag(version: int) -> str:
    """Return the entity tag of a profile's version."""
    return f'"{version}"'


def _holds(tags: tuple[str, ...], version: int | None) -> bool:
    return version is not None and (_ANY in tags or str(version) in tags)


def _tags(name: str, header: str | None, *, weak: bool = False) -> tuple[str, ...] | None:
    """Return the tags of a header without their quotes; a weak one counts only if `weak`."""
    if header is None:
        return None
    if header.strip() == _ANY:
        return (_ANY,)
    if len(header) > 1024 or not _TAGS.fullmatch(header):
        raise BadParameter(f"{name}: it is not a list of entity tags")
    found = [(bool(match[1]), match[2]) for match in _TAG.finditer(header)]
    return tuple(tag for is_weak, tag in found if tag != _ANY and (weak or not is_weak))

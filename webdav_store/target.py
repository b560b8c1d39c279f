"""The path that a request-target names, decoded once and strictly.

What no well-meant client sends is refused here, in every encoding, before the disk or WsgiDAV sees
it: dot segments, control characters, encoded slashes, malformed escapes, overlong UTF-8.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from webdav_store.errors import TargetRefused

_MALFORMED_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f/\\\ufffe\uffff]")
_DOTS = (".", "..")
_LONGEST_NAME = 255
_LONGEST_PATH = 2048


def decode_target(target: str) -> str:
    """Return the decoded absolute path of a request-target (RFC 9112 §3.2.1 and §3.2.2).

    Empty segments are dropped and a trailing slash is kept. Raises `TargetRefused`.
    """
    path = _origin_form(target).partition("?")[0]
    names = [_decode(segment) for segment in path.split("/") if segment]
    decoded = "/" + "/".join(names)
    if len(decoded.encode()) > _LONGEST_PATH:
        raise TargetRefused("the path is too long", 414)
    return decoded + "/" if names and path.endswith("/") else decoded


def decode_destination(header: str) -> str:
    """Return the decoded path of a ``Destination`` header (RFC 4918 §10.3)."""
    path = decode_target(header)
    if re.search(r"[?#;]", path):
        # WsgiDAV decodes the header before it splits it, and would cut the name here.
        raise TargetRefused("a destination's name cannot contain ?, # or ;")
    return path


def _origin_form(target: str) -> str:
    if target.startswith("/"):
        path = target
    else:
        try:
            parts = urlsplit(target)
        except ValueError:
            raise TargetRefused("the request-target is not a URL") from None
        if parts.scheme.lower() not in ("http", "https") or not parts.netloc:
            raise TargetRefused("the request-target is not an absolute path")
        path = target.split("://", 1)[1]
        path = path[path.index("/") :] if "/" in path else "/"
    if "#" in path:
        raise TargetRefused("a request-target has no fragment")
    return path


def _decode(segment: str) -> str:
    if _MALFORMED_ESCAPE.search(segment):
        raise TargetRefused("the path has a malformed percent-escape")
    try:
        name = unquote_to_bytes(segment.encode("utf-8", "surrogateescape")).decode("utf-8")
    except UnicodeDecodeError:
        raise TargetRefused("the path is not UTF-8") from None
    if name in _DOTS or unquote(name) in _DOTS:
        raise TargetRefused("the path has dot segments")
    if _FORBIDDEN.search(name):
        raise TargetRefused("the path has a character that no name may have")
    if len(name.encode()) > _LONGEST_NAME:
        raise TargetRefused("a name in the path is too long", 414)
    return name

"""The bodies of administration requests: JSON, or a multipart form as a page or curl sends it.

Both are read into memory, within bounds and a time-out: a form's files hold private keys, which
must not reach a temporary file. No error quotes what was sent.
"""

from __future__ import annotations

import asyncio
import typing
from typing import TypeVar, cast

import aiohttp
import msgspec
from aiohttp import web

from crypto_server.administration.errors import (
    AdministrationRefused,
    BodyNotUnderstood,
    BodyTooLarge,
)

T = TypeVar("T", bound=msgspec.Struct)
#: A certificate, a key and a password, with room to spare.
SMALL = 1024 * 1024
_MOST_FIELDS = 32
_SECONDS = 60.0
_LONGEST_SENTENCE = 200


async def read_form(request: web.Request, kind: type[T], *, largest: int = SMALL) -> T:
    """Return the request's body as a `kind`; `bytes` fields are base64 in JSON, files in a form.

    Raises `AdministrationRefused` for a body that is too long, late, or not of that kind.
    """
    _check_size(request.content_length or 0, largest)  # before any of it is taken
    try:
        async with asyncio.timeout(_SECONDS):
            if request.content_type == "multipart/form-data":
                fields = await _form_fields(request, kind, largest)
                return msgspec.convert(fields, kind, strict=False)
            if request.content_type not in ("application/json", "application/octet-stream"):
                raise BodyNotUnderstood("the body has to be JSON, or a multipart form")
            return msgspec.json.decode(await _read(request.content, largest), type=kind)
    except TimeoutError:
        raise AdministrationRefused("the body did not come in time") from None
    except msgspec.MsgspecError as error:
        raise AdministrationRefused(f"the body is not as it should be: {_plain(error)}") from None
    except UnicodeDecodeError:
        raise AdministrationRefused("the body is not UTF-8, as JSON has to be") from None


class _Bounded:
    """A body of which at most so many bytes are taken: those around the parts of a form, too."""

    def __init__(self, content: aiohttp.StreamReader, most: int) -> None:
        self._content = content
        self._most = most
        self._taken = 0

    async def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes. Raises `BodyTooLarge`."""
        return self._count(await self._content.read(size))

    async def readline(self, *, max_line_length: int | None = None) -> bytes:
        """Return the next line. Raises `BodyTooLarge`."""
        return self._count(await self._content.readline(max_line_length=max_line_length))

    def unread_data(self, data: bytes) -> None:
        """Give back what was taken last."""
        self._taken -= len(data)
        self._content.unread_data(data)

    def at_eof(self) -> bool:
        """Return whether nothing is left."""
        return self._content.at_eof()

    def _count(self, piece: bytes) -> bytes:
        self._taken += len(piece)
        _check_size(self._taken, self._most)
        return piece


async def _form_fields(
    request: web.Request, kind: type[msgspec.Struct], largest: int
) -> dict[str, object]:
    binary = {name for name, hint in typing.get_type_hints(kind).items() if hint is bytes}
    binary_fields = {f.encode_name for f in msgspec.structs.fields(kind) if f.name in binary}
    fields: dict[str, object] = {}
    try:
        content = cast("aiohttp.StreamReader", _Bounded(request.content, largest))
        reader = aiohttp.MultipartReader(request.headers, content)
        while (part := await reader.next()) is not None:
            if not isinstance(part, aiohttp.BodyPartReader) or not part.name:
                raise AdministrationRefused("a part of the form has no name")
            if part.name in fields or len(fields) >= _MOST_FIELDS:
                raise AdministrationRefused("the form has too many parts, or one of them twice")
            field = await _read(part, largest)
            fields[part.name] = field if part.name in binary_fields else _text(field)
    except (ValueError, RuntimeError):  # the latter for a `_charset_` that is none
        raise AdministrationRefused("the body is not a multipart form") from None
    return fields


async def _read(source: aiohttp.StreamReader | aiohttp.BodyPartReader, most: int) -> bytes:
    gathered = bytearray()
    while not source.at_eof():
        piece = await (
            source.read_chunk() if isinstance(source, aiohttp.BodyPartReader) else source.readany()
        )
        gathered += piece
        _check_size(len(gathered), most)
    return bytes(gathered)


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise BodyTooLarge(f"the body is longer than {most} bytes")


def _text(content: bytes) -> str:
    """Return a field's text; a PEM file may have words of any old encoding around its block."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _plain(error: msgspec.MsgspecError) -> str:
    # msgspec names types, places and unknown fields, never values.
    sentence = str(error)[:_LONGEST_SENTENCE]
    return sentence[:1].lower() + sentence[1:]

"""The bodies of administration requests: JSON, or a multipart form as a page or curl sends it.

Both are read into memory, within bounds and a time-out: a form's files hold private keys, which
must not reach a temporary file. No error quotes what was sent.
"""

from __future__ import annotations

import asyncio
import typing
from typing import TypeVar

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


async def _form_fields(
    request: web.Request, kind: type[msgspec.Struct], largest: int
) -> dict[str, object]:
    binary = {name for name, hint in typing.get_type_hints(kind).items() if hint is bytes}
    binary_fields = {f.encode_name for f in msgspec.structs.fields(kind) if f.name in binary}
    fields: dict[str, object] = {}
    left = largest
    try:
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            if not isinstance(part, aiohttp.BodyPartReader) or not part.name:
                raise AdministrationRefused("a part of the form has no name")
            if part.name in fields or len(fields) >= _MOST_FIELDS:
                raise AdministrationRefused("the form has too many parts, or one of them twice")
            content = await _read(part, left)
            left -= len(content)
            fields[part.name] = content if part.name in binary_fields else _text(content)
    except ValueError:
        raise AdministrationRefused("the body is not a multipart form") from None
    return fields


async def _read(source: aiohttp.StreamReader | aiohttp.BodyPartReader, most: int) -> bytes:
    gathered = bytearray()
    while not source.at_eof():
        piece = await (
            source.read_chunk() if isinstance(source, aiohttp.BodyPartReader) else source.readany()
        )
        gathered += piece
        if len(gathered) > most:
            raise BodyTooLarge(f"the body is longer than {most} bytes")
    return bytes(gathered)


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

"""Reading a request's body with a bound of its own per route."""

from __future__ import annotations

import asyncio

from aiohttp import web

from recording_processor.errors import BadParameter, TooLarge

_SECONDS = 30.0


async def read_body(request: web.Request, limit: int) -> bytes:
    """Return the whole body. Raises `TooLarge` over `limit` bytes, `BadParameter` when it stalls.

    A declared length over the limit is refused before a byte is read.
    """
    refusal = TooLarge(f"the body is larger than {limit} bytes")
    if request.content_length is not None and request.content_length > limit:
        raise refusal
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_SECONDS):
            async for chunk in request.content.iter_any():
                size += len(chunk)
                if size > limit:
                    raise refusal
                parts.append(chunk)
    except TimeoutError:
        raise BadParameter(f"the body did not arrive within {_SECONDS:.0f} seconds") from None
    return b"".join(parts)

"""Posting one recording's metadata to the recording processor.

The sound leaves the spool once the post is answered with success. So a page of some other server,
which answers 200 to everything, is none: an empty body is, and JSON that does not say no.
"""

from __future__ import annotations

import aiohttp
import msgspec

from mcp_sim.recording.delivery.errors import (
    ConflictError,
    DestinationError,
    NotNowError,
    RefusedError,
    SignInRefusedError,
)
from mcp_sim.recording.delivery.http_exchange import Exchange, about_destination, retry_after
from service_shell.accounts import basic_header

_ANSWER_LIMIT = 1 << 16
_TEXT_LIMIT = 300
_NEVER = (400, 413, 415, 422)


class _Answer(msgspec.Struct):
    """The part of an answer that is looked at."""

    status_code: int = msgspec.field(name="statusCode", default=0)
    message: str = msgspec.field(name="statusMessage", default="")


class ProcessorClient:
    """One processor, signed in as `account` (name and password) where there is one."""

    def __init__(self, exchange: Exchange, account: tuple[str, str] | None) -> None:
        self._exchange = exchange
        self._sign_in = {"Authorization": basic_header(*account)} if account else {}

    async def post(self, url: str, body: bytes) -> None:
        """Post metadata; it may be posted again, the processor knows it. Raises `DeliveryError`."""
        headers = {**self._sign_in, "Content-Type": "application/json"}
        async with self._exchange.ask("POST", url, headers=headers, data=body) as answer:
            said = _read(await _body(answer))
            if 200 <= answer.status < 300 and said is not None and said.status_code == 0:
                return
            self._refuse(answer, said)

    def _refuse(self, answer: aiohttp.ClientResponse, said: _Answer | None) -> None:
        text = f"{self._exchange.name} answered {answer.status}"
        if said is None:
            text += " with something that is not an answer of a recording processor"
        elif said.message:
            text += f": {said.message[:_TEXT_LIMIT]}"
        if answer.status in (401, 403):
            raise SignInRefusedError(f"{text} (the sign-in was refused)")
        if answer.status == 409:
            raise ConflictError(f"{text} (it has another recording of that id)")
        if answer.status in _NEVER:
            raise RefusedError(text)
        if 300 <= answer.status < 400:
            text += " (another address is not followed)"
        kind = DestinationError if about_destination(answer.status) else NotNowError
        raise kind(text, retry_after=retry_after(answer))


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    """Return the body, cut off where it is longer than any answer of a processor."""
    body = bytearray()
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > _ANSWER_LIMIT:
            break
    return bytes(body[:_ANSWER_LIMIT])


def _read(body: bytes) -> _Answer | None:
    if not body.strip():
        return _Answer()
    try:
        return msgspec.json.decode(body, type=_Answer)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None

"""Posting one recording's metadata to the recording processor."""

from __future__ import annotations

import aiohttp
import msgspec

from mcp_sim.recording.delivery_errors import (
    ConflictError,
    DestinationError,
    RefusedError,
    SignInRefusedError,
)
from mcp_sim.recording.http_exchange import Exchange, retry_after
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
            said = _read(await answer.content.read(_ANSWER_LIMIT))
            if 200 <= answer.status < 300 and said.status_code == 0:
                return
            self._refuse(answer, said)

    def _refuse(self, answer: aiohttp.ClientResponse, said: _Answer) -> None:
        text = f"{self._exchange.name} answered {answer.status}"
        if said.message:
            text += f": {said.message[:_TEXT_LIMIT]}"
        if answer.status in (401, 403):
            raise SignInRefusedError(f"{text} (the sign-in was refused)")
        if answer.status == 409:
            raise ConflictError(text)
        if answer.status in _NEVER:
            raise RefusedError(text)
        raise DestinationError(text, retry_after=retry_after(answer))


def _read(body: bytes) -> _Answer:
    try:
        return msgspec.json.decode(body, type=_Answer)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _Answer()

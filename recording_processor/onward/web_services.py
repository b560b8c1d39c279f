"""The recording web services over HTTP: one post, its sign-in, and the token against forgery.

Success is 200 with a body that came to its end. A redirect is not followed: what we send holds
metadata and a password. Where a token is asked for (CSRF), a GET fetches its header's name and its
value; a 403 makes us fetch it anew, once.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import aiohttp
import msgspec
from yarl import URL

from recording_processor.onward.failure import Never, NotNow
from service_shell.accounts import basic_header
from service_shell.settings import SettingsError
from service_shell.trust import unreached

_NEVER = frozenset((400, 409, 413, 422))
_LONGEST_ANSWER = 1 << 16
_LONGEST_SENTENCE = 200
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_FIELD_VALUE = re.compile(r"[\x21-\x7e]{1,4096}")
# A header that a token may not replace.
_OURS = frozenset(("authorization", "content-length", "content-type", "cookie", "host",
                   "transfer-encoding"))  # fmt: skip
_CSRF_HEADER, _CSRF_TOKEN = "X-CSRF-HEADER", "X-CSRF-TOKEN"


class _Token(NamedTuple):
    header: str
    value: str

    def __repr__(self) -> str:
        return f"<token in {self.header}>"


class _Told(msgspec.Struct):
    message: str = msgspec.field(name="statusMessage", default="")


class WebServices:
    """Posts to one address. `password` is asked for again when a sign-in was refused; the first
    time it may raise `SettingsError`.

    `csrf` says that a token is needed; `seconds` is how long an exchange may take.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        address: str,
        *,
        user: str,
        password: Callable[[], str],
        csrf: bool,
        seconds: float,
    ) -> None:
        self._http = http
        self._address = URL(address, encoded=True)
        self._user = user
        self._read_password = password
        self._password = password() if user else ""
        self._csrf = csrf
        self._token: _Token | None = None
        self._fetching = asyncio.Lock()
        self._timeout = aiohttp.ClientTimeout(total=seconds)

    def __repr__(self) -> str:
        return f"<WebServices at {self._address}>"

    async def post(self, body: bytes) -> None:
        """Bring them `body`. Raises `NotNow` or `Never`."""
        token = await self._current_token(None)
        status, answer, retry_after = await self._exchange(token, body)
        if status == 403 and token is not None:
            token = await self._current_token(token)
            status, answer, retry_after = await self._exchange(token, body)
        if status == 200:
            return
        said = f"the web services answered {status}{_sentence(answer)}"
        if status in _NEVER:
            raise Never(said)
        if status in (401, 403):
            self._renew_password()
        raise NotNow(said, retry_after)

    async def _current_token(self, expired: _Token | None) -> _Token | None:
        """Return the token, fetched when there is none or it is the `expired` one."""
        if not self._csrf:
            return None
        async with self._fetching:
            # Others may have waited for the same new one.
            if self._token is None or self._token == expired:
                self._token = None
                self._token = await self._fetch_token()
            return self._token

    async def _fetch_token(self) -> _Token:
        timed = self._http.get(
            self._address, headers=self._headers(None), timeout=self._timeout, allow_redirects=False
        )
        try:
            async with timed as answer:
                header = answer.headers.get(_CSRF_HEADER, "")
                value = answer.headers.get(_CSRF_TOKEN, "")
                status = answer.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _unreachable(error) from None
        if status in (401, 403):
            self._renew_password()
        usable = _FIELD_NAME.fullmatch(header) and _FIELD_VALUE.fullmatch(value)
        if not usable or header.lower() in _OURS:
            raise NotNow(f"the web services answered {status} and gave no token to post with")
        return _Token(header, value)

    async def _exchange(self, token: _Token | None, body: bytes) -> tuple[int, bytes, float | None]:
        headers = {**self._headers(token), "Content-Type": "application/json"}
        try:
            async with self._http.post(
                self._address,
                data=body,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
            ) as answer:
                return answer.status, await _read(answer), _retry_after(answer)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _unreachable(error) from None

    def _headers(self, token: _Token | None) -> dict[str, str]:
        headers = {"Accept": "application/json"}
        if self._user:
            headers["Authorization"] = basic_header(self._user, self._password)
        if token is not None:
            headers[token.header] = token.value
        return headers

    def _renew_password(self) -> None:
        """Take a password that was corrected meanwhile; the next try has it."""
        self._token = None
        if self._user:
            with suppress(SettingsError):
                self._password = self._read_password()


def _unreachable(error: Exception) -> NotNow:
    if isinstance(error, TimeoutError):
        return NotNow("the web services did not answer in time")
    if isinstance(error, aiohttp.ClientConnectorError):
        return NotNow(unreached("the web services", error))
    return NotNow("the web services broke off")


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    """Return an answer's body to its end; of a long one nothing but that it came."""
    kept = bytearray()
    async for chunk in answer.content.iter_chunked(_LONGEST_ANSWER):
        if len(kept) <= _LONGEST_ANSWER:
            kept += chunk
    return bytes(kept) if len(kept) <= _LONGEST_ANSWER else b""


def _sentence(answer: bytes) -> str:
    """Return what an answer in the vendor's form says, to stand behind ours."""
    try:
        told = msgspec.json.decode(answer, type=_Told).message
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    return f": {told[:_LONGEST_SENTENCE]}" if told and told.isprintable() else ""


def _retry_after(answer: aiohttp.ClientResponse) -> float | None:
    """Return the seconds of ``Retry-After`` (RFC 9110 §10.2.3), a number or a date."""
    told = answer.headers.get("Retry-After", "").strip()
    if told.isascii() and told.isdecimal() and len(told) < 10:
        return float(told)
    try:
        moment = parsedate_to_datetime(told)
    except (ValueError, TypeError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())

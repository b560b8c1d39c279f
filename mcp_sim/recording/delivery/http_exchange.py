"""One HTTP exchange of a delivery: what can go wrong on the way becomes a `DeliveryError`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime

import aiohttp

from mcp_sim.recording.delivery.errors import DestinationError, RefusedError
from mcp_sim.recording.spool.public_url import public_url
from service_shell.trust import tls_fault

_CONNECT_SECONDS = 10.0
_SLOWEST_BYTES_PER_SECOND = 100_000
_LONGEST_RETRY_AFTER = 3600.0
# The statuses below 500 that the next item would get as well.
_ANY_REQUEST = (401, 403, 407, 408, 425, 429)


class Exchange:
    """Asks one destination, called `name` in errors. `timeout`: seconds for it to say something."""

    def __init__(self, http: aiohttp.ClientSession, name: str, *, timeout: float) -> None:
        self._http = http
        self.name = name
        self._timeout = timeout

    @asynccontextmanager
    async def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        data: bytes | AsyncIterator[bytes] | None = None,
        size: int = 0,
        changes: bool = False,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Give the answer, whatever its status. `size` bytes may go either way.

        Raises `DestinationError`; it is `unconfirmed` where a request that `changes` something may
        have arrived. A URL that is none is a `RefusedError`. A user and password in it are not
        used: they would reach errors, logs and the spool.
        """
        url = public_url(url)
        timeout = aiohttp.ClientTimeout(
            total=self._timeout + size / _SLOWEST_BYTES_PER_SECOND,
            sock_connect=min(_CONNECT_SECONDS, self._timeout),
            sock_read=self._timeout,
        )
        try:
            async with self._http.request(
                method,
                url,
                headers={"Accept-Encoding": "identity", **headers},
                data=data,
                timeout=timeout,
                allow_redirects=False,
            ) as answer:
                yield answer
        except aiohttp.ClientConnectorError as error:
            reason = tls_fault(error) or _reason(error.os_error)
            raise DestinationError(f"{self.name} at {url} was not reached: {reason}") from None
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, UnicodeError):
            raise RefusedError(f"{url} is not a URL that {self.name} can have") from None
        except TimeoutError:
            message = f"{self.name} at {url} did not answer in time"
            raise DestinationError(message, unconfirmed=changes) from None
        except (aiohttp.ClientError, ConnectionError) as error:
            reason = _reason(error) if isinstance(error, OSError) else type(error).__name__
            message = f"the connection to {self.name} at {url} was lost ({reason})"
            raise DestinationError(message, unconfirmed=changes) from None


def _reason(error: OSError) -> str:
    """Return what the system says; asyncio's own text would repeat the address."""
    known = error.errno is not None and error.errno > 0
    return os.strerror(error.errno or 0).lower() if known else error.strerror or "no connection"


def about_destination(status: int) -> bool:
    """Return whether a status that is no success speaks of the destination, not of one name."""
    return not 400 <= status < 500 or status in _ANY_REQUEST


def retry_after(answer: aiohttp.ClientResponse) -> float | None:
    """Return the seconds that ``Retry-After`` asks for (RFC 9110 §10.2.3), at most an hour.

    A date counts from the answer's own ``Date``: the two clocks need not agree.
    """
    text = answer.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _LONGEST_RETRY_AFTER)
    try:
        then, now = (parsedate_to_datetime(at) for at in (text, answer.headers.get("Date", "")))
        seconds = (then - now).total_seconds()
    except (TypeError, ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER)

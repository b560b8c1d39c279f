"""What commands say of a request that came to no answer."""

from __future__ import annotations

import errno

import aiohttp
import pytest

from reclab.https import unanswered

_URL = "http://127.0.0.1:8801/recordings/"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TimeoutError(), "no answer in time"),
        (aiohttp.SocketTimeoutError(), "no answer in time"),
        (aiohttp.ClientOSError(errno.ECONNRESET, "x"), "connection reset by peer"),
        (aiohttp.ServerDisconnectedError(), "Server disconnected"),
        (aiohttp.ClientPayloadError(), "ClientPayloadError"),
    ],
)
def test_the_reason_is_said(error: aiohttp.ClientError | TimeoutError, reason: str) -> None:
    """Whatever ended a request, the sentence names its URL, what was wanted, and a reason."""
    assert unanswered(error, _URL, done="read") == f"{_URL} could not be read: {reason}"


async def test_a_service_that_is_not_there() -> None:
    """Where nobody listens, the sentence asks whether the lab is up."""
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientConnectorError) as refused:
            await http.get("http://127.0.0.1:1/")
    said = "nothing answers at 127.0.0.1:1 for http://127.0.0.1:1/: is the lab up?"
    assert unanswered(refused.value, "http://127.0.0.1:1/") == said

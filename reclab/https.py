"""HTTPS to a lab's services: whom commands believe, and what they say when nobody answers."""

from __future__ import annotations

import os

import aiohttp

from service_shell.trust import client_context, tls_fault


def trusting(services_ca: str) -> aiohttp.TCPConnector:
    """Return a connector that believes the CA file of a lab's services, and the system's roots.

    Raises `SettingsError` when the file cannot be read.
    """
    if not services_ca:
        return aiohttp.TCPConnector()
    context = client_context(services_ca, name="the CA file of the lab's services")
    return aiohttp.TCPConnector(ssl=context)


def not_reached(error: aiohttp.ClientConnectorError, url: str = "") -> str:
    """Return the sentence for a service that was not reached; `url` is what was wanted of it."""
    wanted = f" for {url}" if url else ""
    fault = tls_fault(error)
    return fault or f"nothing answers at {error.host}:{error.port}{wanted}: is the lab up?"


def unanswered(error: aiohttp.ClientError | TimeoutError, url: str, *, done: str = "asked") -> str:
    """Return the sentence for a request that came to no answer, or to no whole one.

    `url` is what was `done`, or rather was not: "asked", "read".
    """
    if isinstance(error, aiohttp.ClientConnectorError):
        return not_reached(error, url)
    return f"{url} could not be {done}: {_reason(error)}"


def _reason(error: aiohttp.ClientError | TimeoutError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return str(error) or type(error).__name__

"""HTTPS to a lab's services: whom commands believe, and what they say when nobody answers."""

from __future__ import annotations

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

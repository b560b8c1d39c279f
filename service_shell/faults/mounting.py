"""Faults on purpose put into an HTTP service: its switch, its API, its figures, and their cause."""

from __future__ import annotations

from collections.abc import Collection

from aiohttp import web
from prometheus_client import CollectorRegistry

from service_shell.faults.api import FaultApi
from service_shell.faults.http import HTTP_FAULTS, HttpFaults
from service_shell.faults.metrics import FaultCollector
from service_shell.faults.settings import FaultSettings, open_switch


def mount_faults(
    app: web.Application,
    settings: FaultSettings,
    target: str,
    *,
    path: str,
    realm: str,
    exempt: Collection[str],
    registry: CollectorRegistry,
) -> None:
    """Let the service `target` be broken on purpose, if its settings enable that; else do nothing.

    `path` is the API's; it and `exempt` are never struck. `realm` is that of the service's sign-in.
    Raises `SettingsError` for a plan that cannot be used.
    """
    switch = open_switch(settings, target)
    if switch is None:
        return
    FaultApi(switch).add_to(app, path)
    registry.register(FaultCollector(switch, target))
    app[HTTP_FAULTS] = HttpFaults(switch, app, realm=realm, exempt={path, *exempt})

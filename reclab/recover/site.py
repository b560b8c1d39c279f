"""Where a lab's recordings are: its services, its spool and its keys, running or stopped.

Everything is read from the lab's folder; nothing is made or changed there.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from mcp_sim.config import McpSettings
from mcp_sim.recording.keyring import VARIABLE, KeyringError, SpoolKeyring
from mcp_sim.recording.spool.lock import LOCK_FILE
from reclab.lab import LAB_FILE, Lab, load_lab
from reclab.preparation import LabFolder, describe, load_plan
from service_shell.settings import SettingsError, load_settings

_LEFT_RUNNING, _LOOK_EVERY = 15.0, 0.1


@dataclass(frozen=True)
class Site:
    """A lab as it lies in its folder. `up`: it said that it is ready."""

    lab: Lab
    up: bool
    settings: McpSettings

    @property
    def spool(self) -> Path:
        """The spool's folder."""
        return Path(self.settings.spool.folder)

    def keyring(self, environ: Mapping[str, str] = os.environ) -> SpoolKeyring:
        """Return the spool's keyring; none is made. Raises `KeyringError`."""
        if environ.get(VARIABLE):
            return SpoolKeyring.from_text(environ[VARIABLE], name=VARIABLE)
        return SpoolKeyring.from_file(Path(self.settings.spool.keyring))

    def known_keyring(self) -> SpoolKeyring | None:
        """Return the spool's keyring, None where it cannot be used."""
        try:
            return self.keyring()
        except KeyringError:
            return None


def find_site(data: Path, environ: Mapping[str, str] = os.environ) -> Site:
    """Return the lab in folder `data`, whether it is up or not. Raises `SettingsError`."""
    folder = LabFolder(data)
    up = (data / LAB_FILE).exists()
    plan = None if up else load_plan(folder)
    if not up and plan is None:
        raise SettingsError(f"there is no lab in {data}: name its folder by --data")
    lab = load_lab(data) if plan is None else describe(folder, plan)
    settings = load_settings(
        McpSettings, folder.settings / "mcp.toml", prefix="mcp", environ=environ
    )
    return Site(lab, up, settings)


async def platform_runs(
    site: Site, http: aiohttp.ClientSession, say: Callable[[str], None]
) -> bool:
    """Return whether a platform works on the spool.

    What a killed one left running ends by itself: it is waited for, a few seconds.
    """
    end = time.monotonic() + _LEFT_RUNNING
    while spool_is_held(site.spool):
        if time.monotonic() >= end or await _lives(site.lab.control, http):
            return True
        say("Waiting for what a killed platform left running …")
        await asyncio.sleep(_LOOK_EVERY)
    return False


async def _lives(control: str, http: aiohttp.ClientSession) -> bool:
    try:
        async with http.get(f"{control}/livez", timeout=aiohttp.ClientTimeout(total=10)):
            return True
    except (aiohttp.ClientError, TimeoutError):
        return False


def spool_is_held(spool: Path) -> bool:
    """Return whether a platform, or what it left running, holds the spool. Makes no file."""
    try:
        descriptor = os.open(spool / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False

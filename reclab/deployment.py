"""The lab's profile at each start: what the lab decides follows it, a person's changes stay.

The profile is merged three ways. An option that is still as the last start made it takes the value
of this start (another port); one that somebody has changed since is left alone. What a person chose
for this start (the file type, the channels) always counts.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any, TypeAlias

import aiohttp

from reclab.https import not_reached, trusting
from reclab.lab import Lab
from reclab.preparation import (
    FIRST_OPTIONS,
    PROFILE_DBID,
    SERVICE_PARAMETERS,
    LabFolder,
    RecordingOptions,
)
from service_shell.accounts import basic_header
from service_shell.settings import SettingsError

Sections: TypeAlias = dict[str, dict[str, str]]
_SECONDS = 30


def last_deployed(folder: LabFolder) -> Sections:
    """Return the sections that the last start made, empty when there was none."""
    try:
        text = (folder.settings / "profiles.toml").read_text(encoding="utf-8")
        sections: Sections = tomllib.loads(text)["profiles"][0]["sections"]
    except (OSError, ValueError, LookupError):
        return {}
    return sections


def merge(last: Sections, wanted: Sections, present: Sections) -> Sections:
    """Return `present` with the changes from `last` to `wanted`, except a person's own."""
    names = dict.fromkeys((*present, *wanted))
    merged = {
        name: _merge_options(last.get(name, {}), wanted.get(name, {}), present.get(name, {}))
        for name in names
    }
    return {name: options for name, options in merged.items() if options or name in present}


def _merge_options(
    last: Mapping[str, str], wanted: Mapping[str, str], present: Mapping[str, str]
) -> dict[str, str]:
    merged = {}
    for name in dict.fromkeys((*present, *wanted)):
        untouched = present.get(name) == last.get(name)
        value = wanted.get(name) if untouched else present.get(name)
        if value is not None:
            merged[name] = value
    return merged


def _sections(
    last: Sections, wanted: dict[str, Any], present: dict[str, Any], options: RecordingOptions
) -> Sections:
    merged = merge(last, wanted["sections"], present["sections"])
    before = present["sections"].get(SERVICE_PARAMETERS, {})
    kept = {name: before[name] for name in FIRST_OPTIONS.parameters if name in before}
    merged[SERVICE_PARAMETERS] |= kept | options.parameters
    return merged


async def deploy_profile(
    lab: Lab, last: Sections, wanted: dict[str, Any], options: RecordingOptions
) -> None:
    """Put the lab's profile in force, merged with what the catalogue has. Raises `SettingsError`.

    `wanted` is the profile of this start in its JSON shape.
    """
    admin = lab.users["admin"]
    headers = {"Authorization": basic_header(admin.name, admin.password)}
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    url = f"{lab.processor}/lab/profiles"
    try:
        async with aiohttp.ClientSession(
            headers=headers, timeout=timeout, connector=trusting(lab.services_ca)
        ) as http:
            async with http.get(url) as answer:
                answer.raise_for_status()
                known = (await answer.json())["profiles"]
            present = next((p for p in known if p["dbid"] == PROFILE_DBID), None)
            if present is not None:
                wanted = {**present, "sections": _sections(last, wanted, present, options)}
            if wanted == present:
                return
            async with http.put(f"{url}/{PROFILE_DBID}", json=wanted) as answer:
                answer.raise_for_status()
    except aiohttp.ClientConnectorError as error:
        raise SettingsError(f"the profile could not be deployed: {not_reached(error)}") from None
    except (aiohttp.ClientError, TimeoutError) as error:
        raise SettingsError(f"the profile could not be deployed: {error}") from None

"""The IVR profile: which recordings are made, under which certificates, and where they go.

A profile is text options in sections, as Configuration Server keeps them. This module reads the
options by their known names and chooses the profile of a call the way Resource Manager does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

SERVICE_PARAMETERS = "gvp.service-parameters"
GENERAL = "gvp.general"
CERTIFICATES = "recording-certificates"
_CERTIFICATE_NAME = re.compile(r"certificates-(\d{1,6})")
_FIXED = "fixed,"
_FOR_PROCESSOR = "recordingclient.rp."


class Tenant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tenant's name and DBID."""

    name: str
    dbid: int


class IvrProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One IVR profile. `sections` maps a section's name to its options, all text."""

    dbid: int
    name: str
    tenant: Tenant
    sections: dict[str, dict[str, str]] = {}

    def __repr__(self) -> str:
        # The options hold passwords.
        return f"IvrProfile(dbid={self.dbid}, name={self.name!r}, tenant={self.tenant.name!r})"

    def option(self, section: str, name: str) -> str | None:
        """Return an option's text as it stands, or None."""
        return self.sections.get(section, {}).get(name)

    def fixed(self, name: str) -> str | None:
        """Return the value of a service parameter without its ``fixed,`` prefix, or None."""
        value = self.option(SERVICE_PARAMETERS, name)
        return None if value is None else value.removeprefix(_FIXED).strip()

    def flag(self, name: str) -> bool:
        """Return whether a service parameter says true."""
        return (self.fixed(name) or "").lower() in ("true", "yes", "1")

    def override(self, section: str, name: str) -> str | None:
        """Return the profile's override of the MCP option ``[section] name``, or None."""
        return self.fixed(f"recordingclient.gvp.config.{section}.{name}")

    @property
    def records(self) -> bool:
        """Whether this is a recording profile (``service-type=record``)."""
        return self.option(GENERAL, "service-type") == "record"

    @property
    def geo_location(self) -> str | None:
        """The location that the profile serves, or None."""
        return self.option(GENERAL, "geo-location")

    @property
    def certificates(self) -> list[tuple[str, str]]:
        """(option name, text) of each ``certificates-n``, by n."""
        numbered = [
            (int(match[1]), name, text)
            for name, text in self.sections.get(CERTIFICATES, {}).items()
            if (match := _CERTIFICATE_NAME.fullmatch(name))
        ]
        return [(name, text) for _, name, text in sorted(numbered)]

    @property
    def processor_parameters(self) -> dict[str, str]:
        """What the profile has for the recording processor: ``rp.…`` of the metadata's parameters.

        One of them, ``rp.speechminer_auth``, is a password in clear.
        """
        options = self.sections.get(SERVICE_PARAMETERS, {})
        named = [name for name in options if name.startswith(_FOR_PROCESSOR)]
        told = {name.removeprefix("recordingclient."): self.fixed(name) for name in named}
        return {name: value for name, value in told.items() if value}

    @property
    def storage(self) -> str | None:
        """The URL of the store's collection (``recordingclient.recdest``), or None."""
        return self.fixed("recordingclient.recdest")

    @property
    def second_storage(self) -> str | None:
        """The URL of the collection for a second copy (``recordingclient.recdest2``), or None."""
        return self.fixed("recordingclient.recdest2")

    @property
    def processor(self) -> str | None:
        """Where metadata is posted (``recordingclient.callrec_dest``), or None."""
        return self.fixed("recordingclient.callrec_dest")

    @property
    def storage_credentials(self) -> tuple[str, str] | None:
        """(user, password) for the storage, or None."""
        return _pair(self.fixed("recordingclient.httpauthorization"))

    @property
    def second_storage_credentials(self) -> tuple[str, str] | None:
        """(user, password) for the second storage: those of the storage unless it has its own."""
        own = _pair(self.fixed("recordingclient.httpauthorization2"))
        return own or self.storage_credentials

    @property
    def processor_credentials(self) -> tuple[str, str] | None:
        """(user, password) for the recording processor, or None."""
        return _pair(self.fixed("recordingclient.callrec_authorization"))


def choose_profile(
    profiles: Iterable[IvrProfile],
    *,
    dbid: int | None,
    geo_location: str | None,
    tenant_dbid: int | None = None,
) -> IvrProfile | None:
    """Return the profile of a call, or None when there is none.

    A DBID that was given decides alone. Else, where the call names its tenant and that one has
    recording profiles, only these are chosen from: the one of the same location; else the only one;
    else the one named ``record``; else the one of the lowest DBID.
    """
    known = list(profiles)
    if dbid is not None:
        return next((profile for profile in known if profile.dbid == dbid), None)
    recording = sorted((p for p in known if p.records), key=lambda p: p.dbid)
    recording = [p for p in recording if p.tenant.dbid == tenant_dbid] or recording
    if geo_location is not None:
        for profile in recording:
            if profile.geo_location == geo_location:
                return profile
    if len(recording) == 1:
        return recording[0]
    named = (profile for profile in recording if profile.name == "record")
    return next(named, recording[0] if recording else None)


def _pair(text: str | None) -> tuple[str, str] | None:
    if not text:
        return None
    user, _, password = text.partition(":")
    return user, password

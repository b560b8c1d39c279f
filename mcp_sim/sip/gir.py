"""The INVITE of an interaction recording: what its request-URI and headers say, and writing one.

Pure. One INVITE per party; INVITEs with the same conference id belong to one recording. Names
follow Genesys's SIP Server and Resource Manager.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from urllib.parse import quote

import sipmessage

from .errors import BodyError
from .message import HeaderList

CONFERENCE = "msml="
CALL_UUID = "X-Genesys-CallUUID"
PROFILE_DBID = "X-Genesys-RM-Application-dbid"
SESSION_ID = "X-Genesys-GVP-Session-ID"
SESSION_DATA = "X-Genesys-GVP-Session-Data"
GEO_LOCATION = "X-Genesys-geo-location"
TENANT = "gvp.rm.tenant-id"

_SAFE_USER = "-_.!~*'()&=+$,;?/"
_SAFE_VALUE = "-_.!~*'()[]/:&+$"


@dataclasses.dataclass(frozen=True, slots=True)
class GirCall:
    """One party's recording request; texts are empty and numbers None where nothing was said.

    `parameters` are further URI parameters (a flag's value is empty). `session_tenant` is the
    tenant named in the session id header.
    """

    conference_id: str
    dn: str = ""
    record: bool = True
    tenant_dbid: int | None = None
    media_service: str = ""
    call_uuid: str = ""
    profile_dbid: int | None = None
    session_id: str = ""
    session_tenant: str = ""
    session_data: str = ""
    geo_location: str = ""
    parameters: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def read(cls, uri: sipmessage.URI, header: Callable[[str], str | None]) -> GirCall | None:
        """Read a request-URI and its headers; None when the user is not `msml=<conference>`.

        Raises BodyError when a DBID is no number or the conference id is empty.
        """
        user = uri.user or ""
        if not user.startswith(CONFERENCE):
            return None
        if user == CONFERENCE:
            raise BodyError("the request-URI names no conference")
        rest = {name.lower(): value or "" for name, value in uri.parameters.items()}
        session_id, _, session_parameters = (header(SESSION_ID) or "").partition(";")
        return cls(
            conference_id=user[len(CONFERENCE) :],
            dn=rest.pop("dn", ""),
            record=rest.pop("record", None) is not None,
            tenant_dbid=_dbid(rest.pop("tenant-dbid", ""), "tenant-dbid"),
            media_service=rest.pop("media-service", ""),
            call_uuid=(header(CALL_UUID) or "").strip(),
            profile_dbid=_dbid(header(PROFILE_DBID) or "", PROFILE_DBID),
            session_id=session_id.strip(),
            session_tenant=_pairs(session_parameters).get(TENANT, ""),
            session_data=header(SESSION_DATA) or "",
            geo_location=(header(GEO_LOCATION) or "").strip(),
            parameters=rest,
        )

    def uri(self, host_port: str) -> str:
        """The request-URI, for `host:port` of the recorder."""
        parts = [f"sip:{quote(CONFERENCE + self.conference_id, safe=_SAFE_USER)}@{host_port}"]
        if self.dn:
            parts.append(f"dn={quote(self.dn, safe=_SAFE_VALUE)}")
        if self.record:
            parts.append("record")
        if self.tenant_dbid is not None:
            parts.append(f"tenant-dbid={self.tenant_dbid}")
        if self.media_service:
            parts.append(f"media-service={quote(self.media_service, safe=_SAFE_VALUE)}")
        for name, value in self.parameters.items():
            encoded = f"={quote(value, safe=_SAFE_VALUE)}" if value else ""
            parts.append(f"{quote(name, safe=_SAFE_VALUE)}{encoded}")
        return ";".join(parts)

    def headers(self) -> HeaderList:
        """The headers that go with the request-URI."""
        session_id = self.session_id
        if session_id and self.session_tenant:
            session_id = f"{session_id};{TENANT}={self.session_tenant}"
        pairs = [
            (CALL_UUID, self.call_uuid),
            (PROFILE_DBID, "" if self.profile_dbid is None else str(self.profile_dbid)),
            (SESSION_ID, session_id),
            (SESSION_DATA, self.session_data),
            (GEO_LOCATION, self.geo_location),
        ]
        return [(name, value) for name, value in pairs if value]


def _dbid(value: str, name: str) -> int | None:
    value = value.strip()
    if not value:
        return None
    if not (value.isascii() and value.isdecimal() and len(value) <= 10):
        raise BodyError(f"{name} is not a number")
    return int(value)


def _pairs(parameters: str) -> dict[str, str]:
    cut = (part.partition("=") for part in parameters.split(";"))
    return {name.strip().lower(): value.strip() for name, _, value in cut if name.strip()}

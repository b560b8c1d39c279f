"""Tenants and IVR profiles from outside: a TOML text at start, or JSON over HTTP, both checked.

What is malformed is refused by its path. A ruined certificate is kept as it came and reported by
name instead: it must not stop the rest. Texts never repeat an option's value, which may be a
password.

    [[tenants]]
    name = "Environment"
    dbid = 1

    [[profiles]]
    dbid = 101
    name = "recording"
    tenant = "Environment"
    certificate_files = ["recording.pem"]      # becomes certificates-1, certificates-2, …

    [profiles.sections."gvp.general"]
    service-type = "record"
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable

import msgspec

from recording_format.ivr_profile import CERTIFICATES, IvrProfile, Tenant
from recording_processor.errors import BadParameter
from recording_processor.json_body import decode_body, path_first
from recording_processor.profile_options import check_profile


class Provisions(msgspec.Struct, frozen=True):
    """Tenants and profiles that shall be there."""

    tenants: tuple[Tenant, ...]
    profiles: tuple[IvrProfile, ...]


class _ProfileTable(msgspec.Struct, forbid_unknown_fields=True):
    dbid: int
    name: str
    tenant: str
    sections: dict[str, dict[str, str]] = {}
    certificate_files: list[str] = []

    def __repr__(self) -> str:
        # The options hold passwords.
        return f"<profile {self.dbid}>"


class _ProvisionsFile(msgspec.Struct, forbid_unknown_fields=True):
    tenants: list[Tenant] = []
    profiles: list[_ProfileTable] = []


class _ProfileBody(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    tenant: Tenant
    sections: dict[str, dict[str, str]]
    dbid: int | None = None

    def __repr__(self) -> str:
        return f"<profile {self.name!r}>"


def read_provisions(text: str, *, read_certificate: Callable[[str], str]) -> Provisions:
    """Read the TOML `text`. `read_certificate` returns the text of a file named in it.

    Raises `BadParameter` naming what is wrong.
    """
    try:
        file = msgspec.convert(tomllib.loads(text), _ProvisionsFile)
    except tomllib.TOMLDecodeError as error:
        raise BadParameter(f"is not valid TOML ({error})") from None
    except msgspec.ValidationError as error:
        raise BadParameter(path_first(str(error))) from None
    tenants = {tenant.name: tenant for tenant in file.tenants}
    made = [_profile_of(table, tenants, read_certificate) for table in file.profiles]
    for dbid in {profile.dbid for profile in made}:
        if sum(profile.dbid == dbid for profile in made) > 1:
            raise BadParameter(f"two profiles have the DBID {dbid}")
    return Provisions(tuple(file.tenants), tuple(made))


def _profile_of(
    table: _ProfileTable, tenants: dict[str, Tenant], read_certificate: Callable[[str], str]
) -> IvrProfile:
    tenant = tenants.get(table.tenant)
    if tenant is None:
        raise BadParameter(f"profile {table.dbid}: {table.tenant!r} is not one of the tenants")
    sections = {name: dict(options) for name, options in table.sections.items()}
    certificates = sections.setdefault(CERTIFICATES, {}) if table.certificate_files else {}
    for number, name in enumerate(table.certificate_files, start=1):
        option = f"certificates-{number}"
        if option in certificates:
            raise BadParameter(f"profile {table.dbid}: {option} is given as text and as a file")
        certificates[option] = read_certificate(name)
    profile = IvrProfile(dbid=table.dbid, name=table.name, tenant=tenant, sections=sections)
    check_profile(profile)
    return profile


def decode_profile(body: bytes, *, dbid: int) -> IvrProfile:
    """Read the JSON of a profile that is put under `dbid`. Raises `BadParameter` by path."""
    read = decode_body(body, _ProfileBody)
    if read.dbid is not None and read.dbid != dbid:
        raise BadParameter(f"dbid: the body says {read.dbid}, the address {dbid}")
    return _checked(read, dbid)


def decode_new_profile(body: bytes) -> IvrProfile:
    """Read the JSON of a new profile; its DBID is 0 where the body names none.

    Raises `BadParameter` by path.
    """
    read = decode_body(body, _ProfileBody)
    if read.dbid is not None:
        return _checked(read, read.dbid)
    return msgspec.structs.replace(_checked(read, 1), dbid=0)


def _checked(read: _ProfileBody, dbid: int) -> IvrProfile:
    profile = IvrProfile(dbid=dbid, name=read.name, tenant=read.tenant, sections=read.sections)
    check_profile(profile)
    return profile

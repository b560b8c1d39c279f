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

import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import urlsplit

import msgspec

from recording_format.certificates import RecordingCertificate
from recording_format.errors import CertificateError
from recording_format.ivr_profile import CERTIFICATES, SERVICE_PARAMETERS, IvrProfile, Tenant
from recording_processor.errors import BadParameter

_MAXIMUM_DBID = 2**31 - 1
_MAXIMUM_NAME = 255
_TYPES = ("audio/wav", "audio/mp3")
_URLS = ("recordingclient.recdest", "recordingclient.recdest2", "recordingclient.callrec_dest")


class Problem(msgspec.Struct, frozen=True):
    """An option that is kept, but will not do what it should."""

    section: str
    option: str
    problem: str


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
        raise BadParameter(_path_first(str(error))) from None
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
    try:
        read = msgspec.json.decode(body, type=_ProfileBody)
    except msgspec.ValidationError as error:
        raise BadParameter(_path_first(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadParameter("the body is not JSON") from None
    if read.dbid is not None and read.dbid != dbid:
        raise BadParameter(f"dbid: the body says {read.dbid}, the address {dbid}")
    profile = IvrProfile(dbid=dbid, name=read.name, tenant=read.tenant, sections=read.sections)
    check_profile(profile)
    return profile


def check_profile(profile: IvrProfile) -> None:
    """Raise `BadParameter` when the profile cannot be what it says, naming the first fault."""
    for path, dbid in (("dbid", profile.dbid), ("tenant.dbid", profile.tenant.dbid)):
        if not 1 <= dbid <= _MAXIMUM_DBID:
            raise BadParameter(f"{path}: it is not from 1 to {_MAXIMUM_DBID}")
    for path, name in (("name", profile.name), ("tenant.name", profile.tenant.name)):
        if not name.strip() or len(name) > _MAXIMUM_NAME:
            raise BadParameter(f"{path}: it is empty or longer than {_MAXIMUM_NAME} characters")
    for option, fault in _faults(profile):
        raise BadParameter(f"sections.{SERVICE_PARAMETERS}.{option}: {fault}")


def _faults(profile: IvrProfile) -> Iterator[tuple[str, str]]:
    kind = profile.fixed("recordingclient.type")
    if kind is not None and kind not in _TYPES:
        yield "recordingclient.type", f"it is not one of {', '.join(_TYPES)}"
    for option in _URLS:
        url = profile.fixed(option)
        if url and not _is_plain_url(url):
            yield option, "it is not an http or https URL without a password in it"
    for option in ("recordingclient.httpauthorization", "recordingclient.callrec_authorization"):
        value = profile.fixed(option)
        if value and ":" not in value:
            yield option, "it is not of the form user:password"


def _is_plain_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and "@" not in parts.netloc
        )
    except ValueError:
        return False


def problems(profile: IvrProfile) -> Sequence[Problem]:
    """Return what is wrong with options that are kept all the same, each by its name."""
    found = []
    for option, text in profile.certificates:
        try:
            RecordingCertificate.load(text, name=option)
        except CertificateError as error:
            found.append(Problem(CERTIFICATES, option, str(error)))
    if profile.records and not profile.certificates and not profile.flag("lab.unencrypted"):
        sentence = "there is no certificate, so no call can be recorded"
        found.append(Problem(CERTIFICATES, "certificates-1", sentence))
    return found


_FIELD = re.compile(r"Object (?P<what>.*) field `(?P<field>[^`]*)`(?: - at `\$\.?(?P<at>.*)`)?")
_VALUE = re.compile(r"(?P<what>.*) - at `\$\.?(?P<at>.*)`")


def _path_first(text: str) -> str:
    """Turn msgspec's message into one that names the path first."""
    if match := _FIELD.fullmatch(text):
        path = ".".join(part for part in (match["at"], match["field"]) if part)
        return f"{path}: it is {'missing' if 'missing' in match['what'] else 'unknown'}"
    if match := _VALUE.fullmatch(text):
        return f"{match['at']}: {match['what'][0].lower()}{match['what'][1:]}"
    return text[0].lower() + text[1:]

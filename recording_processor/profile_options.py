"""Which options an IVR profile may have, and what each of them must look like.

What is malformed is refused by its path. What is unknown is kept, because other platforms know
more options, and told as a note. No text repeats a value, which may be a password.

The platform itself reads a service parameter without its ``fixed,`` prefix too; here, where people
write profiles, the prefix is required of every option of this table, as the vendor's platform does.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlsplit

import msgspec

from recording_format.errors import FileNameError
from recording_format.ivr_profile import CERTIFICATES, GENERAL, SERVICE_PARAMETERS, IvrProfile
from recording_format.names import FileNameTemplate
from recording_processor.errors import BadParameter

MAXIMUM_DBID = 2**31 - 1
_MAXIMUM_NAME = 255
_MAXIMUM_OPTIONS = 1000
_FIXED = "fixed,"
_CLIENT = "recordingclient."
_PROCESSOR = "recordingclient.rp."
_CONFIG = "recordingclient.gvp.config."
_CERTIFICATE = re.compile(r"certificates-[1-9][0-9]{0,5}")
_WORD = re.compile(r"[a-z][a-z0-9-]{0,31}")
_SERVICES = {
    *("announcement", "ccxml", "conference", "cpd", "gateway", "media", "msml", "record"),
    *("treatment", "voicexml"),
}
_BOOLEANS = frozenset(("true", "yes", "1", "false", "no", "0"))

#: Says what is wrong with a value, or None.
Check = Callable[[str], str | None]


class Note(msgspec.Struct, frozen=True):
    """An option that is kept, although nothing here will read it."""

    section: str
    option: str
    note: str


def is_plain_url(url: str) -> bool:
    """Return whether `url` is http or https, with a host, and without a password."""
    try:
        parts = urlsplit(url)
        return (
            url.isprintable()
            and " " not in url
            and parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and "@" not in parts.netloc
        )
    except ValueError:
        return False


def _url(value: str) -> str | None:
    good = is_plain_url(value)
    return None if good else "it is not an http or https URL without a password in it"


def _credentials(value: str) -> str | None:
    return None if ":" in value else "it is not of the form user:password"


def _one_of(*allowed: str) -> Check:
    sentence = f"it is not one of {', '.join(allowed)}"
    return lambda value: None if value in allowed else sentence


def _boolean(value: str) -> str | None:
    return None if value.lower() in _BOOLEANS else "it is not true or false"


def _bits(value: str) -> str | None:
    good = re.fullmatch(r"[0-9]{3,5}", value) and 1024 <= int(value) <= 16384
    return None if good else "it is not a number of bits from 1024 to 16384"


def _seconds(value: str) -> str | None:
    good = re.fullmatch(r"[0-9]{1,5}", value) and int(value) <= 86400
    return None if good else "it is not a number of seconds from 0 to 86400"


def _template(value: str) -> str | None:
    if len(value) > _MAXIMUM_NAME:
        return f"it is longer than {_MAXIMUM_NAME} characters"
    try:
        FileNameTemplate.parse(value)
    except FileNameError as error:
        return str(error)
    return None


def _tone(value: str) -> str | None:
    """A URL, or the name of a file of the platform."""
    if "://" not in value or value.startswith("file://"):
        return None
    return _url(value)


def _anything(_value: str) -> str | None:
    return None


_SERVICE_PARAMETERS: Mapping[str, Check] = {
    "recordingclient.recdest": _url,
    "recordingclient.recdest2": _url,
    "recordingclient.httpauthorization": _credentials,
    "recordingclient.httpauthorization2": _credentials,
    "recordingclient.callrec_dest": _url,
    "recordingclient.callrec_authorization": _credentials,
    "recordingclient.type": _one_of("audio/wav", "audio/mp3"),
    "recordingclient.AlertTone": _tone,
    "recordingclient.filename": _template,
    "recordingclient.rp.speechminer_uri": _url,
    "recordingclient.rp.speechminer_auth": _credentials,
    "lab.unencrypted": _boolean,
    "lab.skip-unusable": _boolean,
    "lab.trust-self-signed": _boolean,
}
# What a profile can override: the platform's sections and the options of each.
_OVERRIDES: Mapping[str, Mapping[str, Check]] = {
    "mpc": {
        "mediamgr.CA_file": _anything,
        "record.channels": _one_of("stereo", "mono"),
        "recordingclient.filename": _template,
        "lab.cipher": _one_of("aes-256-cbc", "aes-128-cbc"),
        "lab.minimum-key-bits": _bits,
        "lab.allow-sha1": _boolean,
        "lab.rtp-timeout": _seconds,
    },
}


def check_profile(profile: IvrProfile) -> None:
    """Raise `BadParameter` when the profile cannot be what it says, naming the first fault."""
    for path, dbid in (("dbid", profile.dbid), ("tenant.dbid", profile.tenant.dbid)):
        if not 1 <= dbid <= MAXIMUM_DBID:
            raise BadParameter(f"{path}: it is not from 1 to {MAXIMUM_DBID}")
    for path, name in (("name", profile.name), ("tenant.name", profile.tenant.name)):
        if not name.strip() or len(name) > _MAXIMUM_NAME:
            raise BadParameter(f"{path}: it is empty or longer than {_MAXIMUM_NAME} characters")
        if not name.isprintable():
            raise BadParameter(f"{path}: it holds a control character")
    if sum(map(len, profile.sections.values())) + len(profile.sections) > _MAXIMUM_OPTIONS:
        raise BadParameter(f"sections: there are more than {_MAXIMUM_OPTIONS} sections and options")
    for section, option, fault in _faults(profile):
        path = ".".join(part for part in ("sections", section, option) if part)
        raise BadParameter(f"{path}: {fault}")


def notes(profile: IvrProfile) -> list[Note]:
    """Return the options that this platform does not know, each by its name."""
    found = []
    service = profile.option(GENERAL, "service-type")
    if service and service not in _SERVICES:
        sentence = "it is no service type that this platform knows"
        found.append(Note(GENERAL, "service-type", sentence))
    for option in profile.sections.get(SERVICE_PARAMETERS, {}):
        if option.startswith(_CLIENT) and _check_of(option) is None:
            found.append(Note(SERVICE_PARAMETERS, option, _unknown(option)))
    return found


def _faults(profile: IvrProfile) -> Iterator[tuple[str, str, str]]:
    for section, options in profile.sections.items():
        if not _is_name(section):
            yield section[:64], "", "it is not the name of a section"
        for option, value in options.items():
            if not _is_name(option):
                yield section, option[:64], "it is not the name of an option"
            fault = _key_fault(value) or _fault(section, option, value)
            if fault is not None:
                yield section, option, fault


def _key_fault(value: str) -> str | None:
    """A private key is nobody's business here: a certificate's file often holds one too."""
    return "it holds a private key" if "PRIVATE KEY-----" in value else None


def _fault(section: str, option: str, value: str) -> str | None:
    if section == CERTIFICATES:
        good = _CERTIFICATE.fullmatch(option)
        return None if good else "it is not named certificates-n with n from 1 on"
    if section == GENERAL:
        return _general_fault(option, value)
    if section == SERVICE_PARAMETERS:
        return _service_fault(option, value)
    return None


def _general_fault(option: str, value: str) -> str | None:
    if option == "service-type" and not _WORD.fullmatch(value):
        return "it is not the name of a service, such as record"
    if option == "geo-location" and (len(value) > _MAXIMUM_NAME or not value.isprintable()):
        return f"it holds a control character or is longer than {_MAXIMUM_NAME} characters"
    return None


def _service_fault(option: str, value: str) -> str | None:
    check = _check_of(option)
    if check is None:
        return None
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
        return "it holds a control character"
    if not value.startswith(_FIXED):
        return "it does not begin with fixed,"
    text = value.removeprefix(_FIXED).strip()
    # An option without a value is as good as none.
    return check(text) if text else None


def _check_of(option: str) -> Check | None:
    """Return what a service parameter is checked by, or None for an unknown one."""
    if option in _SERVICE_PARAMETERS:
        return _SERVICE_PARAMETERS[option]
    if option.startswith(_PROCESSOR):
        return _anything
    section, _, name = option.removeprefix(_CONFIG).partition(".")
    return _OVERRIDES.get(section, {}).get(name) if option.startswith(_CONFIG) else None


def _unknown(option: str) -> str:
    if option.startswith(_CONFIG):
        return "it overrides an option that this platform does not have"
    known = {name.lower(): name for name in _SERVICE_PARAMETERS}
    meant = known.get(option.lower())
    return f"this platform does not know it; {meant} is known" if meant else "it is unknown here"


def _is_name(text: str) -> bool:
    return 0 < len(text) <= _MAXIMUM_NAME and text.isprintable() and text.strip() == text

"""One media file's metadata, with the names and quirks of the vendor's JSON.

Numbers are text, letter case differs by release, unknown keys are kept. Some parameters are
passwords in clear: repr shows none, and `public_parameters` leaves them out.
"""

from __future__ import annotations

import re
from datetime import datetime

import msgspec

from .errors import MetadataError
from .json_object import JsonObject, number_as_text, with_rest
from .lab import Lab
from .timestamps import DurationUnit, parse_duration, parse_time

MAX_PKCS7 = 1024 * 1024
MAX_PARAMETERS = 500
MAX_MASKS = 10_000
MAX_NAME = 255
_UNSAFE_NAME = re.compile(r"[\x00-\x1f\x7f/\\]")
_SECRET = re.compile(r"rp\..*auth|authorization|[._]auth$|passw|secret", re.IGNORECASE)


class MediaDescriptor(msgspec.Struct, frozen=True, kw_only=True):
    """Where the stored object lies: `path` is its URL."""

    path: str
    storage: str = "webDAV"
    data: dict[str, object] = {}
    other: dict[str, object] = {}

    def __repr__(self) -> str:
        # A URL can hold a password, and so can what is unknown.
        return f"<MediaDescriptor {self.storage}>"

    @classmethod
    def read(cls, source: JsonObject) -> MediaDescriptor:
        """Read ``mediaDescriptor``; `MetadataError` names the key."""
        storage = source.text("storage", "webDAV")
        path = source.text("path")
        data = source.take("data")
        if data is None:
            data = {}
        if not isinstance(data, dict):
            raise source.fault("data", "is not an object")
        return cls(path=path, storage=storage, data=data, other=source.rest())

    def to_wire(self) -> dict[str, object]:
        """Return the JSON object."""
        known: dict[str, object] = {"storage": self.storage, "path": self.path, "data": self.data}
        return with_rest(known, self.other)


class Mask(msgspec.Struct, frozen=True, kw_only=True):
    """A moment at which recording was ``paused`` or went on again (``resume``)."""

    time: str
    type: str
    other: dict[str, object] = {}

    @classmethod
    def read(cls, source: JsonObject) -> Mask:
        """Read one entry of ``masks``; `MetadataError` names the key."""
        return cls(time=_time(source, "time"), type=source.text("type"), other=source.rest())

    def to_wire(self) -> dict[str, object]:
        """Return the JSON object."""
        return with_rest({"time": self.time, "type": self.type}, self.other)


class MediaFile(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One entry of ``mediaFiles``.

    `size` (bytes of the plaintext) and `duration` are numbers in text. `odd_parameters` are those
    whose values are neither text nor numbers. `other` are the unknown keys.
    """

    media_descriptor: MediaDescriptor
    start_time: str
    stop_time: str
    media_id: str
    type: str
    duration: str
    size: str
    tenant: str
    ivrprofile: str = ""
    parameters: dict[str, str]
    masks: list[Mask] = []
    pkcs7: str | None = None
    cert_alias: list[str] = []
    lab: Lab | None = None
    odd_parameters: dict[str, object] = {}
    other: dict[str, object] = {}

    def __repr__(self) -> str:
        return f"<MediaFile {self.media_id}>"

    @property
    def recording_id(self) -> str:
        """The recording that the file belongs to: ``parameters.id``."""
        return self.parameter("id") or ""

    @property
    def encrypted(self) -> bool:
        """Whether the stored object is a ciphertext."""
        return bool(self.pkcs7)

    @property
    def started(self) -> datetime:
        """`start_time` as an aware time."""
        return parse_time(self.start_time)

    @property
    def stopped(self) -> datetime:
        """`stop_time` as an aware time."""
        return parse_time(self.stop_time)

    @property
    def size_bytes(self) -> int:
        """The plaintext's length."""
        return int(self.size)

    def parameter(self, name: str) -> str | None:
        """Return a parameter whatever its letter case (``recordDN``, ``recorddn``), or None."""
        if name in self.parameters:
            return self.parameters[name]
        folded = name.lower()
        return next((v for key, v in self.parameters.items() if key.lower() == folded), None)

    @property
    def public_parameters(self) -> dict[str, str]:
        """The parameters without passwords."""
        return {k: v for k, v in self.parameters.items() if not is_secret_parameter(k)}

    def duration_ms(self, unit: DurationUnit | None = None) -> int:
        """Return the duration in milliseconds.

        Without `unit`, a fraction means seconds; else it is the unit that comes closer to the time
        between start and stop.
        """
        if unit is not None:
            return parse_duration(self.duration, unit)
        if self.duration.partition(".")[2].strip("0"):
            return parse_duration(self.duration, DurationUnit.SECONDS)
        span = (self.stopped - self.started).total_seconds() * 1000
        readings = [parse_duration(self.duration, unit) for unit in DurationUnit]
        return min(readings, key=lambda reading: abs(reading - span))

    def to_wire(self) -> dict[str, object]:
        """Return the JSON object, unknown keys included."""
        known: dict[str, object] = {
            "mediaDescriptor": self.media_descriptor.to_wire(),
            "startTime": self.start_time,
            "stopTime": self.stop_time,
            "mediaId": self.media_id,
            "type": self.type,
            "duration": self.duration,
            "size": self.size,
            "tenant": self.tenant,
            "ivrprofile": self.ivrprofile,
            "parameters": with_rest(dict(self.parameters), self.odd_parameters),
            "masks": [mask.to_wire() for mask in self.masks],
        }
        if self.pkcs7 is not None:
            known["pkcs7"] = self.pkcs7
        # Aliases without an envelope make no sense, but nothing that came may be lost.
        if self.pkcs7 is not None or self.cert_alias:
            known["certAlias"] = list(self.cert_alias)
        if self.lab is not None:
            known["lab"] = self.lab.to_wire()
        return with_rest(known, self.other)


def read_media_file(source: JsonObject) -> MediaFile:
    """Read one media file; `MetadataError` names the first key that is missing or wrong."""
    descriptor = MediaDescriptor.read(_object(source, "mediaDescriptor"))
    start_time, stop_time = _time(source, "startTime"), _time(source, "stopTime")
    media_id = _name(source, "mediaId")
    kind = source.text("type")
    duration = _duration(source)
    size = str(source.number("size"))
    tenant = source.text("tenant")
    ivrprofile = source.text("ivrprofile", "")
    parameters, odd = _parameters(_object(source, "parameters"))
    masks = [Mask.read(mask) for mask in source.objects("masks", limit=MAX_MASKS)]
    pkcs7 = source.take("pkcs7")
    if pkcs7 is not None and not isinstance(pkcs7, str):
        raise source.fault("pkcs7", "is not text")
    if pkcs7 is not None and len(pkcs7) > MAX_PKCS7:
        raise source.fault("pkcs7", f"is longer than {MAX_PKCS7} characters")
    aliases = source.texts("certAlias")
    lab = source.take("lab")
    return MediaFile(
        media_descriptor=descriptor,
        start_time=start_time,
        stop_time=stop_time,
        media_id=media_id,
        type=kind,
        duration=duration,
        size=size,
        tenant=tenant,
        ivrprofile=ivrprofile,
        parameters=parameters,
        masks=masks,
        pkcs7=pkcs7,
        cert_alias=aliases,
        lab=None if lab is None else Lab.read(JsonObject(lab, source.path("lab"))),
        odd_parameters=odd,
        other=source.rest(),
    )


def is_secret_parameter(name: str) -> bool:
    """Return whether a parameter's value is a password (``rp.speechminer_auth`` and its kin)."""
    return _SECRET.search(name) is not None


def _object(source: JsonObject, name: str) -> JsonObject:
    return JsonObject(source.required(name), source.path(name))


def _time(source: JsonObject, name: str) -> str:
    text = source.text(name, limit=64)
    try:
        parse_time(text)
    except ValueError:
        raise source.fault(name, "is not a time with its zone") from None
    return text


def _name(source: JsonObject, name: str) -> str:
    text = source.text(name)
    if len(text.encode()) > MAX_NAME:
        raise source.fault(name, f"is longer than {MAX_NAME} bytes")
    if _UNSAFE_NAME.search(text) or text in (".", ".."):
        raise source.fault(name, "has characters that a name cannot have")
    return text


def _duration(source: JsonObject) -> str:
    text = source.text("duration", limit=32)
    try:
        parse_duration(text, DurationUnit.MS)
    except ValueError:
        raise source.fault("duration", "is not a number of milliseconds or seconds") from None
    return text


def _parameters(source: JsonObject) -> tuple[dict[str, str], dict[str, object]]:
    identity = source.path("id")
    recording_id = _name(source, "id")
    parameters, odd = {"id": recording_id}, {}
    rest = source.rest()
    if len(rest) >= MAX_PARAMETERS:
        raise MetadataError(identity.removesuffix(".id"), f"has over {MAX_PARAMETERS} entries")
    for name, value in rest.items():
        text = number_as_text(value)
        if text is None:
            odd[name] = value
        else:
            parameters[name] = text
    return parameters, odd

"""The list of recordings as people see it: values made readable, and the page around them.

Pure: recordings in, HTML text out. Times are UTC, as the catalogue keeps them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any, Literal

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined

from recording_processor.answers import play_path
from recording_processor.catalogue.conflicts import MediaConflict
from recording_processor.dates import vendor_date
from recording_processor.recording import MediaFile, Recording

_environment = Environment(
    loader=PackageLoader("recording_processor.console", "."),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ASSETS: Mapping[str, str] = {
    "console.css": "text/css",
    "console.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}

_SUBJECTS: Mapping[str, str] = {
    "sha-256": "another sound (SHA-256 of the ciphertext)",
    "metadata": "other metadata (its SHA-256)",
    "recording": "another recording has this media id",
    "tenant": "the recording is another tenant's",
}


class Mark(msgspec.Struct, frozen=True):
    """A small sign beside a media file; `meaning` is the sentence behind it."""

    text: str
    tone: Literal["good", "warn", "plain"]
    meaning: str


class Sound(msgspec.Struct, frozen=True):
    """One media file: where it is played, what it is, and for whom it is encrypted."""

    source: str
    label: str
    aliases: tuple[str, ...]
    marks: tuple[Mark, ...]


class Entry(msgspec.Struct, frozen=True):
    """One recording of the list."""

    id: str
    day: str
    time: str
    machine_time: str
    duration: str
    caller: str
    dialed: str
    users: tuple[str, ...]
    tenant: str
    profiles: tuple[str, ...]
    sounds: tuple[Sound, ...]


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the page shows. `newer` and `older` are links, None at the list's ends."""

    entries: tuple[Entry, ...]
    criteria: Mapping[str, str]
    newer: str | None
    older: str | None
    fault: str | None
    domain: str
    region: str
    person: str
    roles: tuple[str, ...]
    may_listen: bool
    can_play: bool
    conflicts: int = 0
    failed_onward: int = 0


class ConflictView(msgspec.Struct, frozen=True, kw_only=True):
    """What the page of conflicts shows; `path` is the API's, where each has its number."""

    conflicts: tuple[ConflictLine, ...]
    path: str
    domain: str
    region: str
    person: str
    roles: tuple[str, ...]


class ConflictLine(msgspec.Struct, frozen=True):
    """One refused post and what the catalogue has instead."""

    number: int
    recording_id: str
    media_id: str
    tenant: str
    subject: str
    filed: str
    posted: str
    times: int
    last: str


def render(view: View) -> str:
    """Return the page's HTML."""
    return _environment.get_template("page.html").render(view=view)


def render_conflicts(view: ConflictView) -> str:
    """Return the HTML of the page of conflicts."""
    return _environment.get_template("conflicts.html").render(view=view)


def conflict_line(conflict: MediaConflict) -> ConflictLine:
    """Return a conflict as a line of its page."""
    iso = vendor_date(conflict.last_at)
    return ConflictLine(
        number=conflict.number,
        recording_id=conflict.recording_id,
        media_id=conflict.media_id,
        tenant=conflict.tenant,
        subject=_SUBJECTS[conflict.subject],
        filed=conflict.filed,
        posted=conflict.posted,
        times=conflict.times,
        last=f"{iso[:10]} {iso[11:19]}",
    )


def asset(name: str) -> bytes:
    """Return one of `ASSETS`."""
    return files("recording_processor.console").joinpath(name).read_bytes()


def entry(recording: Recording) -> Entry:
    """Return a recording as a line of the list."""
    iso = vendor_date(recording.started_at)
    parties = recording.participations
    users = dict.fromkeys(party.user_name for party in parties if party.user_name)
    profiles = dict.fromkeys(media.ivr_profile for media in recording.media_files)
    return Entry(
        id=recording.id,
        day=iso[:10],
        time=iso[11:19],
        machine_time=f"{iso[:-5]}Z",
        duration=readable_duration(recording.stopped_at - recording.started_at),
        caller=recording.caller or "unknown",
        dialed=recording.dialed or "unknown",
        users=tuple(users),
        tenant=recording.tenant,
        profiles=tuple(profiles),
        sounds=tuple(_sound(recording, media) for media in recording.media_files),
    )


def readable_duration(milliseconds: int) -> str:
    """Return ``0:12.5``, ``3:00`` or ``1:02:03``: tenths only under a minute."""
    tenths = (milliseconds + 50) // 100
    if tenths < 600:
        return f"0:{tenths // 10:02d}.{tenths % 10}"
    hours, rest = divmod((milliseconds + 500) // 1000, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def _sound(recording: Recording, media: MediaFile) -> Sound:
    kind = media.type.removeprefix("audio/").upper()
    offset = media.started_at - recording.started_at
    return Sound(
        source=f"/console{play_path(recording.id, media.play_name)}",
        label=kind if offset == 0 else f"{kind}, from {readable_duration(offset)}",
        aliases=tuple(media.document.get("certAlias", ())) if media.encrypted else (),
        marks=tuple(_marks(media)),
    )


def _marks(media: MediaFile) -> Iterator[Mark]:
    lab: dict[str, Any] | None = media.document.get("lab")
    if not media.encrypted:
        yield Mark("not encrypted", "warn", "The stored sound can be heard without a key.")
    elif lab and lab.get("mac"):
        meaning = "Its authentication code and digests are checked before a byte is played."
        yield Mark("verified on playback", "good", meaning)
    else:
        yield Mark("unverified", "warn", "It came without digests: nobody can tell a change.")
    yield from _flaws(lab or {})


def _flaws(lab: Mapping[str, Any]) -> Iterator[Mark]:
    if lab.get("recovered"):
        yield Mark("recovered", "warn", "The recorder was killed during the call and went on.")
    if skipped := lab.get("skippedCertificates"):
        yield Mark("certificate skipped", "warn", f"Left out: {', '.join(skipped)}.")
    if lost := sum(leg["lost"] for leg in lab.get("legs", ())):
        yield Mark(f"{lost} lost", "warn", "Packets that never arrived; silence stands for them.")
    if any(leg["pausedMs"] for leg in lab.get("legs", ())):
        yield Mark("paused", "plain", "A part was not recorded, on purpose.")

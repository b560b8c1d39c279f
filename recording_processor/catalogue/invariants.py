"""What must be true of a catalogue's rows beyond what SQLite enforces.

The metadata as it was posted (and re-wrapped) is what counts: every column that searches, playback
and re-wrapping go by must be what would be filed from it today.
"""

from __future__ import annotations

import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from recording_format.envelope import Envelope
from recording_format.errors import EnvelopeError, MetadataError
from recording_format.metadata import decode_media_file
from recording_processor.intake import filed_media
from recording_processor.recording import FiledMedia

Row = sqlite3.Row
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SERIAL = re.compile(r"[0-9]{1,60}")


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong: what kind, where, and a sentence without its subject."""

    kind: str
    where: str
    problem: str


class Rows(NamedTuple):
    """What belongs to some recordings: media files by recording, the others by media file."""

    media_files: Mapping[int, list[Row]]
    parameters: Mapping[int, list[Row]]
    recipients: Mapping[int, list[Row]]
    parties: Mapping[int, list[Row]]


def rows_of(connection: sqlite3.Connection, recordings: Sequence[int]) -> Rows:
    """Read what belongs to the recordings."""
    media = _grouped(connection, "media_files", "recording", recordings, "number")
    files = [row["number"] for found in media.values() for row in found]
    parties: dict[int, list[Row]] = defaultdict(list)
    # By recording, because that is what has an index.
    for stays in _grouped(connection, "participations", "recording", recordings, "number").values():
        for row in stays:
            parties[row["media_file"]].append(row)
    return Rows(
        media,
        _grouped(connection, "media_parameters", "media_file", files, "name"),
        _grouped(connection, "media_recipients", "media_file", files, "position"),
        parties,
    )


def _grouped(
    connection: sqlite3.Connection, table: str, key: str, values: Sequence[int], order: str
) -> Mapping[int, list[Row]]:
    found: dict[int, list[Row]] = defaultdict(list)
    for start in range(0, len(values), 500):
        some = values[start : start + 500]
        marks = ", ".join("?" * len(some))
        # The names are ours, from the calls above.
        sql = f"SELECT * FROM {table} WHERE {key} IN ({marks}) ORDER BY {key}, {order}"  # noqa: S608
        for row in connection.execute(sql, some):
            found[row[key]].append(row)
    return found


def recording_findings(recording: Row, rows: Rows) -> Iterator[Finding]:
    """Yield what is wrong with a recording and its media files."""
    where = f"recording {recording['id']}"
    files = rows.media_files.get(recording["number"], [])
    if not files:
        yield Finding("recording", where, "it has no media file")
        return
    span = min(row["started_at"] for row in files), max(row["stopped_at"] for row in files)
    if span != (recording["started_at"], recording["stopped_at"]):
        yield Finding("search", where, "it does not span its media files")
    for name in ("caller", "dialed"):
        number, backwards = recording[name], recording[f"{name}_reversed"]
        if (number and number[::-1]) != backwards:
            yield Finding("search", where, f"{name}_reversed is not {name} backwards")
    for row in files:
        for kind, problem in _media_problems(recording, row, rows):
            yield Finding(kind, f"{where}, media file {row['media_id']}", problem)


def _media_problems(recording: Row, row: Row, rows: Rows) -> Iterator[tuple[str, str]]:
    if row["contact_center"] != recording["contact_center"]:
        yield "link", "it is of another contact centre than its recording"
    for name in ("sha256", "fingerprint"):
        digest = row[name]
        if not (digest is None and name == "sha256") and not _is_digest(digest):
            yield "digest", f"{name} is not a SHA-256 in lower-case hex"
    suffix = ".bin" if row["encrypted"] else ""
    if not re.fullmatch(rf"{re.escape(row['play_id'])}\.[a-z0-9]{{1,8}}{suffix}", row["play_name"]):
        yield "search", "its play name is not made of its play id"
    try:
        media = filed_media(decode_media_file(str(row["document"]).encode()))
    except MetadataError as error:
        yield "metadata", f"its metadata cannot be read: {error}"
        return
    if media.document["parameters"]["id"] != recording["id"]:
        yield "metadata", "its metadata names another recording"
    if media.document["tenant"] != recording["tenant"]:
        yield "metadata", "its metadata names another tenant than the recording has"
    yield from _column_problems(media, row, rows)
    if media.encrypted:
        yield from _envelope_problems(media)


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _column_problems(media: FiledMedia, row: Row, rows: Rows) -> Iterator[tuple[str, str]]:
    number = row["number"]
    names = ("media_id", "type", "storage_path", "ivr_profile", "started_at", "stopped_at")
    for name in (*names, "sha256"):
        if getattr(media, name) != row[name]:
            yield "search", f"{name} is not what its metadata says"
    if media.encrypted != bool(row["encrypted"]):
        yield "search", "encrypted is not what its metadata says"
    parameters = {each["name"]: each["value"] for each in rows.parameters.get(number, [])}
    if parameters != media.parameters:
        yield "search", "its parameters are not those of its metadata"
    recipients = [(each["position"], each["alias"]) for each in rows.recipients.get(number, [])]
    if recipients != list(enumerate(media.recipients)):
        yield "recipients", "its recipients are not those of its metadata"
    parties = [_party(each) for each in rows.parties.get(number, [])]
    wanted = [msgspec.structs.asdict(each) for each in media.participations]
    if parties != wanted:
        yield "search", "its parties are not those of its metadata"


def _party(row: Row) -> dict[str, Any]:
    return {name: row[name] for name in row.keys() if name not in _LINKS}  # noqa: SIM118 - a Row


_LINKS = ("number", "recording", "media_file")


def _envelope_problems(media: FiledMedia) -> Iterator[tuple[str, str]]:
    try:
        envelope = Envelope.from_pem(media.document["pkcs7"])
    except EnvelopeError as error:
        yield "envelope", f"its envelope cannot be read: {error}"
        return
    count = len(envelope.recipients) + len(envelope.foreign)
    if count != len(media.recipients):
        yield (
            "recipients",
            f"its envelope has {count} recipients, and {len(media.recipients)} are named",
        )
        return
    ends = [alias.rpartition(":")[2] for alias in media.recipients]
    named = {int(end) for end in ends if _SERIAL.fullmatch(end)}
    if len(named) == len(ends) and not {each.serial for each in envelope.recipients} <= named:
        yield "recipients", "its envelope is for other certificates than are named"


def profile_findings(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Yield what is wrong with the profiles and their versions."""
    present = (
        "SELECT p.dbid, v.dbid AS other FROM profiles p JOIN profile_versions v USING (version)"
    )
    for row in connection.execute(present):
        if row["dbid"] != row["other"]:
            yield Finding("profile", f"profile {row['dbid']}", "its version is another profile's")
    for row in connection.execute("SELECT version, sections FROM profile_versions"):
        try:
            msgspec.json.decode(row["sections"], type=dict[str, dict[str, str]])
        except msgspec.MsgspecError:
            yield Finding("profile", f"version {row['version']}", "its options cannot be read")


def outbox_findings(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Yield what is wrong with the posts that wait to go onward."""
    for row in connection.execute("SELECT number, recording, media_files FROM onward_posts"):
        where = f"onward post {row['number']}"
        try:
            files = msgspec.json.decode(row["media_files"], type=list[int])
        except msgspec.MsgspecError:
            yield Finding("onward", where, "its list of media files cannot be read")
            continue
        marks = ", ".join("?" * len(files))
        sql = f"SELECT count(*) FROM media_files WHERE recording = ? AND number IN ({marks})"  # noqa: S608 - marks only
        found = connection.execute(sql, (row["recording"], *files)).fetchone()[0]
        if not files or found != len(files):
            yield Finding("onward", where, "its media files are not those of its recording")

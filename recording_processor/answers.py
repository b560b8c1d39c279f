"""A recording as the reader's JSON: the fields that were posted, and those that the index gives.

Passwords that came with the metadata (`rp.speechminer_auth` and its kin) stay here, wherever in it
they stood.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from recording_format.metadata import is_secret_parameter
from recording_format.timestamps import parse_time
from recording_processor.dates import instant_of, vendor_date
from recording_processor.parties import event_history
from recording_processor.recording import Document, MediaFile, Recording


def recording_answer(recording: Recording, *, region: str, base_url: str) -> dict[str, Any]:
    """Return ``recording`` of an answer; `base_url` is the address of this processor."""
    files = [_media_answer(recording.id, media, base_url) for media in recording.media_files]
    parties = {
        "callerPhoneNumber": recording.caller,
        "dialedPhoneNumber": recording.dialed,
    }
    return {
        "id": recording.id,
        **{name: number for name, number in parties.items() if number is not None},
        "startTime": vendor_date(recording.started_at),
        "stopTime": vendor_date(recording.stopped_at),
        "callType": recording.call_type,
        "region": region,
        "mediaFiles": files,
        "eventHistory": event_history(recording.participations),
    }


def play_path(recording_id: str, play_name: str) -> str:
    """Return the path of a media file, below the API's or RCS's own root."""
    return f"/recordings/{quote(recording_id, safe='')}/play/{play_name}"


def _media_answer(recording_id: str, media: MediaFile, base_url: str) -> Document:
    document = _without_secrets(media.document)
    path = play_path(recording_id, media.play_name)
    document["masks"] = [mask | {"time": _date(mask["time"])} for mask in document["masks"]]
    return document | {
        "callUUID": media.document["parameters"].get("callUuid", recording_id),
        "startTime": vendor_date(media.started_at),
        "stopTime": _date(document["stopTime"]),
        "mediaUri": f"{base_url}/api/v2{path}",
        "mediaPath": path,
        "playPath": path,
        "originalMediaDescriptor": document["mediaDescriptor"],
        "partitions": document.get("partitions", []),
        "accessgroups": document.get("accessgroups", []),
    }


def _without_secrets(document: Document) -> Document:
    return {
        name: _of_value(value) for name, value in document.items() if not is_secret_parameter(name)
    }


def _of_value(value: object) -> object:
    if isinstance(value, dict):
        return _without_secrets(value)
    return [_of_value(item) for item in value] if isinstance(value, list) else value


def _date(text: str) -> str:
    return vendor_date(instant_of(parse_time(text)))

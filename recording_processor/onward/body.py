"""A filed post as the recording web services take it (wire-formats §6). Pure.

Values named ``rp.…`` are for a recording processor, and some are passwords: none goes onward.
"""

from __future__ import annotations

import msgspec

from recording_format.metadata import is_secret_parameter
from recording_processor.parties import event_history
from recording_processor.recording import MediaFile, Recording

_OWN = "rp."


def onward_body(recording: Recording, *, ccid: str, region: str) -> bytes:
    """Return the JSON for the media files and parties that `recording` has."""
    numbers = {
        "callerPhoneNumber": recording.caller,
        "dialedPhoneNumber": recording.dialed,
    }
    return msgspec.json.encode(
        {
            "id": recording.id,
            "ccid": ccid,
            "region": region,
            **{name: number for name, number in numbers.items() if number is not None},
            "eventHistory": event_history(recording.participations),
            "mediaFiles": [_media_file(recording.id, media) for media in recording.media_files],
        }
    )


def _media_file(recording_id: str, media: MediaFile) -> dict[str, object]:
    document = _for_others(media.document)
    return {
        "callUUID": media.document["parameters"].get("callUuid", recording_id),
        "partitions": [],
        "accessgroups": [],
        **document,
    }


def _for_others(document: dict[str, object]) -> dict[str, object]:
    return {name: _of(value) for name, value in document.items() if _may_go(name)}


def _of(value: object) -> object:
    if isinstance(value, dict):
        return _for_others(value)
    return [_of(item) for item in value] if isinstance(value, list) else value


def _may_go(name: str) -> bool:
    return not name.lower().startswith(_OWN) and not is_secret_parameter(name)

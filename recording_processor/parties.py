"""Who took part in a call, as far as a media file's parameters tell, and the events of it.

The caller is known by its number, the agent by its name. Each is taken to have been there for as
long as the media file lasts; nothing is invented where the metadata says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from recording_format.media_file import MediaFile
from recording_processor.dates import instant_of, vendor_date
from recording_processor.recording import Participation


def participations_of(media: MediaFile) -> Iterator[Participation]:
    """Return the parties that `media` names: the caller (`ani`), the agent (`agentId`)."""
    started_at = instant_of(media.started)
    stopped_at = max(started_at, instant_of(media.stopped))
    call_uuid = media.parameter("callUuid") or media.recording_id
    caller, agent = media.parameter("ani"), media.parameter("agentId")
    if caller:
        yield Participation("External", None, caller, call_uuid, started_at, stopped_at)
    if agent:
        number = media.parameter("recordDN") or media.parameter("dn")
        yield Participation("User", agent, number, call_uuid, started_at, stopped_at)


def event_history(participations: Iterable[Participation]) -> list[dict[str, Any]]:
    """Return ``eventHistory``: who joined and who left, in the order of time."""
    events = [
        (instant, order, _event(party, instant, name))
        for party in participations
        for order, name, instant in ((0, "Joined", party.joined_at), (1, "Left", party.left_at))
    ]
    events.sort(key=lambda event: event[:2])
    return [event for _, _, event in events]


def _event(party: Participation, instant: int, name: str) -> dict[str, Any]:
    contact: dict[str, str] = {"type": party.contact_type}
    if party.user_name:
        contact["userName"] = party.user_name
    if party.phone_number:
        contact["phoneNumber"] = party.phone_number
    event = {"occurredAt": vendor_date(instant), "contact": contact, "event": name}
    return event | ({"calluuid": party.call_uuid} if party.call_uuid else {})

"""A rendered recording's names and its metadata, from the plan, the call's course and the seal.

Pure. Times are the wall clock at t0 plus what the monotonic clock measured since.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from mcp_sim.recording.plan import RecordingPlan
from mcp_sim.recording.render.seal import SealedFile
from mcp_sim.recording.timeline.outline import Outline
from recording_format.lab import Lab, LegReport
from recording_format.media_file import Mask, MediaDescriptor, MediaFile
from recording_format.names import EXTENSIONS, FileNameTemplate, media_id, stored_name
from recording_format.timestamps import DurationUnit, format_duration, format_time

_USER = re.compile(r"^(https?://)[^/@]*@", re.IGNORECASE)


def name_media(plan: RecordingPlan, call: Outline) -> str:
    """Return the media id. Raises `FileNameError` for a template that cannot be."""
    fields = {
        **call.parameters,
        "id": plan.recording_id,
        "MCPDateTime": format_time(call.moment(call.start_ns)),
    }
    template = FileNameTemplate.parse(plan.file_name_template)
    return media_id(template, fields, plan.serial, EXTENSIONS[plan.media_type])


def object_url(plan: RecordingPlan, media: str) -> str:
    """Return the URL under which the store shall hold the recording."""
    return _in_collection(plan, collection_url(plan), media)


def collection_url(plan: RecordingPlan) -> str:
    """Return the store's collection, without a slash at its end."""
    return _published(plan.storage_url)


def copy_urls(plan: RecordingPlan, media: str) -> tuple[str, str]:
    """Return the second store's collection, and the copy's URL there; empty where there is none."""
    collection = _published(plan.second_storage_url)
    return collection, _in_collection(plan, collection, media) if collection else ""


def _in_collection(plan: RecordingPlan, collection: str, media: str) -> str:
    name = stored_name(media) if plan.encrypted else media
    return f"{collection}/{quote(name, safe='')}"


def _published(url: str) -> str:
    """A user and password in a collection's URL are left out: it is published."""
    return _USER.sub(r"\1", url).rstrip("/")


def describe(
    plan: RecordingPlan,
    call: Outline,
    media: str,
    sealed: SealedFile,
    legs: list[LegReport],
    *,
    recovered: bool,
    unit: DurationUnit = DurationUnit.MS,
) -> MediaFile:
    """Return the metadata of the media file `media`."""
    return MediaFile(
        media_descriptor=MediaDescriptor(path=object_url(plan, media)),
        start_time=format_time(call.moment(call.start_ns)),
        stop_time=format_time(call.moment(call.end_ns)),
        media_id=media,
        type=plan.media_type,
        duration=format_duration(call.duration_ms, unit),
        size=str(sealed.plaintext_size),
        tenant=plan.tenant,
        ivrprofile=plan.profile,
        parameters=call.parameters | {"id": plan.recording_id},
        masks=_masks(call),
        pkcs7=sealed.envelope or None,
        cert_alias=list(plan.cert_aliases) if plan.encrypted else [],
        lab=Lab(
            size=sealed.digests.size,
            sha256=sealed.digests.sha256,
            chunks=list(sealed.digests.chunks),
            mac=sealed.mac,
            recovered=recovered,
            skipped_certificates=list(plan.skipped_certificates),
            copy_path=copy_urls(plan, media)[1],
            ended=call.reason,
            legs=legs,
        ),
    )


def _masks(call: Outline) -> list[Mask]:
    """A pause that nobody ended has no ``resume``."""
    masks = []
    for begin_ns, end_ns in call.pauses:
        masks.append(Mask(time=format_time(call.moment(begin_ns)), type="paused"))
        if end_ns < call.end_ns:
            masks.append(Mask(time=format_time(call.moment(end_ns)), type="resume"))
    return masks

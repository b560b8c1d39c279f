"""The addresses of a recording that waits, replaced by those that its profile names by now.

A recording keeps the addresses with which its call began. When these were wrong and somebody
corrected the profile, a person's retry lets it follow. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from mcp_sim.recording.delivery.route import origin_of
from mcp_sim.recording.spool.item import Part, Progress, SpoolItem
from mcp_sim.recording.spool.public_url import public_url
from recording_format.ivr_profile import IvrProfile
from recording_format.media_file import MediaFile
from recording_format.metadata import decode_metadata, encode_metadata

STORE, PROCESSOR, SECOND_STORE = "store", "processor", "second store"


class Replaced(msgspec.Struct, frozen=True):
    """An address that was replaced: `destination` is ``store``, ``processor``, ``second store``."""

    item: str
    destination: str
    before: str
    after: str


def arrived(progress: Mapping[Part, Progress]) -> set[str]:
    """Return the destinations that have what is theirs: their addresses stay."""
    there = set()
    for part, store in ((Part.RECORDING, STORE), (Part.COPY, SECOND_STORE)):
        known = progress.get(part, Progress())
        through = known.settled and not known.given_up
        if through or known.stored:
            there.add(store)
        if through and part is Part.RECORDING:
            there.add(PROCESSOR)
    return there


def readdress(
    name: str, item: SpoolItem, profile: IvrProfile | None, there: Collection[str]
) -> tuple[SpoolItem, list[Replaced]]:
    """Return the item `name` as `profile` addresses it, and what that replaced.

    Destinations that are `there` stay, and so does all where the profile is gone, or names no HTTP
    address. Raises `MetadataError` where the item's metadata cannot be read.
    """
    replaced = replaced_addresses(name, item, profile, there)
    for one in replaced:
        if one.destination == PROCESSOR:
            item = msgspec.structs.replace(item, processor_url=one.after)
        else:
            item = _moved(item, one.destination, one.after)
    return item, replaced


def replaced_addresses(
    name: str, item: SpoolItem, profile: IvrProfile | None, there: Collection[str]
) -> list[Replaced]:
    """Return the addresses that `readdress` would replace."""
    if profile is None:
        return []
    addresses = (
        (STORE, item.storage_url, _usable(profile.storage).rstrip("/")),
        (PROCESSOR, item.processor_url, _usable(profile.processor)),
        (SECOND_STORE, item.copy_storage_url, _usable(profile.second_storage).rstrip("/")),
    )
    return [
        Replaced(name, destination, before, after)
        for destination, before, after in addresses
        if before and after and before != after and destination not in there
    ]


def _usable(url: str | None) -> str:
    return public_url(url) if url and origin_of(public_url(url)) else ""


def _moved(item: SpoolItem, store: str, collection: str) -> SpoolItem:
    """Return the item for another collection; the metadata tell where the object lies, too."""
    name = item.object_url.rpartition("/")[2]
    url = f"{collection}/{name}"
    metadata = decode_metadata(bytes(item.metadata))
    files = [_media_at(media, store, url) for media in metadata.media_files]
    body = msgspec.Raw(encode_metadata(msgspec.structs.replace(metadata, media_files=files)))
    if store == STORE:
        return msgspec.structs.replace(item, storage_url=collection, object_url=url, metadata=body)
    return msgspec.structs.replace(item, copy_storage_url=collection, copy_url=url, metadata=body)


def _media_at(media: MediaFile, store: str, url: str) -> MediaFile:
    if store == STORE:
        descriptor = msgspec.structs.replace(media.media_descriptor, path=url)
        return msgspec.structs.replace(media, media_descriptor=descriptor)
    if media.lab is None:
        return media
    return msgspec.structs.replace(media, lab=msgspec.structs.replace(media.lab, copy_path=url))

"""The ``lab`` object of a media file: what this lab adds to the metadata.

Digests and mac of the ciphertext, and the truth about each leg. A recording of a real media server
has no ``lab``, and is then called unverified.
"""

from __future__ import annotations

import msgspec

from .digests import CiphertextDigests
from .json_object import JsonObject, with_rest

#: Chunks of 1 MiB that a file may have: 64 GiB.
MAX_CHUNKS = 65536
MAX_LEGS = 1000


class LegReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What became of one leg: packets by fate, and times in milliseconds.

    `channel` is ``left`` or ``right``. `silent_ms` is silence that the sender announced (DTX),
    `paused_ms` what was not recorded on purpose, `offset_ms` where the leg's first sample lies on
    the call's clock.
    """

    label: str
    channel: str
    codec: str
    packets: int
    lost: int
    late: int
    duplicate: int
    silent_ms: int
    paused_ms: int
    offset_ms: int
    other: dict[str, object] = {}

    @classmethod
    def read(cls, source: JsonObject) -> LegReport:
        """Read one entry of ``lab.legs``; `MetadataError` names the key."""
        return cls(
            label=source.text("label", ""),
            channel=source.text("channel", ""),
            codec=source.text("codec", ""),
            packets=source.number("packets", 0),
            lost=source.number("lost", 0),
            late=source.number("late", 0),
            duplicate=source.number("duplicate", 0),
            silent_ms=source.number("silentMs", 0),
            paused_ms=source.number("pausedMs", 0),
            offset_ms=source.number("offsetMs", 0),
            other=source.rest(),
        )

    def to_wire(self) -> dict[str, object]:
        """Return the JSON object."""
        known: dict[str, object] = {
            "label": self.label,
            "channel": self.channel,
            "codec": self.codec,
            "packets": self.packets,
            "lost": self.lost,
            "late": self.late,
            "duplicate": self.duplicate,
            "silentMs": self.silent_ms,
            "pausedMs": self.paused_ms,
            "offsetMs": self.offset_ms,
        }
        return with_rest(known, self.other)


class Lab(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`size` (bytes), `sha256` and `chunks` (hex) are the stored object's.

    `mac` is empty only where the recording is not encrypted. `recovered`: the journal was found
    after a crash. `skipped_certificates`: names of the profile's certificates that were left out.
    `copy_path`: the URL of the copy in a second store, empty where there is none.
    `ended`: why the call ended, in words; empty where nobody knows.
    """

    size: int
    sha256: str
    chunks: list[str]
    mac: str = ""
    recovered: bool = False
    skipped_certificates: list[str] = []
    copy_path: str = ""
    ended: str = ""
    legs: list[LegReport] = []
    other: dict[str, object] = {}

    @property
    def digests(self) -> CiphertextDigests:
        """Size and digests, for `integrity`."""
        return CiphertextDigests(self.size, self.sha256, tuple(self.chunks))

    @classmethod
    def read(cls, source: JsonObject) -> Lab:
        """Read the ``lab`` object; `MetadataError` names the key."""
        return cls(
            size=source.number("size"),
            sha256=source.text("sha256", limit=64),
            chunks=source.texts("chunks", limit=MAX_CHUNKS),
            mac=source.text("mac", "", limit=64),
            recovered=source.flag("recovered"),
            skipped_certificates=source.texts("skippedCertificates"),
            copy_path=source.text("copyPath", ""),
            ended=source.text("ended", ""),
            legs=[LegReport.read(leg) for leg in source.objects("legs", limit=MAX_LEGS)],
            other=source.rest(),
        )

    def to_wire(self) -> dict[str, object]:
        """Return the JSON object."""
        known: dict[str, object] = {
            "size": self.size,
            "sha256": self.sha256,
            "chunks": list(self.chunks),
            "mac": self.mac,
            "recovered": self.recovered,
            "skippedCertificates": list(self.skipped_certificates),
            **({"ended": self.ended} if self.ended else {}),
            "legs": [leg.to_wire() for leg in self.legs],
        }
        if self.copy_path:
            known["copyPath"] = self.copy_path
        return with_rest(known, self.other)

"""Recording metadata: the vendor's names and quirks, and round trips."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import example as known_case
from hypothesis import given, settings
from hypothesis import strategies as st

from recording_format.errors import MetadataError
from recording_format.metadata import (
    DurationUnit,
    Lab,
    LegReport,
    Mask,
    MediaDescriptor,
    MediaFile,
    RecordingMetadata,
    decode_media_file,
    decode_metadata,
    encode_metadata,
    is_secret_parameter,
)
from tests.recording_format.posted import PASSWORD, VECTORS, example, file_of, part, read


def test_the_example_is_read() -> None:
    """Every name of the vendor's JSON lands where it belongs."""
    (media,) = read(example()).media_files
    assert media.media_descriptor.path == "http://store/recordings/call-1.mp3.bin"
    assert media.media_descriptor.storage == "webDAV"
    assert media.media_id == "call-1.mp3"
    assert media.type == "audio/mp3"
    assert media.tenant == "Environment"
    assert media.ivrprofile == "recording"
    assert media.recording_id == "CALL1"
    assert media.duration == "12500"
    assert media.duration_ms() == media.duration_ms(DurationUnit.MS) == 12_500
    assert media.size_bytes == 50_000
    assert (media.stopped - media.started).total_seconds() == 12.5
    assert media.parameter("recorddn") == media.parameter("recordDN") == "7001"
    assert media.parameter("missing") is None
    assert [mask.type for mask in media.masks] == ["paused", "resume"]
    assert media.encrypted
    assert media.cert_alias == ["rcs_Environment:1:C=US,CN=example_ca:10"]
    assert media.lab is not None
    assert media.lab.size == 50_016
    assert media.lab.legs[1].silent_ms == 20
    assert media.lab.legs[1].offset_ms == 40
    assert media.lab.digests.chunks == ("ab" * 32,)


def test_round_trip_keeps_everything() -> None:
    """Known and unknown keys, at every level, come out as they went in."""
    root = example()
    root["unknownTop"] = [1, {"a": None}]
    file_of(root)["unknownFile"] = {"deep": [True, 1.5]}
    part(root, "mediaFiles", 0, "mediaDescriptor")["region"] = "eu"
    part(root, "mediaFiles", 0, "masks", 0)["reason"] = "card"
    part(root, "mediaFiles", 0, "lab")["later"] = 1
    part(root, "mediaFiles", 0, "lab", "legs", 0)["jitterMs"] = 2.5
    part(root, "mediaFiles", 0, "parameters")["nested"] = {"x": [1]}
    part(root, "mediaFiles", 0, "parameters")["nothing"] = None
    encoded = encode_metadata(read(root))
    assert json.loads(encoded) == root
    assert encode_metadata(decode_metadata(encoded)) == encoded


def test_a_real_servers_metadata_is_read() -> None:
    """Other releases' quirks: numbers, seconds, lower-case keys, no lab, one alias as text."""
    body = (VECTORS / "metadata_quirks.json").read_bytes()
    (media,) = decode_metadata(body).media_files
    assert media.size == "50000"
    assert media.duration_ms() == 12_500
    assert media.lab is None
    assert media.cert_alias == ["rcs_Environment:1:C=US,CN=example_ca:10"]
    assert media.recording_id == "CALL1"
    assert media.parameter("recordDN") == "7001"
    assert media.parameters["agents"] == "2"
    assert media.media_descriptor.storage == "webDAV"
    assert media.masks == []


@pytest.mark.parametrize(
    ("duration", "unit", "expected"),
    [
        ("12500", None, 12_500),
        ("12.5", None, 12_500),
        ("12", None, 12_000),
        ("13", None, 13_000),
        ("12500.0", None, 12_500),
        ("12", DurationUnit.MS, 12),
        ("12500", DurationUnit.SECONDS, 12_500_000),
    ],
)
def test_both_duration_units_are_read(
    duration: str, unit: DurationUnit | None, expected: int
) -> None:
    """Unless the unit is given, a fraction or the time between start and stop tells it."""
    root = example()
    file_of(root)["duration"] = duration
    assert read(root).media_files[0].duration_ms(unit) == expected


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("rp.speechminer_auth", True),
        ("rp.Speechminer_AUTH", True),
        ("rp.authorization", True),
        ("somePassword", True),
        ("rp.speechminer_uri", False),
        ("author", False),
        ("id", False),
    ],
)
def test_secret_parameters_are_known(name: str, secret: bool) -> None:
    """Parameters that are passwords are known by their names."""
    assert is_secret_parameter(name) is secret


def test_secrets_are_never_shown() -> None:
    """repr leaves passwords out, and so does `public_parameters`; on the wire they stay."""
    metadata = read(example())
    media = metadata.media_files[0]
    assert media.parameters["rp.speechminer_auth"] == PASSWORD
    assert "rp.speechminer_auth" not in media.public_parameters
    assert media.public_parameters["agentId"] == "agent1"
    assert PASSWORD not in repr(metadata) + str(media) + f"{[media]}"
    assert PASSWORD.encode() in encode_metadata(metadata)


def media(**changes: object) -> MediaFile:
    """Return a media file as the MCP makes it."""
    made = MediaFile(
        media_descriptor=MediaDescriptor(path="http://store/recordings/x.wav"),
        start_time="2026-01-02T10:00:00.000Z",
        stop_time="2026-01-02T10:00:01.000Z",
        media_id="x.wav",
        type="audio/wav",
        duration="1000",
        size="32044",
        tenant="Environment",
        ivrprofile="recording",
        parameters={"id": "X"},
    )
    return msgspec.structs.replace(made, **changes)


def test_an_unencrypted_file_has_no_papers() -> None:
    """Without an envelope neither ``pkcs7`` nor ``certAlias`` is written, and no empty ``lab``."""
    wire = json.loads(encode_metadata(RecordingMetadata(media_files=[media()])))
    assert set(wire["mediaFiles"][0]) == {
        "mediaDescriptor", "startTime", "stopTime", "mediaId", "type", "duration", "size",
        "tenant", "ivrprofile", "parameters", "masks",
    }  # fmt: skip  # names side by side
    assert not media().encrypted
    assert decode_media_file(wire["mediaFiles"][0]) == media()


def test_lab_and_legs_come_back() -> None:
    """All that the MCP says about digests and legs is read again."""
    leg = LegReport(
        label="1", channel="left", codec="pcmu", packets=50, lost=1, late=2, duplicate=3,
        silent_ms=4, paused_ms=5, offset_ms=6,
    )  # fmt: skip  # a table
    lab = Lab(
        size=32,
        sha256="ab" * 32,
        chunks=["cd" * 32],
        mac="ef" * 32,
        recovered=True,
        skipped_certificates=["certificates-2"],
        legs=[leg],
    )
    mask = Mask(time="2026-01-02T10:00:00.100Z", type="paused")
    made = media(lab=lab, pkcs7="x", cert_alias=["a"], masks=[mask])
    assert decode_media_file(msgspec.json.encode(made.to_wire())) == made
    # Others embed these structs in messages of their own.
    assert msgspec.json.decode(msgspec.json.encode(lab), type=Lab) == lab


def test_other_spellings_of_known_keys_are_read_and_ours_written() -> None:
    """A known key in another letter case is known; beside the exact key it is kept as unknown."""
    root = example()
    file_of(root)["mediaid"] = file_of(root).pop("mediaId")
    file_of(root)["TENANT"] = "other"
    (found,) = read(root).media_files
    assert found.media_id == "call-1.mp3"
    assert found.tenant == "Environment"
    assert found.other == {"TENANT": "other"}
    assert found.to_wire()["mediaId"] == "call-1.mp3"


json_values: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@given(value=json_values, key=st.sampled_from(sorted(file_of(example()))))
@known_case(value=None, key="pkcs7")
@settings(max_examples=150, deadline=None)
def test_any_value_anywhere_is_metadata_or_an_error(value: object, key: str) -> None:
    """Under any key, any value is metadata that survives a round trip, or an error."""
    root = example()
    file_of(root)[key] = value  # type: ignore[assignment]  # any JSON, on purpose
    body = json.dumps(root).encode("utf-8", "surrogatepass")
    try:
        metadata = decode_metadata(body)
    except MetadataError:
        return
    again = decode_metadata(encode_metadata(metadata))
    assert again == metadata
    assert metadata.media_files[0].duration_ms() >= 0

"""Names of media files: the template, the serial, and that nothing unsafe gets through."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recording_format.errors import FileNameError
from recording_format.names import (
    FIELDS,
    MAX_MEDIA_ID,
    FileNameTemplate,
    MediaSerial,
    is_safe_name,
    media_id,
    stored_name,
)

SERIAL = MediaSerial("0a1b2c3d", "00000001", 1)
VALUES = {
    "id": "ABC123",
    "sipsAppName": "sips1",
    "ANI": "+16175550101",
    "DNIS": "8005550199",
    "dateTime": "2026-01-02T10:00:00Z",
    "callUuid": "UUID",
    "connId": "0011223344556677",
    "agentId": "agent1",
    "MCPDateTime": "2026-01-02T10:00:01Z",
}


@pytest.mark.parametrize(
    ("template", "rendered"),
    [
        ("$id$_$dateTime$", "ABC123_2026-01-02T10-00-00Z"),
        ("$id$", "ABC123"),
        ("$ANI$_$DNIS$", "-16175550101_8005550199"),
        ("rec.$id$.$agentId$", "rec.ABC123.agent1"),
        ("$id$$connId$", "ABC1230011223344556677"),
        (
            "$id$_$sipsAppName$_$ANI$_$DNIS$_$dateTime$_$callUuid$_$connId$_$agentId$_$MCPDateTime$",
            (
                "ABC123_sips1_-16175550101_8005550199_2026-01-02T10-00-00Z_UUID_0011223344556677"
                "_agent1_2026-01-02T10-00-01Z"
            ),
        ),
    ],
)
def test_templates_are_filled(template: str, rendered: str) -> None:
    """Any subset of the fields, in any order, is filled with cleaned values."""
    assert FileNameTemplate.parse(template).render(VALUES) == rendered


def test_default_template() -> None:
    """Without a setting the name is id and time."""
    assert FileNameTemplate.parse().text == "$id$_$dateTime$"


def test_case_of_field_names_does_not_matter() -> None:
    """The metadata says ``ani`` where the template says ``ANI``."""
    assert FileNameTemplate.parse("$ANI$").render({"ani": "5"}) == "5"
    assert FileNameTemplate.parse("$callUUID$").render({"callUuid": "u"}) == "u"


@pytest.mark.parametrize("values", [{}, {"id": ""}])
def test_empty_fields_are_a_hyphen(values: dict[str, str]) -> None:
    """A field that is empty or missing is written as a hyphen."""
    assert FileNameTemplate.parse("$id$_$ANI$").render(values) == "-_-"


def test_names_never_begin_with_a_dot() -> None:
    """A value cannot make a hidden file or a parent folder of a name."""
    template = FileNameTemplate.parse("$id$")
    assert template.render({"id": "..hidden"}) == "-.hidden"
    assert template.render({"id": "../../etc/passwd"}) == "-.-..-etc-passwd"
    assert FileNameTemplate.parse(".$id$").render({"id": "x"}) == "-x"


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("$wrong$", r"unknown field \$wrong\$"),
        ("$id$_$secret$", r"unknown field \$secret\$"),
        ("$$", "unknown field"),
        ("$id$_$ANI", "without its partner"),
        ("$id$/x", "not safe"),
        ("$id$ x", "not safe"),
        ("ä$id$", "not safe"),
        ("constant", "names no field"),
        ("", "names no field"),
    ],
)
def test_bad_templates_are_refused(template: str, fault: str) -> None:
    """A template that cannot work is refused when it is read, not at the first call."""
    with pytest.raises(FileNameError, match=fault):
        FileNameTemplate.parse(template)


def test_media_id_is_the_known_one() -> None:
    """Stem, node, boot, segment and extension stand as in the vendor's names."""
    name = media_id(FileNameTemplate.parse(), VALUES, SERIAL, "wav")
    assert name == "ABC123_2026-01-02T10-00-00Z-0a1b2c3d-00000001-00000001.wav"
    assert stored_name(name) == name + ".bin"


@given(
    values=st.dictionaries(st.sampled_from(FIELDS), st.text(max_size=150)),
    fields=st.lists(st.sampled_from(FIELDS), min_size=1, max_size=9),
    segment=st.integers(1, 99_999_999),
    extension=st.sampled_from(["wav", "mp3"]),
)
@settings(max_examples=150, deadline=None)
def test_names_are_safe_bounded_and_keep_their_serial(
    values: dict[str, str], fields: list[str], segment: int, extension: str
) -> None:
    """Whatever the values, the name is portable, short, and its serial can be read from it."""
    template = FileNameTemplate.parse("_".join(f"${field}$" for field in fields))
    serial = MediaSerial("ffffffff", "0000000a", segment)
    name = media_id(template, values, serial, extension)
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name)
    assert len(name) <= MAX_MEDIA_ID
    assert name.endswith(f".{extension}")
    assert MediaSerial.of(name) == MediaSerial.of(stored_name(name)) == serial
    assert is_safe_name(name)
    assert is_safe_name(stored_name(name))


def test_different_serials_make_different_names() -> None:
    """Node, boot and segment each make another name, even where the stem is cut."""
    template = FileNameTemplate.parse("$id$")
    serials = [
        SERIAL,
        MediaSerial("0a1b2c3e", "00000001", 1),
        MediaSerial("0a1b2c3d", "00000002", 1),
        MediaSerial("0a1b2c3d", "00000001", 2),
    ]
    names = {media_id(template, {"id": "x" * 500}, serial, "mp3") for serial in serials}
    assert len(names) == 4
    assert {len(name) for name in names} == {MAX_MEDIA_ID}


@pytest.mark.parametrize(
    ("node", "boot", "segment", "fault"),
    [
        ("0a1b2c3", "00000001", 1, "node"),
        ("0A1B2C3D", "00000001", 1, "node"),
        ("0a1b2c3d", "0000000g", 1, "boot"),
        ("0a1b2c3d", "00000001\n", 1, "boot"),
        ("0a1b2c3d", "00000001", 0, "segment"),
        ("0a1b2c3d", "00000001", 100_000_000, "segment"),
        ("0a1b2c3d", "00000001", -1, "segment"),
    ],
)
def test_bad_serials_are_refused(node: str, boot: str, segment: int, fault: str) -> None:
    """A serial that would not have its fixed width is refused."""
    with pytest.raises(FileNameError, match=fault):
        MediaSerial(node, boot, segment)


@pytest.mark.parametrize(
    "name", ["", "x.wav", "x-0a1b2c3d-00000001-00000000.wav", "x-0a1b2c3d-00000001-1.wav", "..bin"]
)
def test_foreign_names_have_no_serial(name: str) -> None:
    """A name that is not ours has no serial."""
    assert MediaSerial.of(name) is None


@pytest.mark.parametrize("extension", ["", ".wav", "WAV", "ogg", "wav/../x"])
def test_other_extensions_are_refused(extension: str) -> None:
    """Only the extensions of the media types that are made here are extensions."""
    with pytest.raises(FileNameError, match="extension"):
        media_id(FileNameTemplate.parse(), VALUES, SERIAL, extension)


@pytest.mark.parametrize("name", ["", ".", "..", ".x", "a/b", "a\\b", "a\n", "ä", "a b", "x" * 205])
def test_unsafe_names_are_known(name: str) -> None:
    """Names that could leave a folder, hide, or break a URL are not safe."""
    assert not is_safe_name(name)

"""Names in an archive: safe in any unzip, and different where the recordings are."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording_format.archive_layout import (
    MAX_FILE_NAME,
    MAX_FOLDER_NAME,
    media_file_names,
    recording_folder,
    zip_name,
)

START = datetime(2026, 1, 2, 23, 30, tzinfo=UTC)
DEVICES = ["CON", "prn", "Aux.txt", "NUL", "com1", "LPT9.wav", "nul .x", "COM0"]
HOSTILE = [
    "",
    ".",
    "..",
    "../../etc/passwd",
    "..\\..\\x",
    "/etc",
    "C:\\x",
    "a/b",
    "a\\b",
    "a\0b",
    "a\nb",
    "a\x7f",
    "end.",
    "end ",
    " begin",
    ".hidden",
    "-rf",
    "~",
    "a~0",
    "a:b",
    "a*?",
    'a"b',
    "<a>",
    "a|b",
    "x" * 300,
    "Zürich",
    "Zu\u0308rich",
    "株式会社",
    "\u202egpj.exe",
    "\ud800",
    "recording.json",
    "ARCHIVE.JSON",
    "errors.json",
    *DEVICES,
]
# Few letters, so that names come close to each other; and every character there is.
NAMES = st.text("aAbBzZ09.~-_ ü/", max_size=6) | st.sampled_from(HOSTILE) | st.text(max_size=80)


def assert_safe(name: str, longest: int) -> None:
    """Fail unless `name` is one that every system takes as a plain name."""
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9 ._+=@,()~-]*", name), name
    assert len(name) <= longest + 1 + longest // 4
    assert name[-1] not in ". "
    stem = name.partition(".")[0].strip().lower()
    assert not re.fullmatch(r"con|prn|aux|nul|(com|lpt)[0-9]", stem)


def folders(tenant: str, recording_id: str, start: datetime = START) -> tuple[str, str, str, str]:
    """The folders of a recording of one contact centre."""
    return recording_folder("5a1f0c3e-0000-4000-8000-00000000c0de", tenant, start, recording_id)


def test_usual_names_stay_as_they_are() -> None:
    """A recording of the lab lies where the documents say, by its own names."""
    call = "00FAR3B8LKA5VBN0G2J4T2LAES000001"
    assert folders("Environment", call) == (
        "5a1f0c3e-0000-4000-8000-00000000c0de", "Environment", "2026-01-02", call,
    )  # fmt: skip
    assert folders("North Region", "5f0c1a52-0000-4000-8000-000000000001")[1::2] == (
        "North Region", "5f0c1a52-0000-4000-8000-000000000001",
    )  # fmt: skip


def test_the_day_is_that_of_the_start_in_utc() -> None:
    """A call that begins after midnight somewhere else still belongs to the UTC day."""
    moved = START.astimezone(timezone(timedelta(hours=5)))
    assert moved.day == 3
    assert folders("A", "B", moved)[2] == "2026-01-02"
    assert folders("A", "B", datetime(23, 4, 5, tzinfo=UTC))[2] == "0023-04-05"


def test_letter_case_is_told_by_a_mark() -> None:
    """Names that differ by case alone are different names where case does not count, too."""
    names = [folders(tenant, "X")[1] for tenant in ("Acme", "acme", "ACME", "AcMe")]
    assert names == ["Acme", "acme~0", "ACME~f", "AcMe~a"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_become_safe_folders(text: str) -> None:
    """No traversal, device, control character, blank end or over-long name is left."""
    for name in folders(text, text)[1::2]:
        assert_safe(name, MAX_FOLDER_NAME)
        assert "~" in name


@given(st.lists(NAMES, min_size=2, max_size=12, unique=True))
def test_different_names_never_fall_together(names: list[str]) -> None:
    """Whatever tenants and ids are called, their folders differ, also without letter case."""
    for part in (1, 3):
        made = [folders(name, name)[part] for name in names]
        for name in made:
            assert_safe(name, MAX_FOLDER_NAME)
        assert len({name.lower() for name in made}) == len(names)


@given(st.lists(st.tuples(NAMES, st.booleans()), max_size=8, unique=True))
def test_media_files_never_fall_together(media: list[tuple[str, bool]]) -> None:
    """The files of one recording have safe and different names, none of which is our own."""
    made = media_file_names(media)
    for name, (_, encrypted) in zip(made, media, strict=True):
        assert_safe(name, MAX_FILE_NAME)
        assert name.endswith(".bin") or not encrypted
    assert len({name.lower() for name in made} | {"recording.json"}) == len(media) + 1


def test_media_files_keep_their_ids() -> None:
    """An ordinary media id is the file's name, with `.bin` where it is encrypted."""
    name = "00FAR3B8_2026-01-02T10-00-00Z-0a1b2c3d-00000001-00000001.wav"
    assert media_file_names([(name, True), ("b.mp3", False)]) == [f"{name}.bin", "b.mp3"]


def test_marked_media_files_keep_their_endings() -> None:
    """A media id that cannot be a name is marked before its extension, not behind it."""
    odd, long, other = media_file_names(
        [("a?b.wav", False), ("y" * 200 + ".mp3", True), (".", False)]
    )
    assert re.fullmatch(r"a_b~[a-z2-7]{20}\.wav", odd)
    assert re.fullmatch(r"y+~[a-z2-7]{20}\.mp3\.bin", long)
    assert re.fullmatch(r"_~[a-z2-7]{20}", other)


def test_the_order_of_media_files_does_not_matter() -> None:
    """Media ids that differ by case alone are both marked, whichever comes first."""
    one, two = ("Call.wav", True), ("call.wav", True)
    assert sorted(media_file_names([one, two])) == sorted(media_file_names([two, one]))


def test_the_zip_is_named_by_what_it_holds() -> None:
    """`<Tenant>-<FilterType>-<MaxAge>-<MinAge>-<yyyyMMddHHmmss>.zip`, in UTC."""
    made = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    assert zip_name("Environment", "All", 30, 7, made) == "Environment-All-30-7-20260102010405.zip"
    assert zip_name(None, "CallType", None, 0, made) == "All-CallType-Any-0-20260102010405.zip"
    assert "/" not in zip_name("../x", "All", 1, 0, made)

"""A catalogue that an earlier version made: opened, brought forward, and nothing lost."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from recording_processor.catalogue.profiles import Author
from recording_processor.group_setting import GroupSetting
from recording_processor.provisioning import decode_profile
from tests.recording_processor.conftest import open_catalogue
from tests.recording_processor.samples import ALIAS, CCID, DOMAIN, ENVELOPE, media_file, profile

FINGERPRINT = "0" * 64


def make_first_form(file: Path) -> None:
    """Make a catalogue of the first form with two versions of a profile and one recording."""
    engine = create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", "recording_processor.catalogue:migrations")
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    sections = [msgspec.json.encode(profile(101)["sections"]).decode(), "{}"]
    document = msgspec.json.encode(media_file("CALL1")).decode()
    rows = [
        ("identity", 1, "a-catalogue"),
        ("contact_centers", 1, CCID, DOMAIN, "1"),
        ("tenants", 1, "Environment"),
        ("profile_versions", 1, 101, "old", 1, sections[1], 1000, "settings"),
        ("profile_versions", 2, 101, "recording", 1, sections[0], 2000, "admin"),
        ("profiles", 101, 2),
        ("recordings", 1, 1, "CALL1", "Environment", "Unknown", *[None] * 4, 5, 6, 7),
        ("media_files", 1, 1, 1, "a.wav", "play-1", "audio/wav", "play-1.wav.bin", "http://s/a",
         "recording", 5, 6, 1, None, FINGERPRINT, document, 7),
        ("media_recipients", 1, 0, ALIAS),
    ]  # fmt: skip
    opened = sqlite3.connect(file)
    for table, *values in rows:
        marks = ", ".join("?" * len(values))
        opened.execute(f"INSERT INTO {table} VALUES ({marks})", values)
    opened.commit()
    opened.close()


async def test_an_earlier_catalogue_is_brought_forward(tmp_path: Path) -> None:
    """Profiles, their history and recordings are as they were, and what is new works with them."""
    file = tmp_path / "catalogue.sqlite3"
    make_first_form(file)
    async with open_catalogue(file) as catalogue:
        assert catalogue.identity == "a-catalogue"
        listed = await catalogue.profiles.all(None)
        known = decode_profile(msgspec.json.encode(profile(101)), dbid=101)
        assert (listed.version, listed.profiles) == (2, (known,))
        history = await catalogue.profiles.history(101, None)
        assert [(v.version, v.changed_by, v.deleted) for v in history] == [
            (2, "admin", False),
            (1, "settings", False),
        ]
        recording = await catalogue.recording("CALL1", tenants=("Environment",))
        assert recording.media_files[0].document["pkcs7"] == ENVELOPE
        assert (await catalogue.need("Environment", ALIAS, [])).orphaned == 1
        assert await catalogue.profiles.delete(101, Author("admin")) == 3
        setting = GroupSetting("decrypt-uri-prefix", "/", "http://rcs/rcs")
        await catalogue.groups.put_setting("screen-recording", setting, changed_by="admin")
        assert await catalogue.groups.certificates() == ()
    async with open_catalogue(file) as catalogue:
        assert await catalogue.groups.settings("screen-recording") == (setting,)
        assert (await catalogue.profiles.all(None)).profiles == ()

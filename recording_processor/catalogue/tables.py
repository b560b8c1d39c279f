"""The catalogue's tables as SQLAlchemy sees them; the migrations make the same ones.

A recording is one call of one contact centre; its media files carry the metadata as it was posted
(`document`), and whatever is searched for has a column of its own beside it. Instants are
milliseconds since 1970. Texts are compared byte by byte: exact and case-sensitive.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Which catalogue this is: a version number means nothing in another one.
identity = Table(
    "identity",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("catalogue", Text, nullable=False),
)

contact_centers = Table(
    "contact_centers",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("ccid", Text, nullable=False, unique=True),
    Column("domain", Text, nullable=False, unique=True),
    Column("region", Text, nullable=False),
)

tenants = Table(
    "tenants",
    metadata,
    Column("dbid", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False, unique=True),
)

# Every version of every profile; `version` counts over all of them and never goes back. A deleted
# profile ends with a version that says so and has its last options.
profile_versions = Table(
    "profile_versions",
    metadata,
    Column("version", Integer, primary_key=True),
    Column("dbid", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("tenant_dbid", ForeignKey("tenants.dbid"), nullable=False),
    Column("sections", Text, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("deleted", Boolean(create_constraint=False), nullable=False, server_default=text("0")),
    Index("ix_profile_versions_dbid", "dbid", "version"),
    sqlite_autoincrement=True,
)

# Which version of a profile is the present one.
profiles = Table(
    "profiles",
    metadata,
    Column("dbid", Integer, primary_key=True, autoincrement=False),
    Column("version", ForeignKey("profile_versions.version"), nullable=False),
)

# Settings that hold for a location and what lies below it; `value` is JSON.
group_settings = Table(
    "group_settings",
    metadata,
    Column("contact_center", ForeignKey("contact_centers.id"), primary_key=True),
    Column("settings_group", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("location", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("changed_by", Text, nullable=False),
)

# The certificates that screen recordings are encrypted for, by the n of ``certificate-n``.
screen_certificates = Table(
    "screen_certificates",
    metadata,
    Column("contact_center", ForeignKey("contact_centers.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("tenant_dbid", ForeignKey("tenants.dbid"), nullable=False),
    Column("certificate", Text, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("changed_by", Text, nullable=False),
)

# The reversed columns make a search for a number's end as cheap as one for its beginning.
recordings = Table(
    "recordings",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("contact_center", ForeignKey("contact_centers.id"), nullable=False),
    Column("id", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("call_type", Text, nullable=False),
    Column("caller", Text),
    Column("caller_reversed", Text),
    Column("dialed", Text),
    Column("dialed_reversed", Text),
    Column("started_at", BigInteger, nullable=False),
    Column("stopped_at", BigInteger, nullable=False),
    Column("filed_at", BigInteger, nullable=False),
    UniqueConstraint("contact_center", "id"),
    Index("ix_recordings_started_at", "contact_center", "started_at", "number"),
    Index("ix_recordings_stopped_at", "contact_center", "stopped_at", "id"),
    Index("ix_recordings_caller", "contact_center", "caller", "started_at", "number"),
    Index("ix_recordings_caller_reversed", "contact_center", "caller_reversed"),
    Index("ix_recordings_dialed", "contact_center", "dialed", "started_at", "number"),
    Index("ix_recordings_dialed_reversed", "contact_center", "dialed_reversed"),
    Index("ix_recordings_tenant", "contact_center", "tenant", "started_at", "number"),
    # Without these a common number of a small tenant, or a rare one of a big, would be a long walk.
    Index(
        "ix_recordings_tenant_caller",
        *("contact_center", "tenant", "caller", "started_at", "number"),
    ),
    Index(
        "ix_recordings_tenant_dialed",
        *("contact_center", "tenant", "dialed", "started_at", "number"),
    ),
    sqlite_autoincrement=True,
)

media_files = Table(
    "media_files",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("recording", ForeignKey("recordings.number"), nullable=False),
    Column("contact_center", ForeignKey("contact_centers.id"), nullable=False),
    Column("media_id", Text, nullable=False),
    Column("play_id", Text, nullable=False, unique=True),
    Column("type", Text, nullable=False),
    Column("play_name", Text, nullable=False),
    Column("storage_path", Text, nullable=False),
    Column("ivr_profile", Text, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("stopped_at", BigInteger, nullable=False),
    Column("encrypted", Boolean(create_constraint=False), nullable=False),
    # SHA-256 of the ciphertext where the metadata tells it, and of the posted media file itself.
    Column("sha256", Text),
    Column("fingerprint", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("filed_at", BigInteger, nullable=False),
    UniqueConstraint("contact_center", "media_id"),
    Index("ix_media_files_recording", "recording"),
    sqlite_autoincrement=True,
)

media_parameters = Table(
    "media_parameters",
    metadata,
    Column("media_file", ForeignKey("media_files.number"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Index("ix_media_parameters_value", "name", "value"),
)

media_recipients = Table(
    "media_recipients",
    metadata,
    Column("media_file", ForeignKey("media_files.number"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("alias", Text, nullable=False),
    Index("ix_media_recipients_alias", "alias"),
)

# Who was in the call, and from when to when; the event history is read off it.
participations = Table(
    "participations",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("recording", ForeignKey("recordings.number"), nullable=False),
    Column("media_file", ForeignKey("media_files.number"), nullable=False),
    Column("contact_type", Text, nullable=False),
    Column("user_name", Text),
    Column("phone_number", Text),
    Column("call_uuid", Text),
    Column("joined_at", BigInteger, nullable=False),
    Column("left_at", BigInteger, nullable=False),
    Index("ix_participations_recording", "recording"),
    Index("ix_participations_user_name", "user_name", "recording"),
)

# What has to go onward, in the order of `number` for each recording: one row per post, and
# `media_files` is the JSON list of the media files that were new in it. Within a recording no two
# `filed_at` are alike. `file` is set when it lies in the folder of failed ones, and waits there.
onward_posts = Table(
    "onward_posts",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("contact_center", ForeignKey("contact_centers.id"), nullable=False),
    Column("recording", ForeignKey("recordings.number"), nullable=False),
    Column("media_files", Text, nullable=False),
    Column("filed_at", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    Column("next_try", BigInteger, nullable=False),
    Column("fault", Text),
    Column("file", Text),
    Index("ix_onward_posts_recording", "recording", "number"),
    Index("ix_onward_posts_next_try", "contact_center", "file", "next_try", "number"),
    sqlite_autoincrement=True,
)

# Posts that were refused because the catalogue has something else under their ids. `subject` is
# what differs (a digest, the metadata, the recording, the tenant), `filed` and `posted` its values.
conflicts = Table(
    "conflicts",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("contact_center", ForeignKey("contact_centers.id"), nullable=False),
    Column("recording_id", Text, nullable=False),
    Column("media_id", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("filed_tenant", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("filed", Text, nullable=False),
    Column("posted", Text, nullable=False),
    Column("times", Integer, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    UniqueConstraint("contact_center", "recording_id", "media_id", "subject", "posted"),
    sqlite_autoincrement=True,
)

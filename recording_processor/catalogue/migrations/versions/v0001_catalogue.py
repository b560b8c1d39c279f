"""The first form of the catalogue."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table."""
    _make_provisioning()
    _make_recordings()
    _make_media_files()
    _make_details()


def _make_provisioning() -> None:
    """What is provisioned: the contact centre, its tenants, their profiles."""
    op.create_table(
        "identity",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("catalogue", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity")),
    )
    op.create_table(
        "contact_centers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ccid", sa.Text(), nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact_centers")),
        sa.UniqueConstraint("ccid", name=op.f("uq_contact_centers_ccid")),
        sa.UniqueConstraint("domain", name=op.f("uq_contact_centers_domain")),
    )
    op.create_table(
        "tenants",
        sa.Column("dbid", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("dbid", name=op.f("pk_tenants")),
        sa.UniqueConstraint("name", name=op.f("uq_tenants_name")),
    )
    op.create_table(
        "profile_versions",
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("dbid", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("tenant_dbid", sa.Integer(), nullable=False),
        sa.Column("sections", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_dbid"], ["tenants.dbid"], name=op.f("fk_profile_versions_tenant_dbid")
        ),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_profile_versions")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_profile_versions_dbid", "profile_versions", ["dbid", "version"], unique=False
    )
    op.create_table(
        "profiles",
        sa.Column("dbid", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["version"], ["profile_versions.version"], name=op.f("fk_profiles_version")
        ),
        sa.PrimaryKeyConstraint("dbid", name=op.f("pk_profiles")),
    )


def _make_recordings() -> None:
    """The recordings, with an index for each way to look for them."""
    op.create_table(
        "recordings",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("contact_center", sa.Integer(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("call_type", sa.Text(), nullable=False),
        sa.Column("caller", sa.Text(), nullable=True),
        sa.Column("caller_reversed", sa.Text(), nullable=True),
        sa.Column("dialed", sa.Text(), nullable=True),
        sa.Column("dialed_reversed", sa.Text(), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("stopped_at", sa.BigInteger(), nullable=False),
        sa.Column("filed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["contact_center"], ["contact_centers.id"], name=op.f("fk_recordings_contact_center")
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_recordings")),
        sa.UniqueConstraint("contact_center", "id", name=op.f("uq_recordings_contact_center_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_recordings_caller",
        "recordings",
        ["contact_center", "caller", "started_at", "number"],
        unique=False,
    )
    op.create_index(
        "ix_recordings_caller_reversed",
        "recordings",
        ["contact_center", "caller_reversed"],
        unique=False,
    )
    op.create_index(
        "ix_recordings_dialed",
        "recordings",
        ["contact_center", "dialed", "started_at", "number"],
        unique=False,
    )
    op.create_index(
        "ix_recordings_dialed_reversed",
        "recordings",
        ["contact_center", "dialed_reversed"],
        unique=False,
    )
    op.create_index(
        "ix_recordings_started_at",
        "recordings",
        ["contact_center", "started_at", "number"],
        unique=False,
    )
    op.create_index(
        "ix_recordings_tenant",
        "recordings",
        ["contact_center", "tenant", "started_at", "number"],
        unique=False,
    )


def _make_media_files() -> None:
    """The media files of the recordings."""
    op.create_table(
        "media_files",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("recording", sa.Integer(), nullable=False),
        sa.Column("contact_center", sa.Integer(), nullable=False),
        sa.Column("media_id", sa.Text(), nullable=False),
        sa.Column("play_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("play_name", sa.Text(), nullable=False),
        sa.Column("storage_path", sa.Text(), nullable=False),
        sa.Column("ivr_profile", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("stopped_at", sa.BigInteger(), nullable=False),
        sa.Column("encrypted", sa.Boolean(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("filed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["contact_center"], ["contact_centers.id"], name=op.f("fk_media_files_contact_center")
        ),
        sa.ForeignKeyConstraint(
            ["recording"], ["recordings.number"], name=op.f("fk_media_files_recording")
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_media_files")),
        sa.UniqueConstraint(
            "contact_center", "media_id", name=op.f("uq_media_files_contact_center_media_id")
        ),
        sa.UniqueConstraint("play_id", name=op.f("uq_media_files_play_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_media_files_recording", "media_files", ["recording"], unique=False)


def _make_details() -> None:
    """What hangs on a media file."""
    op.create_table(
        "media_parameters",
        sa.Column("media_file", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["media_file"], ["media_files.number"], name=op.f("fk_media_parameters_media_file")
        ),
        sa.PrimaryKeyConstraint("media_file", "name", name=op.f("pk_media_parameters")),
    )
    op.create_index(
        "ix_media_parameters_value", "media_parameters", ["name", "value"], unique=False
    )
    op.create_table(
        "media_recipients",
        sa.Column("media_file", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("alias", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["media_file"], ["media_files.number"], name=op.f("fk_media_recipients_media_file")
        ),
        sa.PrimaryKeyConstraint("media_file", "position", name=op.f("pk_media_recipients")),
    )
    op.create_index("ix_media_recipients_alias", "media_recipients", ["alias"], unique=False)
    op.create_table(
        "participations",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("recording", sa.Integer(), nullable=False),
        sa.Column("media_file", sa.Integer(), nullable=False),
        sa.Column("contact_type", sa.Text(), nullable=False),
        sa.Column("user_name", sa.Text(), nullable=True),
        sa.Column("phone_number", sa.Text(), nullable=True),
        sa.Column("call_uuid", sa.Text(), nullable=True),
        sa.Column("joined_at", sa.BigInteger(), nullable=False),
        sa.Column("left_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["media_file"], ["media_files.number"], name=op.f("fk_participations_media_file")
        ),
        sa.ForeignKeyConstraint(
            ["recording"], ["recordings.number"], name=op.f("fk_participations_recording")
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_participations")),
    )
    op.create_index("ix_participations_recording", "participations", ["recording"], unique=False)
    op.create_index(
        "ix_participations_user_name", "participations", ["user_name", "recording"], unique=False
    )

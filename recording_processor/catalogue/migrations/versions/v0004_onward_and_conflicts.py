"""Posts that have to go onward, and the conflicts that a person should see."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add two tables."""
    _make_onward_posts()
    _make_conflicts()


def _make_onward_posts() -> None:
    op.create_table(
        "onward_posts",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("contact_center", sa.Integer(), nullable=False),
        sa.Column("recording", sa.Integer(), nullable=False),
        sa.Column("media_files", sa.Text(), nullable=False),
        sa.Column("filed_at", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_try", sa.BigInteger(), nullable=False),
        sa.Column("fault", sa.Text(), nullable=True),
        sa.Column("file", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["contact_center"], ["contact_centers.id"], name=op.f("fk_onward_posts_contact_center")
        ),
        sa.ForeignKeyConstraint(
            ["recording"], ["recordings.number"], name=op.f("fk_onward_posts_recording")
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_onward_posts")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_onward_posts_recording", "onward_posts", ["recording", "number"])
    op.create_index(
        "ix_onward_posts_next_try", "onward_posts", ["contact_center", "file", "next_try", "number"]
    )


def _make_conflicts() -> None:
    op.create_table(
        "conflicts",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("contact_center", sa.Integer(), nullable=False),
        sa.Column("recording_id", sa.Text(), nullable=False),
        sa.Column("media_id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("filed_tenant", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("filed", sa.Text(), nullable=False),
        sa.Column("posted", sa.Text(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["contact_center"], ["contact_centers.id"], name=op.f("fk_conflicts_contact_center")
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_conflicts")),
        sa.UniqueConstraint(
            "contact_center",
            "recording_id",
            "media_id",
            "subject",
            "posted",
            name=op.f("uq_conflicts_contact_center_recording_id_media_id_subject_posted"),
        ),
        sqlite_autoincrement=True,
    )

"""Settings groups, screen-recording certificates, deleted profiles, and searches of one tenant."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add two tables, a column and two indexes."""
    op.add_column(
        "profile_versions",
        sa.Column("deleted", sa.Boolean(), server_default=sa.text("0"), nullable=False),
    )
    op.create_table(
        "group_settings",
        sa.Column("contact_center", sa.Integer(), nullable=False),
        sa.Column("settings_group", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["contact_center"],
            ["contact_centers.id"],
            name=op.f("fk_group_settings_contact_center"),
        ),
        sa.PrimaryKeyConstraint(
            "contact_center",
            "settings_group",
            "name",
            "location",
            name=op.f("pk_group_settings"),
        ),
    )
    op.create_table(
        "screen_certificates",
        sa.Column("contact_center", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tenant_dbid", sa.Integer(), nullable=False),
        sa.Column("certificate", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["contact_center"],
            ["contact_centers.id"],
            name=op.f("fk_screen_certificates_contact_center"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_dbid"], ["tenants.dbid"], name=op.f("fk_screen_certificates_tenant_dbid")
        ),
        sa.PrimaryKeyConstraint("contact_center", "number", name=op.f("pk_screen_certificates")),
    )
    for number in ("caller", "dialed"):
        op.create_index(
            f"ix_recordings_tenant_{number}",
            "recordings",
            ["contact_center", "tenant", number, "started_at", "number"],
            unique=False,
        )

"""The order of archives: recordings by the time of their end."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.create_index(
        "ix_recordings_stopped_at", "recordings", ["contact_center", "stopped_at", "id"]
    )

"""What Alembic runs: the steps, on the connection that `catalogue.database` hands over.

The whole way from the catalogue's form to the newest is one transaction: a killed process leaves
either form, never something between.
"""

from __future__ import annotations

from alembic import context

from recording_processor.catalogue.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()

"""Run by alembic, on the connection that `kuayu.migrations.upgrade` hands over."""

from alembic import context

from bus.ledger.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()

"""Run by Alembic: migrate over the connection, and in the transaction, that the caller holds."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    transactional_ddl=True,  # on SQLite too: the caller has begun the transaction itself
    transaction_per_migration=False,
)
context.run_migrations()

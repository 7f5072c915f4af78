"""What Alembic runs: the migrations, on the connection (and in the transaction) of `migrate`."""

from __future__ import annotations

from alembic import context

from reward.store.schema import Base


def run_migrations() -> None:
    """Run them, all or nothing.

    Raises:
        RuntimeError: when started by hand, without a connection.
    """
    connection = context.config.attributes.get("connection")
    if connection is None:
        raise RuntimeError(
            "no connection; open the database with reward.store.store.RatingsStore instead"
        )
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run_migrations()

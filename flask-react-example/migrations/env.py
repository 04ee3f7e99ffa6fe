"""What `flask db` runs the migrations in."""

from alembic import context

from companies.models import Money, db

# several processes may come at once: one of them changes tables, the others wait
LOCKS = {
    "sqlite": "BEGIN IMMEDIATE",
    "postgresql": "SELECT pg_advisory_xact_lock(2015)",
}


def render_item(kind, item, _):
    """How a new migration writes what is ours; alembic writes the rest."""
    if kind == "type" and isinstance(item, Money):
        return 'sa.Numeric(14, 2).with_variant(sa.String(16), "sqlite")'
    return False


if context.is_offline_mode():
    context.configure(
        dialect_name=db.engine.dialect.name, target_metadata=db.metadata, literal_binds=True
    )
    with context.begin_transaction():
        context.run_migrations()
else:
    with db.engine.connect() as connection:
        connection.exec_driver_sql(LOCKS[connection.dialect.name])
        # SQLite changes a column only by making its table anew
        context.configure(
            connection=connection,
            target_metadata=db.metadata,
            render_item=render_item,
            render_as_batch=True,
        )
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()

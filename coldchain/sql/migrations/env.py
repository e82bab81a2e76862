"""Alembic's environment: runs the migrations on the engine that the catalogue hands over."""

from alembic import context

from coldchain.sql.tables import metadata

engine = context.config.attributes["engine"].execution_options(coldchain_writes=True)

with engine.begin() as connection:
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, transactional_ddl=False)
    context.run_migrations()

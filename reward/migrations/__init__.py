"""Alembic's migrations of the ratings database, applied whenever a store is opened.

A change of `reward/store/schema.py` needs a file in `versions/`: copy the newest, set
`down_revision` to its `revision`, and write the change with `op.batch_alter_table` (SQLite rebuilds
the table). A migration never imports `reward.store.schema`, which will have moved on when it runs.
`tests/reward/migrations/test_migrations.py` says what is still missing.
"""

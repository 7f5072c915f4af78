"""Which melodies a rater keeps at hand."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "favourites",
        sa.Column("rater_id", sa.Integer(), nullable=False),
        sa.Column("melody_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["rater_id"], ["raters.id"], name=op.f("fk_favourites_rater_id_raters")
        ),
        sa.ForeignKeyConstraint(
            ["melody_id"], ["melodies.id"], name=op.f("fk_favourites_melody_id_melodies")
        ),
        sa.PrimaryKeyConstraint("rater_id", "melody_id", name=op.f("pk_favourites")),
    )


def downgrade() -> None:
    """Remove it, with what it holds."""
    op.drop_table("favourites")

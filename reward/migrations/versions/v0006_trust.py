"""What keeps votes trustworthy.

Votes that are kept but not counted; campaigns for guests only, and with a limit to the votes of one
rater; when a rater was told who wrote what; and nicknames that look alike.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from reward.store.nicknames import skeleton

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the columns, the table and the indices; older votes all count as before."""
    op.add_column("votes", sa.Column("set_aside", sa.String(length=16), nullable=True))
    op.add_column("campaigns", sa.Column("votes_per_rater", sa.Integer(), nullable=True))
    op.add_column(
        "campaigns",
        sa.Column("invite_only", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.create_table(
        "campaign_guests",
        sa.Column("campaign_id", sa.Integer(), nullable=False),
        sa.Column("rater_id", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name=op.f("fk_campaign_guests_campaign_id_campaigns")
        ),
        sa.ForeignKeyConstraint(
            ["rater_id"], ["raters.id"], name=op.f("fk_campaign_guests_rater_id_raters")
        ),
        sa.PrimaryKeyConstraint("campaign_id", "rater_id", name=op.f("pk_campaign_guests")),
    )
    op.create_index(
        op.f("ix_assignments_rater_id_issued_at"), "assignments", ["rater_id", "issued_at"]
    )
    op.add_column("raters", sa.Column("origins_told_at", MOMENT, nullable=True))
    op.add_column(
        "raters",
        sa.Column(
            "nickname_skeleton", sa.String(length=80), server_default=sa.text("''"), nullable=False
        ),
    )
    op.create_index(op.f("ix_raters_nickname_skeleton"), "raters", ["nickname_skeleton"])
    raters = sa.table("raters", *map(sa.column, ("id", "nickname", "nickname_skeleton")))
    connection = op.get_bind()
    for key, nickname in connection.execute(sa.select(raters.c.id, raters.c.nickname)).all():
        connection.execute(
            raters.update().where(raters.c.id == key).values(nickname_skeleton=skeleton(nickname))
        )


def downgrade() -> None:
    """Remove them, with what they hold."""
    op.drop_index(op.f("ix_raters_nickname_skeleton"), table_name="raters")
    op.drop_column("raters", "nickname_skeleton")
    op.drop_column("raters", "origins_told_at")
    op.drop_index(op.f("ix_assignments_rater_id_issued_at"), table_name="assignments")
    op.drop_table("campaign_guests")
    op.drop_column("campaigns", "invite_only")
    op.drop_column("campaigns", "votes_per_rater")
    op.drop_column("votes", "set_aside")

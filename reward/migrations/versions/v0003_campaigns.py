"""Campaigns: comparisons that belong together, such as those of one blind test."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the table, and let comparisons refer to it."""
    op.create_table(
        "campaigns",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("policy_a", sa.String(length=80), nullable=True),
        sa.Column("policy_b", sa.String(length=80), nullable=True),
        sa.Column("policy_a_id", sa.String(length=80), nullable=True),
        sa.Column("policy_b_id", sa.String(length=80), nullable=True),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("votes_wanted", sa.Integer(), nullable=False),
        sa.Column("invite_token_hash", sa.String(length=64), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("closed_at", MOMENT, nullable=True),
        sa.Column("revealed_at", MOMENT, nullable=True),
        sa.CheckConstraint("purpose IN ('train', 'blind_test')", name=op.f("ck_campaigns_purpose")),
        sa.CheckConstraint(
            "(purpose = 'blind_test') = (policy_a IS NOT NULL) "
            "AND (policy_a IS NULL) = (policy_b IS NULL) "
            "AND (policy_a IS NULL) = (policy_a_id IS NULL) "
            "AND (policy_b IS NULL) = (policy_b_id IS NULL)",
            name=op.f("ck_campaigns_policies"),
        ),
        sa.CheckConstraint("votes_wanted > 0", name=op.f("ck_campaigns_votes_wanted")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaigns")),
        sa.UniqueConstraint("name", name=op.f("uq_campaigns_name")),
        sa.UniqueConstraint("invite_token_hash", name=op.f("uq_campaigns_invite_token_hash")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("comparisons") as batch:
        batch.add_column(sa.Column("campaign_id", sa.Integer(), nullable=True))
        batch.create_foreign_key(
            op.f("fk_comparisons_campaign_id_campaigns"), "campaigns", ["campaign_id"], ["id"]
        )
        batch.create_index(op.f("ix_comparisons_campaign_id"), ["campaign_id"], unique=False)


def downgrade() -> None:
    """Remove it, with what it holds."""
    with op.batch_alter_table("comparisons") as batch:
        batch.drop_index(op.f("ix_comparisons_campaign_id"))
        batch.drop_constraint(op.f("fk_comparisons_campaign_id_campaigns"), type_="foreignkey")
        batch.drop_column("campaign_id")
    op.drop_table("campaigns")

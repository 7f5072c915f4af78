"""Raters, melodies, comparisons, assignments and votes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "melodies",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("tokens", sa.LargeBinary(), nullable=False),
        sa.Column("header", sa.JSON(), nullable=False),
        sa.Column("tonic_midi", sa.Integer(), nullable=False),
        sa.Column("policy_id", sa.String(length=80), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("sampler", sa.String(length=80), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("features", sa.JSON(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_melodies")),
        sa.UniqueConstraint("sha256", name=op.f("uq_melodies_sha256")),
    )
    op.create_table(
        "raters",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("nickname", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("consent_version", sa.String(length=40), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("kind IN ('person', 'simulated')", name=op.f("ck_raters_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_raters")),
        sa.UniqueConstraint("nickname", name=op.f("uq_raters_nickname")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_raters_token_hash")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "comparisons",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("melody_a", sa.Integer(), nullable=False),
        sa.Column("melody_b", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("repeat_of", sa.Uuid(), nullable=True),
        sa.Column("strategy", sa.String(length=40), nullable=False),
        sa.Column("probability", sa.Double(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "(purpose = 'repeat') = (repeat_of IS NOT NULL)", name=op.f("ck_comparisons_repeat_of")
        ),
        sa.CheckConstraint(
            "purpose IN ('train', 'repeat', 'trap', 'blind_test')",
            name=op.f("ck_comparisons_purpose"),
        ),
        sa.CheckConstraint("melody_a <> melody_b", name=op.f("ck_comparisons_two_melodies")),
        sa.CheckConstraint(
            "probability > 0 AND probability <= 1", name=op.f("ck_comparisons_probability")
        ),
        sa.ForeignKeyConstraint(
            ["melody_a"], ["melodies.id"], name=op.f("fk_comparisons_melody_a_melodies")
        ),
        sa.ForeignKeyConstraint(
            ["melody_b"], ["melodies.id"], name=op.f("fk_comparisons_melody_b_melodies")
        ),
        sa.ForeignKeyConstraint(
            ["repeat_of"], ["comparisons.id"], name=op.f("fk_comparisons_repeat_of_comparisons")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_comparisons")),
    )
    op.create_index(op.f("ix_comparisons_position"), "comparisons", ["position"], unique=False)
    op.create_table(
        "assignments",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("comparison_id", sa.Uuid(), nullable=False),
        sa.Column("rater_id", sa.Integer(), nullable=False),
        sa.Column("left_is_a", sa.Boolean(), nullable=False),
        sa.Column("reopens", sa.Boolean(), nullable=False),
        sa.Column("issued_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("closed_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["comparison_id"],
            ["comparisons.id"],
            name=op.f("fk_assignments_comparison_id_comparisons"),
        ),
        sa.ForeignKeyConstraint(
            ["rater_id"], ["raters.id"], name=op.f("fk_assignments_rater_id_raters")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assignments")),
    )
    op.create_index(
        op.f("ix_assignments_comparison_id"), "assignments", ["comparison_id"], unique=False
    )
    op.create_index(
        "ix_assignments_rater_id_comparison_id", "assignments", ["rater_id", "comparison_id"]
    )
    op.create_index(
        "uq_assignments_live_rater",
        "assignments",
        ["rater_id"],
        unique=True,
        sqlite_where=sa.text("closed_at IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_table(
        "votes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("assignment_id", sa.Uuid(), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("strength", sa.Integer(), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("heard_ms_left", sa.Integer(), nullable=False),
        sa.Column("heard_ms_right", sa.Integer(), nullable=False),
        sa.Column("plays_left", sa.Integer(), nullable=False),
        sa.Column("plays_right", sa.Integer(), nullable=False),
        sa.Column("latency_ms", sa.Integer(), nullable=False),
        sa.Column("nonce", sa.String(length=64), nullable=False),
        sa.Column("renderer", sa.String(length=200), nullable=False),
        sa.Column("app_version", sa.String(length=80), nullable=False),
        sa.Column("supersedes", sa.Integer(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "outcome IN ('left', 'right', 'tie', 'both_bad', 'skip')", name=op.f("ck_votes_outcome")
        ),
        sa.CheckConstraint(
            "heard_ms_left >= 0 AND heard_ms_right >= 0 AND plays_left >= 0 AND plays_right >= 0 "
            "AND latency_ms >= 0",
            name=op.f("ck_votes_not_negative"),
        ),
        sa.CheckConstraint("strength IN (1, 2)", name=op.f("ck_votes_strength")),
        sa.ForeignKeyConstraint(
            ["assignment_id"], ["assignments.id"], name=op.f("fk_votes_assignment_id_assignments")
        ),
        sa.ForeignKeyConstraint(
            ["supersedes"], ["votes.id"], name=op.f("fk_votes_supersedes_votes")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_votes")),
        sa.UniqueConstraint("assignment_id", name=op.f("uq_votes_assignment_id")),
        sa.UniqueConstraint("nonce", name=op.f("uq_votes_nonce")),
        sa.UniqueConstraint("supersedes", name=op.f("uq_votes_supersedes")),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    """Remove them, with what they hold."""
    for table in ("votes", "assignments", "comparisons", "melodies", "raters"):
        op.drop_table(table)

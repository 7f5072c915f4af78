"""Which votes a run learnt from, and the jobs that run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=True),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("started_at", MOMENT, nullable=True),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.Column("host", sa.String(length=255), nullable=True),
        sa.Column("pid", sa.Integer(), nullable=True),
        sa.Column("process_created_s", sa.Double(), nullable=True),
        sa.Column("heartbeat_at", MOMENT, nullable=True),
        sa.Column("lease_expires_at", MOMENT, nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("last_checkpoint", sa.String(length=255), nullable=True),
        sa.Column("resumes", sa.Uuid(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'done', 'failed', 'stopped')",
            name=op.f("ck_jobs_state"),
        ),
        sa.ForeignKeyConstraint(["resumes"], ["jobs.id"], name=op.f("fk_jobs_resumes_jobs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_index(op.f("ix_jobs_run_id"), "jobs", ["run_id"], unique=False)
    op.create_index(op.f("ix_jobs_state"), "jobs", ["state"], unique=False)
    op.create_table(
        "trainings",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("votes_used", sa.Integer(), nullable=False),
        sa.Column("votes_withdrawn", sa.Integer(), nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_trainings")),
    )
    op.create_table(
        "training_votes",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("vote_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["trainings.run_id"], name=op.f("fk_training_votes_run_id_trainings")
        ),
        sa.ForeignKeyConstraint(
            ["vote_id"], ["votes.id"], name=op.f("fk_training_votes_vote_id_votes")
        ),
        sa.PrimaryKeyConstraint("run_id", "vote_id", name=op.f("pk_training_votes")),
    )
    op.create_index(op.f("ix_training_votes_vote_id"), "training_votes", ["vote_id"], unique=False)


def downgrade() -> None:
    """Remove them, with what they hold."""
    for table in ("training_votes", "trainings", "jobs"):
        op.drop_table(table)

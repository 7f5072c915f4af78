"""Tables of the ratings store: raters, melodies, campaigns, comparisons, votes, trainings, jobs.

Favourites, too: which melodies a rater keeps at hand.

A *comparison* is two melodies to be heard against each other; an *assignment* is one comparison
shown to one rater, with its sides; a *vote* answers an assignment. A *campaign* is comparisons that
belong together, such as those of one blind test. Votes are only ever appended: an
undo is a vote that `supersedes` another, at most one each, so the history is a chain with one end.

Times are UTC. Melodies' tokens are bytes of little-endian uint16. The same tables on SQLite and
PostgreSQL; whoever changes one adds a migration (see `reward/migrations`), a test compares the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ColumnElement,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    exists,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, mapped_column

RATER_KINDS = ("person", "simulated")
PURPOSES = ("train", "repeat", "trap", "blind_test")
ROUND_PURPOSES = ("train", "repeat", "trap")
"""purposes of the comparisons of a training round; a blind test is apart"""
CAMPAIGN_PURPOSES = ("train", "blind_test")
OUTCOMES = ("left", "right", "tie", "both_bad", "skip")
HEARD_TIME = "heard_time"
"""why a vote is set aside: it claims more listening than can have passed"""
JOB_STATES = ("queued", "running", "done", "failed", "stopped")


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment, kept as UTC; SQLite has no time zones, so there it stands without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database.

        Raises:
            ValueError: for a moment without a time zone.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone; use datetime.now(UTC)")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """All tables; constraints have names, so that a migration can change them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        dict[str, Any]: JSON(none_as_null=True),
        list[str]: JSON(none_as_null=True),
    }


def _one_of(column: str, values: Sequence[str]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


class RaterRow(Base):
    """Someone who votes, by pseudonym; or a simulated listener, marked as such."""

    __tablename__ = "raters"
    # Ids are not used again after a withdrawal, or an old export would name the wrong person.
    __table_args__ = (_one_of("kind", RATER_KINDS), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    nickname: Mapped[str] = mapped_column(String(40), unique=True)
    nickname_skeleton: Mapped[str] = mapped_column(String(80), index=True, server_default="")
    """the same for names that look alike (`reward.store.nicknames`); not unique, because raters of
    older versions and imported ones keep their names"""
    kind: Mapped[str] = mapped_column(String(16))
    consent_version: Mapped[str] = mapped_column(String(40))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    origins_told_at: Mapped[datetime | None]
    """when the library last told them who wrote what: votes cast until then are not taken back"""


class MelodyRow(Base):
    """A melody of the pool and where it came from; the same tokens are one row."""

    __tablename__ = "melodies"

    id: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    tokens: Mapped[bytes] = mapped_column(LargeBinary)
    header: Mapped[dict[str, Any]]
    tonic_midi: Mapped[int]
    policy_id: Mapped[str] = mapped_column(String(80))
    step: Mapped[int]
    sampler: Mapped[str] = mapped_column(String(80))
    seed: Mapped[int] = mapped_column(BigInteger)
    features: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime]


class CampaignRow(Base):
    """Comparisons that belong together; for a blind test, of two policies."""

    __tablename__ = "campaigns"
    __table_args__ = (
        _one_of("purpose", CAMPAIGN_PURPOSES),
        CheckConstraint(
            "(purpose = 'blind_test') = (policy_a IS NOT NULL) "
            "AND (policy_a IS NULL) = (policy_b IS NULL) "
            "AND (policy_a IS NULL) = (policy_a_id IS NULL) "
            "AND (policy_b IS NULL) = (policy_b_id IS NULL)",
            name="policies",
        ),
        CheckConstraint("votes_wanted > 0", name="votes_wanted"),
        {"sqlite_autoincrement": True},  # an old link never leads to another test
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    purpose: Mapped[str] = mapped_column(String(16))
    policy_a: Mapped[str | None] = mapped_column(String(80))
    policy_b: Mapped[str | None] = mapped_column(String(80))
    """names of the policies; which of a pair's melodies is whose, its `policy_id` says"""
    policy_a_id: Mapped[str | None] = mapped_column(String(80))
    policy_b_id: Mapped[str | None] = mapped_column(String(80))
    """the `policy_id` of their melodies"""
    round: Mapped[int]
    votes_wanted: Mapped[int]
    votes_per_rater: Mapped[int | None]
    """votes of one rater that count at most; None for any number"""
    invite_only: Mapped[bool] = mapped_column(server_default=false())
    """only its guests hear its comparisons"""
    invite_token_hash: Mapped[str | None] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    """from then on its comparisons are not shown, and votes do not count for it"""
    revealed_at: Mapped[datetime | None]
    """from then on people may see the result"""


class CampaignGuestRow(Base):
    """A rater who came to a campaign by its invitation."""

    __tablename__ = "campaign_guests"

    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"), primary_key=True)
    rater_id: Mapped[int] = mapped_column(ForeignKey("raters.id"), primary_key=True)
    created_at: Mapped[datetime]


class ComparisonRow(Base):
    """Two melodies to be heard against each other. In a trap, `melody_a` is the good one."""

    __tablename__ = "comparisons"
    __table_args__ = (
        _one_of("purpose", PURPOSES),
        CheckConstraint("melody_a <> melody_b", name="two_melodies"),
        CheckConstraint("(purpose = 'repeat') = (repeat_of IS NOT NULL)", name="repeat_of"),
        CheckConstraint("probability > 0 AND probability <= 1", name="probability"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(index=True)
    """place in the plan: earlier ones are shown first"""
    round: Mapped[int]
    melody_a: Mapped[int] = mapped_column(ForeignKey("melodies.id"))
    melody_b: Mapped[int] = mapped_column(ForeignKey("melodies.id"))
    purpose: Mapped[str] = mapped_column(String(16))
    repeat_of: Mapped[UUID | None] = mapped_column(ForeignKey("comparisons.id"))
    strategy: Mapped[str] = mapped_column(String(40))
    probability: Mapped[float | None] = mapped_column(Double)
    """with which the strategy chose this pair, where it is known"""
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaigns.id"), index=True)
    created_at: Mapped[datetime]


class AssignmentRow(Base):
    """One comparison shown to one rater."""

    __tablename__ = "assignments"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    comparison_id: Mapped[UUID] = mapped_column(ForeignKey("comparisons.id"), index=True)
    rater_id: Mapped[int] = mapped_column(ForeignKey("raters.id"))
    left_is_a: Mapped[bool]
    reopens: Mapped[bool]
    """shown again by an undo: its vote supersedes the rater's last on this comparison; false again
    once the rater has answered that comparison by another assignment"""
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    """when it was voted on or let go; while it is None the assignment is live"""

    __table_args__ = (
        Index("ix_assignments_rater_id_comparison_id", "rater_id", "comparison_id"),
        Index("ix_assignments_rater_id_issued_at", "rater_id", "issued_at"),
        Index(
            "uq_assignments_live_rater",
            "rater_id",
            unique=True,
            sqlite_where=text("closed_at IS NULL"),
            postgresql_where=text("closed_at IS NULL"),
        ),
    )


class VoteRow(Base):
    """What a rater answered; never changed after it is written."""

    __tablename__ = "votes"
    __table_args__ = (
        _one_of("outcome", OUTCOMES),
        CheckConstraint("strength IN (1, 2)", name="strength"),
        CheckConstraint(
            "heard_ms_left >= 0 AND heard_ms_right >= 0 AND plays_left >= 0 AND plays_right >= 0 "
            "AND latency_ms >= 0",
            name="not_negative",
        ),
        {"sqlite_autoincrement": True},  # trainings name votes by id, also those withdrawn since
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    assignment_id: Mapped[UUID] = mapped_column(ForeignKey("assignments.id"), unique=True)
    outcome: Mapped[str] = mapped_column(String(16))
    strength: Mapped[int]
    reasons: Mapped[list[str]]
    comment: Mapped[str] = mapped_column(Text)
    heard_ms_left: Mapped[int]
    heard_ms_right: Mapped[int]
    plays_left: Mapped[int]
    plays_right: Mapped[int]
    latency_ms: Mapped[int]
    nonce: Mapped[str] = mapped_column(String(64), unique=True)
    renderer: Mapped[str] = mapped_column(String(200))
    app_version: Mapped[str] = mapped_column(String(80))
    supersedes: Mapped[int | None] = mapped_column(ForeignKey("votes.id"), unique=True)
    set_aside: Mapped[str | None] = mapped_column(String(16))
    """why the vote is kept but not counted, such as `HEARD_TIME`; None for one that counts"""
    created_at: Mapped[datetime]


class FavouriteRow(Base):
    """A melody that a rater keeps at hand in the library; it is no vote."""

    __tablename__ = "favourites"

    rater_id: Mapped[int] = mapped_column(ForeignKey("raters.id"), primary_key=True)
    melody_id: Mapped[int] = mapped_column(ForeignKey("melodies.id"), primary_key=True)
    created_at: Mapped[datetime]


def is_current(vote: type[VoteRow] = VoteRow) -> ColumnElement[bool]:
    """SQL: no later vote supersedes this one."""
    later = aliased(VoteRow)
    return ~exists().where(later.supersedes == vote.id)


class TrainingRow(Base):
    """A run that learnt from votes; it stays when a rater withdraws, and says how many are gone."""

    __tablename__ = "trainings"

    run_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    votes_used: Mapped[int]
    votes_withdrawn: Mapped[int]
    recorded_at: Mapped[datetime]


class TrainingVoteRow(Base):
    """Which votes a run learnt from."""

    __tablename__ = "training_votes"

    run_id: Mapped[str] = mapped_column(ForeignKey("trainings.run_id"), primary_key=True)
    vote_id: Mapped[int] = mapped_column(ForeignKey("votes.id"), primary_key=True, index=True)


class JobRow(Base):
    """A detached process and what is known of it. Moments end in `_at`, seconds in `_s`."""

    __tablename__ = "jobs"
    __table_args__ = (_one_of("state", JOB_STATES),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    run_id: Mapped[str | None] = mapped_column(String(64), index=True)
    config: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(16), index=True)
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    host: Mapped[str | None] = mapped_column(String(255))
    pid: Mapped[int | None]
    process_created_s: Mapped[float | None] = mapped_column(Double)
    """the process's create time: a pid alone may by now be another process"""
    heartbeat_at: Mapped[datetime | None]
    lease_expires_at: Mapped[datetime | None]
    cancel_requested: Mapped[bool]
    exit_code: Mapped[int | None]
    last_checkpoint: Mapped[str | None] = mapped_column(String(255))
    resumes: Mapped[UUID | None] = mapped_column(ForeignKey("jobs.id"))
    message: Mapped[str] = mapped_column(Text)
    """one line for people: progress, or why it failed"""

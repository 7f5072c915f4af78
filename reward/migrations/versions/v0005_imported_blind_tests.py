"""Blind tests that were imported get a campaign, so that their results can be revealed.

Comparisons of a blind test that are in no campaign are put into one for each two policies. It is
closed: its pairs are not heard here, and it is revealed in the studio.
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NAME = "Imported blind test"
SHOWN_ID_LETTERS = 12


def upgrade() -> None:
    """Make the campaigns."""
    connection = op.get_bind()
    comparisons = sa.table(
        "comparisons",
        *(sa.column(name) for name in ("id", "melody_a", "melody_b", "purpose", "campaign_id")),
    )
    melodies = sa.table("melodies", sa.column("id"), sa.column("policy_id"))
    campaigns = sa.table(
        "campaigns",
        *(sa.column(name) for name in ("id", "name", "purpose", "policy_a", "policy_b")),
        *(sa.column(name) for name in ("policy_a_id", "policy_b_id", "round", "votes_wanted")),
        sa.column("created_at", sa.DateTime(timezone=True)),
        sa.column("closed_at", sa.DateTime(timezone=True)),
    )
    one, other = melodies.alias(), melodies.alias()
    pairs = connection.execute(
        sa.select(comparisons.c.id, one.c.policy_id, other.c.policy_id)
        .join(one, one.c.id == comparisons.c.melody_a)
        .join(other, other.c.id == comparisons.c.melody_b)
        .where(comparisons.c.purpose == "blind_test", comparisons.c.campaign_id.is_(None))
    ).all()
    tests: dict[tuple[str, ...], list[object]] = {}
    for key, *writers in pairs:
        if len(set(writers)) == 2:
            tests.setdefault(tuple(sorted(writers)), []).append(key)
    taken = set(connection.scalars(sa.select(campaigns.c.name)))
    now, number = datetime.now(UTC), 0
    for (a_id, b_id), keys in tests.items():
        number += 1
        while (name := f"{NAME} {number}") in taken:
            number += 1
        a, b = a_id[:SHOWN_ID_LETTERS], b_id[:SHOWN_ID_LETTERS]
        connection.execute(
            campaigns.insert().values(
                name=name,
                purpose="blind_test",
                policy_a=a if a != b else a_id,
                policy_b=b if a != b else b_id,
                policy_a_id=a_id,
                policy_b_id=b_id,
                round=1,
                votes_wanted=len(keys),
                created_at=now,
                closed_at=now,
            )
        )
        made = connection.scalar(sa.select(campaigns.c.id).where(campaigns.c.name == name))
        for key in keys:
            connection.execute(
                comparisons.update().where(comparisons.c.id == key).values(campaign_id=made)
            )


def downgrade() -> None:
    """Nothing: a campaign of an older version looks the same."""

"""Blind tests of an export: each becomes a campaign here, so that its result can be revealed.

An export names the campaign of a comparison, but not its policies by name, so they are named by the
beginning of their ids. An imported test is closed: its pairs are not heard here, because the votes
that count are collected where it was made. Its melodies stay sealed (`reward.store.sealed`) until
somebody reveals it in the studio.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain, count
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from reward.exchange.import_comparisons import ReadComparison, StoredComparison
from reward.store.campaigns import MOST_VOTES_WANTED, Policies, create_campaign
from reward.store.database import RatingsError
from reward.store.pool import batches
from reward.store.schema import CampaignRow, ComparisonRow, MelodyRow

UNNAMED = "Imported blind test"
SHOWN_ID_LETTERS = 12
MOST_BLIND_TESTS = 1000
"""of one import"""


def store_blind_tests(
    session: Session,
    read: Sequence[ReadComparison],
    comparisons: Mapping[UUID, StoredComparison],
    *,
    now: datetime,
) -> None:
    """Put the comparisons of imported blind tests into campaigns, by name and policies.

    Comparisons that are in a campaign stay there, and others of the same test join them. Melodies
    of one policy are no blind test of two, so such a comparison stays in no campaign.

    Raises:
        RatingsError: for more than `MOST_BLIND_TESTS`.
    """
    policy_of = _policies(session, comparisons.values())
    tests: dict[tuple[str, tuple[str, ...]], list[StoredComparison]] = defaultdict(list)
    for one in read:
        comparison = None if one.row.reasons else comparisons.get(one.key)
        if comparison is None or comparison.purpose != "blind_test":
            continue
        writers = {policy_of[comparison.melody_a], policy_of[comparison.melody_b]}
        if len(writers) == 2:
            tests[one.campaign or UNNAMED, tuple(sorted(writers))].append(comparison)
    if len(tests) > MOST_BLIND_TESTS:
        raise RatingsError(
            f"the comparisons are of {len(tests)} blind tests, and {MOST_BLIND_TESTS} is the most; "
            "import them in parts"
        )
    taken = set(session.scalars(select(CampaignRow.name))) if tests else set()
    for (name, (a_id, b_id)), pairs in tests.items():
        known = {pair.campaign_id for pair in pairs if pair.campaign_id is not None}
        if known:
            campaign = session.get_one(CampaignRow, min(known))
        else:
            a, b = a_id[:SHOWN_ID_LETTERS], b_id[:SHOWN_ID_LETTERS]
            names = (a, b) if a != b else (a_id, b_id)
            made = create_campaign(
                session,
                _free_name(name, taken),
                purpose="blind_test",
                votes_wanted=min(len(pairs), MOST_VOTES_WANTED),
                now=now,
                policies=Policies(a=names[0], b=names[1], a_id=a_id, b_id=b_id),
                round=pairs[0].round,
            )
            taken.add(made.name)
            campaign = session.get_one(CampaignRow, made.id)
            campaign.closed_at = now
        if campaign.closed_at is not None and campaign.revealed_at is None:
            campaign.closed_at = now  # votes that came with this import count
        for some in batches(pair.id for pair in pairs if pair.campaign_id is None):
            joined = update(ComparisonRow).where(ComparisonRow.id.in_(some))
            session.execute(joined.values(campaign_id=campaign.id))
    session.flush()


def _policies(session: Session, comparisons: Iterable[StoredComparison]) -> dict[int, str]:
    """The `policy_id` of each melody of these comparisons."""
    ids = {melody_id for row in comparisons for melody_id in (row.melody_a, row.melody_b)}
    found: dict[int, str] = {}
    for batch in batches(ids):
        query = select(MelodyRow.id, MelodyRow.policy_id).where(MelodyRow.id.in_(batch))
        found.update((melody_id, policy_id) for melody_id, policy_id in session.execute(query))
    return found


def _free_name(name: str, taken: Collection[str]) -> str:
    """The name as far as it prints, with a number behind it where another campaign has it."""
    tidy = " ".join("".join(letter for letter in name if letter.isprintable()).split())[:70]
    tidy = tidy.strip() or UNNAMED
    numbered = (f"{tidy} ({number})" for number in count(2))
    return next(tried for tried in chain([tidy], numbered) if tried not in taken)

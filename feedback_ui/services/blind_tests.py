"""Blind tests as the studio shows them: what may be known of each before it ends, and after.

Before the end there is a number of votes and nothing else: not which policy leads, nor to whom. A
test ends by itself when the stopping rule (`reward.blind_test.stopping_rule`) has its answer or as
many votes as were wanted are in, or when an organiser ends it; then it is closed and revealed at
once. A test that was imported is closed from the start, and only an organiser reveals it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from music.key_choice import ANY
from reward.blind_test.stopping_rule import (
    ALPHA,
    Claim,
    Tally,
    first_claim,
    in_words,
    more_votes,
    tally,
)
from reward.store import campaign_guests, campaigns
from reward.store.campaign_votes import Said, campaign_votes
from reward.store.campaigns import Campaign
from reward.store.database import database_time
from reward.store.store import RatingsError, RatingsStore

PURPOSES = ("blind_test",)


@dataclass(frozen=True, slots=True)
class Standing:
    """What anyone may know of a test at any time."""

    id: int
    name: str
    votes: int
    """that count"""
    votes_wanted: int
    raters: int
    """who have said something, also what does not count"""
    has_ended: bool
    is_imported: bool
    """it was held elsewhere: its pairs are not heard here, and it ends when an organiser says so"""
    votes_per_rater: int | None
    """of one rater, how many count at most"""
    invite_only: bool
    """only who came by its invitation hears it"""
    set_aside: int
    """votes that claim more listening than can have been; they do not count"""

    @property
    def most_more(self) -> int:
        """How many more votes it takes at most."""
        return max(0, self.votes_wanted - self.votes)

    @property
    def progress(self) -> float:
        """0 to 1."""
        return min(1.0, self.votes / self.votes_wanted)


@dataclass(frozen=True, slots=True)
class RaterTally:
    """One rater's votes in a test that has ended."""

    nickname: str
    tally: Tally
    """of all that they said, counted for the test or not, but for what was set aside"""
    undecided: int
    """both are bad, or skipped"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a test that has ended."""

    a: str
    b: str
    """names of the policies"""
    tally: Tally
    claim: Claim | None
    """what the stopping rule says; None when it was not reached"""
    undecided: int
    """votes that say nothing of which is better"""
    again: int
    """votes on a pair that had counted already"""
    set_aside: int
    """votes that claim more listening than can have been"""
    beyond_share: int
    """votes of a rater of whom as many as count were in"""
    raters: tuple[RaterTally, ...]
    """who said most first"""

    @property
    def words(self) -> str:
        """A sentence for people."""
        return in_words(self.tally, self.a, self.b, self.claim)


def list_tests(store: RatingsStore) -> list[Standing]:
    """All blind tests: open ones first, and the newest first among them."""
    with store.reading() as session:
        found = [
            _standing(campaign, campaign_votes(session, campaign.id))
            for campaign in campaigns.list_campaigns(session, purpose="blind_test")
        ]
    return sorted(found, key=lambda standing: standing.has_ended)


def find_test(store: RatingsStore, test_id: str) -> Standing | None:
    """The test of this id, as it stands in an address; None when it is of none."""
    if not (test_id.isascii() and test_id.isdigit() and len(test_id) < 10):
        return None
    return next((test for test in list_tests(store) if test.id == int(test_id)), None)


def invited_to(store: RatingsStore, token: str) -> Standing | None:
    """The test that an invitation leads to, if any."""
    with store.reading() as session:
        campaign = campaigns.campaign_by_invite(session, token) if token else None
        if campaign is None or campaign.purpose != "blind_test":
            return None
        return _standing(campaign, campaign_votes(session, campaign.id))


def settle(store: RatingsStore, test_id: int) -> Standing:
    """End the test if its time has come; how it stands.

    Raises:
        RatingsError: for an unknown test, or a database that cannot be used.
    """
    with store.reading() as session:
        campaign = campaigns.get_campaign(session, test_id)
        said = campaign_votes(session, test_id)
    standing = _standing(campaign, said)
    if (
        standing.is_imported
        or standing.has_ended
        or not (standing.votes >= standing.votes_wanted or _claim(said))
    ):
        return standing
    return end(store, test_id)


def end(store: RatingsStore, test_id: int) -> Standing:
    """Close a test and reveal its result; ended again, nothing changes.

    Raises:
        RatingsError: for an unknown test, or a database that cannot be used.
    """
    with store.writing() as session:
        campaign = campaigns.reveal_campaign(session, test_id, now=database_time(session))
        return _standing(campaign, campaign_votes(session, test_id))


def advice(store: RatingsStore, test_id: int) -> str:
    """For an organiser, while a test goes on: how many more votes it takes, if they go on so.

    It tells how far apart the policies seem to be, but not which of them is better.

    Raises:
        RatingsError: for an unknown test, or a database that cannot be used.
    """
    with store.reading() as session:
        campaign = campaigns.get_campaign(session, test_id)
        said = campaign_votes(session, test_id)
    so_far, left = _tally_of(said), _standing(campaign, said).most_more
    more = more_votes(so_far)
    if so_far.votes < 10:
        return "After ten votes there is a forecast here of how many more it takes."
    if more is None or more > left:
        return (
            f"Going on like this, {left} more votes, which is all that were wanted, will hardly "
            "tell the two apart."
        )
    return f"Going on like this, about {max(1, more)} more votes are needed for a clear answer."


def outcome(store: RatingsStore, test_id: int) -> Outcome:
    """The result of a test that has ended.

    Raises:
        RatingsError: while it has not, or for an unknown test.
    """
    with store.reading() as session:
        campaign = campaigns.get_campaign(session, test_id)
        said = campaign_votes(session, test_id)
    if campaign.revealed_at is None or campaign.policies is None:
        raise RatingsError(
            f"the blind test {campaign.name!r} has not ended; its result is told when it has"
        )
    decides = [vote for vote in said if _decides(vote)]
    set_aside = sum(vote.set_aside for vote in said)
    beyond_share = sum(vote.beyond_share for vote in said)
    return Outcome(
        a=campaign.policies.a,
        b=campaign.policies.b,
        tally=_tally_of(said),
        claim=_claim(said),
        undecided=len(said) - len(decides) - set_aside,
        again=sum(not vote.counts for vote in decides) - beyond_share,
        set_aside=set_aside,
        beyond_share=beyond_share,
        raters=_by_rater(said),
    )


def policies_of(store: RatingsStore, test_id: int) -> tuple[str, str]:
    """The names of the two policies, for an organiser.

    Raises:
        RatingsError: for an unknown test.
    """
    with store.reading() as session:
        policies = campaigns.get_campaign(session, test_id).policies
    return (policies.a, policies.b) if policies is not None else ("", "")


def new_invitation(store: RatingsStore, test_id: int) -> str:
    """A token for the address that leads to the test; the one before leads nowhere any more.

    Raises:
        RatingsError: for an unknown test, or a database that cannot be used.
    """
    with store.writing() as session:
        return campaigns.invite(session, test_id)


def admit(store: RatingsStore, test_id: int, rater_id: int) -> None:
    """Remember that a rater was invited to the test.

    Raises:
        RatingsError: for an unknown test, or a database that cannot be used.
    """
    with store.reading() as session:
        is_known = campaign_guests.is_guest(session, test_id, rater_id)
    if not is_known:
        with store.writing() as session:
            campaign_guests.admit(session, test_id, rater_id, now=database_time(session))


def may_hear(store: RatingsStore, test_id: int, rater_id: int) -> bool:
    """Whether the pairs of the test are for this rater.

    Raises:
        RatingsError: for an unknown test.
    """
    with store.reading() as session:
        invite_only = campaigns.get_campaign(session, test_id).invite_only
        return not invite_only or campaign_guests.is_guest(session, test_id, rater_id)


def has_given_share(store: RatingsStore, test_id: int, rater_id: int) -> bool:
    """Whether as many votes of the rater are in as count of one rater.

    Raises:
        RatingsError: for an unknown test.
    """
    with store.reading() as session:
        campaign = campaigns.campaign_row(session, test_id)
        return campaign_guests.has_given_share(session, campaign, rater_id)


def change_rules(
    store: RatingsStore, test_id: int, *, votes_per_rater: int | None, invite_only: bool
) -> None:
    """Say anew how many votes of one rater count, and whether the test is by invitation only.

    Raises:
        RatingsError: for an unknown test, or a number out of range.
    """
    with store.writing() as session:
        campaigns.change_rules(
            session, test_id, votes_per_rater=votes_per_rater, invite_only=invite_only
        )


def rule_in_words() -> str:
    """What ends a test, for people who ask."""
    return (
        f"A test ends as soon as the answer is clear, or when the votes wanted are in. Of two "
        f"policies that are liked equally, one is called better in at most {ALPHA:.0%} of tests, "
        "although the votes are counted after each. Ties count beside, not as half a win; "
        "“both are bad” and skipped pairs do not count, and each pair counts once. Votes that "
        "claim more listening than there was time for do not count, nor votes of one person beyond "
        "the share of the test that one person has."
    )


def counted(number: int, one: str, many: str) -> str:
    """Such as "1 vote", "2 votes"."""
    return f"{number} {one if number == 1 else many}"


def _standing(campaign: Campaign, said: Sequence[Said]) -> Standing:
    return Standing(
        id=campaign.id,
        name=campaign.name,
        votes=_tally_of(said).votes,
        votes_wanted=campaign.votes_wanted,
        raters=len({vote.rater for vote in said}),
        has_ended=campaign.revealed_at is not None,
        is_imported=campaign.closed_at is not None and campaign.revealed_at is None,
        votes_per_rater=campaign.votes_per_rater,
        invite_only=campaign.invite_only,
        set_aside=sum(vote.set_aside for vote in said),
    )


def _tally_of(said: Sequence[Said]) -> Tally:
    return tally(vote.outcome for vote in said if vote.counts)


def _claim(said: Sequence[Said]) -> Claim | None:
    return first_claim(vote.outcome for vote in said if vote.counts)


def _decides(vote: Said) -> bool:
    return vote.outcome in ("a", "b", "tie") and not vote.set_aside


def _by_rater(said: Sequence[Said]) -> tuple[RaterTally, ...]:
    found: list[RaterTally] = []
    for nickname in dict.fromkeys(vote.rater for vote in said):
        theirs = [vote for vote in said if vote.rater == nickname and not vote.set_aside]
        decides = [vote.outcome for vote in theirs if _decides(vote)]
        found.append(RaterTally(nickname, tally(decides), len(theirs) - len(decides)))
    return tuple(sorted(found, key=lambda rater: -rater.tally.votes))


def blind_test_arguments(
    a: str,
    b: str,
    *,
    name: str,
    votes: int,
    votes_per_rater: int,
    invite_only: bool,
    seed: int,
    meter: str = ANY,
    mode: str = ANY,
    style: str = ANY,
    bars: str = ANY,
    key: str = "D",
    compass: str = "",
) -> list[str]:
    """Arguments of the command that writes a test's melodies.

    Args:
        a: name of a policy.
        b: name of the other.
        name: of the test; a default one if empty.
        votes: after which the test ends.
        votes_per_rater: of one rater, how many count at most.
        invite_only: only who opens its invitation hears it.
        seed: of writing.
        meter: of all melodies, or 'any', which leaves it to the policies.
        mode: the same.
        style: the same.
        bars: the same.
        key: the tonic of all pairs, or 'any', a key for each pair.
        compass: lowest and highest note, such as 'A3-E5'; no bounds if empty.
    """
    return [
        "blind-test",
        *([f"--name={name}"] if name.strip() else []),
        *(f"--votes={votes}", f"--votes-per-rater={votes_per_rater}"),
        *(["--invite-only"] if invite_only else []),
        *(f"--meter={meter}", f"--mode={mode}", f"--style={style}", f"--bars={bars}"),
        *(f"--key={key}", f"--seed={seed}"),
        *([f"--range={compass}"] if compass.strip() else []),
        *("--", a, b),  # a name that begins with a dash is no option
    ]

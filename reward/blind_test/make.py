"""The pairs of a blind test: melodies of two policies under the same headers, in no telling order.

Metre, mode, style, bars and pickup are the same on both sides of a pair, so that what is compared
is the melody. What was not asked for is chosen by the one policy in half of the pairs and by the
other in the rest, so that neither is always on ground of its own choice. Only what both policies
were trained on is chosen. Where they share no style but "other", each writes in styles of its own.

Which of a pair comes first, as melody a of the comparison and in the order of ids, is chance: whose
a melody is, only its `policy_id` says. So only melodies that are new to the store are taken.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil

import numpy as np
import torch

from music.key_choice import KeyChoice
from music.melody import Melody
from music.progress import Progress, no_progress
from music.styles import OTHER
from music.tokens import FIRST_REST, HEADER_LENGTH, ID, VOCABULARY, decode
from policy.compose import Conditioning, allowed_tokens, keys_beside
from policy.decode import sample
from policy.model import MelodyForCausalLM
from policy.runs import RunError
from policy.scope import Scope, scope_of, styles_of
from reward.store.campaigns import Campaign, Policies, create_campaign, default_name, free_name
from reward.store.pool import PlannedPair, add_melodies, add_plan, tokens_to_bytes
from reward.store.store import RatingsStore

PURPOSE = "blind_test"
SPARE = 0.2
"""pairs beyond the votes wanted, because "both are bad" and skips do not count"""
LEAST_BATCH, BATCH = 16, 128
"""pairs written at a time; a few when a few are missing, for a policy may repeat itself"""
SHARE_OF_ONE = 0.25
"""of the votes wanted, those that count of one rater, unless told otherwise"""
STYLE_PLACE = 3
"""of the style among the tokens of a header"""
VAIN_BATCHES = 3
"""batches in a row without a new melody after which to give up"""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A policy in a blind test."""

    name: str
    policy_id: str
    """hash of its weights"""
    model: MelodyForCausalLM


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindTestConfig:
    """How a blind test is made."""

    name: str | None = None
    """told to the raters too; by default one that does not tell the policies"""
    votes: int = 200
    """votes that count after which it ends, if the stopping rule has not ended it"""
    votes_per_rater: int | None = None
    """votes of one rater that count at most; a quarter of the votes when None"""
    invite_only: bool = False
    """only who opens its invitation hears it"""
    melodies: int | None = None
    """pairs, that is melodies of each policy; a fifth more than votes when None"""
    seed: int = 0
    """of writing and ordering"""

    def __post_init__(self) -> None:
        """Refuse no votes, none of a rater, and fewer pairs than votes.

        Raises:
            RunError: with the numbers that can be.
        """
        if self.votes < 1:
            raise RunError(f"votes={self.votes} is below 1; 200 is usual")
        if self.votes_per_rater is not None and self.votes_per_rater < 1:
            raise RunError(
                f"votes_per_rater={self.votes_per_rater} is below 1; a quarter of votes is usual"
            )
        if self.melodies is not None and self.melodies < self.votes:
            raise RunError(
                f"melodies={self.melodies} is below votes={self.votes}; each pair counts once, so "
                "ask for as many melodies as votes, or more"
            )

    @property
    def share(self) -> int:
        """How many votes of one rater count at most."""
        return self.votes_per_rater or ceil(self.votes * SHARE_OF_ONE)

    @property
    def pairs(self) -> int:
        """How many pairs are written."""
        return ceil(self.votes * (1 + SPARE)) if self.melodies is None else self.melodies


def make_blind_test(
    store: RatingsStore,
    a: Contestant,
    b: Contestant,
    conditioning: Conditioning,
    config: BlindTestConfig,
    *,
    keys: KeyChoice | None = None,
    progress: Progress = no_progress,
) -> Campaign:
    """Write the melodies, and store them with their pairs and the campaign, all or nothing.

    Both melodies of a pair have one key, by `keys`; by default D.

    Raises:
        RunError: when the policies write nothing that is new, one of them was not trained on what
            is asked for, or they have no metre, mode or length in common.
        RatingsError: for a name that is taken, or a policy against itself.
    """
    policies = Policies(a=a.name, b=b.name, a_id=a.policy_id, b_id=b.policy_id)
    if config.name is not None:
        with store.reading() as session:  # before the work
            free_name(session, config.name)
    for one in (a, b):
        try:
            conditioning.prompt(1, scope_of(one.model))
        except ValueError as error:
            raise RunError(f"{one.name}: {error}") from error
    known = set(store.melodies_frame()["sha256"])
    pairs = write_pairs(
        a.model,
        b.model,
        conditioning,
        config.pairs,
        config.seed,
        known,
        keys=keys,
        progress=progress,
    )
    rng = np.random.default_rng([config.seed, 1])
    now = datetime.now(UTC)
    with store.writing() as session:
        campaign = create_campaign(
            session,
            config.name or default_name(session),
            purpose=PURPOSE,
            votes_wanted=config.votes,
            votes_per_rater=config.share,
            invite_only=config.invite_only,
            policies=policies,
            now=now,
        )
        plan: list[PlannedPair] = []
        for place in rng.permutation(len(pairs)):
            both = [(pairs[place][0], a.policy_id), (pairs[place][1], b.policy_id)]
            if rng.random() < 0.5:
                both.reverse()
            first, second = (
                add_melodies(
                    session,
                    [melody],
                    policy_id=policy_id,
                    step=0,
                    sampler="temperature 1",
                    seed=config.seed,
                    features=None,
                    now=now,
                )[0]
                for melody, policy_id in both
            )
            plan.append(PlannedPair(first, second, PURPOSE))
        add_plan(
            session,
            plan,
            round=campaign.round,
            strategy="same header",
            probability=None,
            campaign_id=campaign.id,
            now=now,
        )
    return campaign


def write_pairs(
    a: MelodyForCausalLM,
    b: MelodyForCausalLM,
    conditioning: Conditioning,
    count: int,
    seed: int,
    known: set[str],
    *,
    keys: KeyChoice | None = None,
    progress: Progress = no_progress,
) -> list[tuple[Melody, Melody]]:
    """Pairs of a melody of `a` and one of `b` of equal headers, none of them known or twice.

    Args:
        a: one policy.
        b: the other.
        conditioning: what is asked of every melody.
        count: how many pairs.
        seed: the same seed and policies give the same pairs.
        known: sha256 of tokens that are not to come again.
        keys: the key of each pair, and the compass; D when None.
        progress: is told how many pairs are written.

    Raises:
        RunError: when nothing new comes any more, or the policies have no metre, mode or length in
            common.
        ValueError: when what is asked cannot be written.
    """
    generator = torch.Generator(a.lm_head.weight.device).manual_seed(seed)
    taken, pairs, vain, a_leads = set(known), list[tuple[Melody, Melody]](), 0, True
    keys, drawn = keys or keys_beside(conditioning), 0
    while len(pairs) < count:
        before = len(pairs)
        size = min(BATCH, max(LEAST_BATCH, count - len(pairs)))
        for leading in ((size + 1) // 2, size // 2):
            if leading:
                lead, follow = (a, b) if a_leads else (b, a)
                prompts = conditioning.prompt(leading, scope_of(lead))
                tonics = keys.tonics(drawn + leading, seed)[drawn:]
                drawn += leading
                bounds = keys.pitch_bounds(tonics)
                in_range = None if bounds is None else allowed_tokens(bounds)
                written = _under_one_header(lead, follow, prompts, tonics, in_range, generator)
                pairs += _fresh(written if a_leads else [(y, x) for x, y in written], taken)
            a_leads = not a_leads
        del pairs[count:]
        progress(len(pairs), count)
        vain = vain + 1 if len(pairs) == before else 0
        if vain == VAIN_BATCHES:
            raise RunError(
                f"the policies wrote {len(pairs)} of {count} pairs and then nothing that is not in "
                "the store; ask for fewer, or for another metre or length"
            )
    return pairs


def _under_one_header(
    lead: MelodyForCausalLM,
    follow: MelodyForCausalLM,
    given: np.ndarray,
    tonics: np.ndarray,
    in_range: np.ndarray | None,
    generator: torch.Generator,
) -> list[tuple[Melody, Melody]]:
    """Melodies of `lead` as asked, each with one of `follow` under its header and in its key."""
    leading, style_of_lead = _common(scope_of(lead), scope_of(follow))
    allowed = in_range
    if leading is not None:
        leading_BV = np.tile(leading, (len(given), 1))
        allowed = leading_BV if in_range is None else in_range & leading_BV
    first = sample(lead, given, generator=generator, allowed_BV=allowed)
    following = given.copy()
    following[:, :HEADER_LENGTH] = first.ids[:, :HEADER_LENGTH].cpu().numpy()
    following[:, STYLE_PLACE] = style_of_lead[following[:, STYLE_PLACE]]
    second = sample(follow, following, generator=generator, allowed_BV=in_range)
    return [
        (decode(one, int(tonic), styles_of(lead)), decode(other, int(tonic), styles_of(follow)))
        for one, other, tonic in zip(first.rows(), second.rows(), tonics, strict=True)
    ]


def _common(lead: Scope, follow: Scope) -> tuple[np.ndarray | None, np.ndarray]:
    """What `lead` may write so that `follow` can take up its header.

    Returns bool (V,), None for all that it knows; and the token of `follow` for each style token of
    `lead`, int64 (V,), -1 where it is to choose one.

    Raises:
        RunError: when they have no metre, mode or length in common.
    """
    style_of_lead = np.full(len(VOCABULARY), -1)
    shared = [label for label in lead.styles.labels if label in follow.styles.labels]
    if shared == [OTHER] and lead.styles != follow.styles:
        shared = []
    for label in shared:
        style = f"STYLE_{lead.styles.slot(label)}"
        style_of_lead[ID[style]] = ID[f"STYLE_{follow.styles.slot(label)}"]
    allowed = follow.known.copy()
    allowed[FIRST_REST:] = True
    for slot, label in enumerate(lead.styles.labels):
        allowed[ID[f"STYLE_{slot}"]] = not shared or label in shared
    if not (lead.known & ~allowed).any():
        return None, style_of_lead
    for kind, values in (("METER", "metre"), ("MODE", "mode"), ("BARS", "number of bars")):
        if not any(
            lead.known[ID[name]] and allowed[ID[name]]
            for name in VOCABULARY
            if name.startswith(f"{kind}_")
        ):
            raise RunError(
                f"the policies were trained on no common {values}, so no header suits both; "
                "compare policies that were trained on like music"
            )
    return allowed, style_of_lead


def _fresh(pairs: list[tuple[Melody, Melody]], taken: set[str]) -> list[tuple[Melody, Melody]]:
    """Those of which both melodies are new; they are taken from now on."""
    found: list[tuple[Melody, Melody]] = []
    for pair in pairs:
        hashes = {hashlib.sha256(tokens_to_bytes(melody)).hexdigest() for melody in pair}
        if len(hashes) == 2 and not hashes & taken:
            taken |= hashes
            found.append(pair)
    return found

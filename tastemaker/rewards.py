"""Commands for reward models: `reward` learns one, `taste` says in words what it has learnt."""

from __future__ import annotations

import json

import click

from tastemaker.options import (
    RUNS,
    asked_header,
    database_option,
    header_options,
    name_option,
    policy_folder,
    policy_option,
    seed_option,
)
from tastemaker.progress import shown_progress

REWARD_MODELS = ("profile", "neural", "blend")


@click.command()
@database_option
@click.option(
    "--votes-of",
    "kind",
    type=click.Choice(["person", "simulated", "both"]),
    help="Whose votes; required where the store holds both kinds, which are not mixed unasked.",
)
@click.option(
    "--model",
    type=click.Choice(REWARD_MODELS),
    default="profile",
    show_default=True,
    help="What scores; with another model than the profile, all three are compared.",
)
@click.option(
    "--more-votes",
    type=click.IntRange(1),
    default=60,
    help="Number of further votes that the forecast is for.",
)
@policy_option
@name_option
@header_options()
@seed_option
def reward(
    database: str,
    kind: str | None,
    model: str,
    more_votes: int,
    policy: str,
    name: str | None,
    meter: str,
    mode: str,
    style: str,
    bars: str,
    seed: int,
) -> None:
    """Learn a reward model from the votes; say what it is worth, and what more votes would add.

    The model is a taste profile: Bayesian Bradley-Terry-Davidson on musical features. Printed are
    held-out agreement, beside the raters' agreement with themselves and chance, and a forecast.
    While the agreement may still be chance, or with fewer than 40 pairs, it says that this cannot
    be told.

    The run's folder holds the profile (`taste.json`), the figures (`run.json`) and a model card,
    `README.md`, with plots. The first run samples a thousand melodies of the base policy to fix the
    unit of a score; they are kept in `checkpoints/runs/.base-scales/`.

    `--model neural` and `--model blend` also train small networks on the policy's trunk, and
    compare all three models on the same held-out votes, of which there must be five pairs at least.
    """
    # First: what this policy cannot do is told before torch is imported.
    base = policy_folder(policy)
    asked = asked_header([base], meter, mode, style, bars)
    with shown_progress() as shown:
        shown("loading the policy")
        from policy.checkpoint import load_policy, policy_hash
        from policy.compose import Conditioning
        from reward.profile.training import forecast_in_words
        from reward.store.store import RatingsStore
        from reward.training.fit import fit_reward
        from reward.training.model_card import CARD_FILE

        with RatingsStore(database) as store:
            store.check_writable()  # which run learnt from which votes is stored after the training
            fitted = fit_reward(
                store,
                load_policy(base),
                Conditioning(**asked),
                root=RUNS,
                kind=kind,
                parents={"base": policy_hash(base)},
                seed=seed,
                name=name,
                model=model,
                report=shown,
            )
    repeats = fitted.ceiling.self_agreement if fitted.ceiling else "no repeats yet"
    agreement = fitted.agreement or "too few votes to tell"
    click.echo(
        f"{fitted.votes} votes from {fitted.raters} rater(s), {fitted.pairs} different pairs"
    )
    if fitted.votes_sealed:
        click.echo(
            f"left out: {fitted.votes_sealed} vote(s) on melodies of a blind test that is not "
            "revealed yet"
        )
    click.echo(f"agreement {agreement}   with themselves {repeats}   chance 0.50")
    if fitted.compared:
        for name, found in fitted.compared.agreements.items():
            click.echo(f"  {name:8} {found}")
        click.echo(f"the blend's neural share is {fitted.compared.choice.weight:.0%}")
    click.echo(forecast_in_words(fitted.trained, more_votes))
    for reason in fitted.profile.explain(top=5):
        click.echo(f"  {reason}")
    click.echo(f"wrote {fitted.run.path}/{CARD_FILE}   next: tastemaker taste")


@click.command()
@click.argument("run", required=False)
@click.option("--rater", help="Id of a rater, for their own taste; by default the group's.")
@click.option("--top", type=click.IntRange(1), default=12, help="Number of features.")
@click.option("--json", "as_json", is_flag=True, help="Print all features as JSON.")
def taste(run: str | None, rater: str | None, top: int, as_json: bool) -> None:
    """Say in words what a reward model has learnt.

    What is liked and disliked, how much, and how sure that is. RUN is a reward run, by default the
    newest.
    """
    from dataclasses import asdict

    from policy.runs import RunError, open_run
    from reward.profile.profile import TasteProfile
    from reward.training.models import newest_reward

    found = open_run(run, kind="reward") if run else newest_reward()
    if found is None:
        raise RunError("there is no reward model yet; learn one: tastemaker reward")
    profile = TasteProfile.load(found.path / "taste.json")
    if as_json:
        reasons = profile.explain(len(profile.feature_names), rater)
        click.echo(json.dumps({"run": found.name, "features": [asdict(r) for r in reasons]}))
        return
    of = f"rater {rater}" if rater else f"{len(profile.raters)} rater(s)"
    words = profile.in_words(top, rater)
    click.echo(f"{found.name}: {profile.votes} votes, the taste of {of}")
    if found.record.get("model", "profile") == "neural":
        click.echo("this run scores by its neural reward; this profile learnt from the same votes")
    click.echo("in base deviations of score for one of the feature, with 90 % intervals")
    click.echo(words)

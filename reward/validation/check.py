"""Checking the taste profile on a table of judgements that somebody else made.

The melodies are divided into five folds, variants of one melody in one fold. The profile learns
from pairs of melodies outside of a fold and predicts the pairs inside it, so it has heard neither
melody of what it predicts. It learns from several numbers of pairs, and so does logistic regression
on the same features. Features are scaled by the melodies of the table.

Nothing is stored. Letters: M melodies, N pairs, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from music.limits import TableLimits
from music.messages import shortened
from music.progress import Report, no_report
from reward.comparisons.preferences import Preferences
from reward.profile.feature_scale import FeatureScale
from reward.profile.profile import TasteProfile
from reward.validation.held_out_figures import HeldOut, HeldOutFigures, Interval
from reward.validation.judged_melodies import JudgedMelodies, read_melodies
from reward.validation.judged_pairs import (
    EACH_RATER,
    Scores,
    check_decided,
    check_raters,
    choices_in_halves,
    choices_of,
    differing,
    pairs_by_score,
    pooled,
    scores_in_halves,
)
from reward.validation.judgement_table import (
    ChoiceRow,
    Judgement,
    JudgementTable,
    RefusedRow,
    ScoreRow,
    named_melodies,
    read_judgements,
)
from reward.validation.logistic import predict_logistic
from reward.validation.melody_folds import (
    FOLDS,
    ValidationError,
    assign_melodies,
    linked_melodies,
    melody_folds,
)

MOST_MELODIES = 20_000
"""files that a table may name"""
SIZES = (100, 400, 2000)
"""pairs that are learnt from, where there are more; at last all of them"""
REPEATS = {100: 2}
"""draws of the pairs of a size; one by default"""
MOST_LEARNT = 6000
"""pairs that a model learns from: more of the same melodies take time and hardly change it"""
MOST_TESTED_IN_A_FOLD = 1000
ENOUGH_TESTED = 1000
"""pairs from which on one division into folds is enough"""
DIVISIONS = 3
"""otherwise"""
LEAST_MELODIES = 2 * FOLDS
LEAST_TESTED = 10
"""pairs of unseen melodies"""


@dataclass(frozen=True, slots=True, eq=False)
class CheckedSize:
    """What the models predict of unseen melodies after so many pairs."""

    pairs: float
    """that were learnt from, on average of the folds"""
    profile: HeldOutFigures
    logistic: HeldOutFigures


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Check:
    """What came of a check."""

    table: Path
    form: str
    """"scores" or "choices\""""
    judgements: int
    """rows that were used"""
    refused: list[RefusedRow]
    melodies: JudgedMelodies
    raters: int
    """0 where the table names none"""
    pairs: int
    """comparisons to learn from, with ties and repeats; of scored melodies at most `MOST_LEARNT`"""
    ties: int
    tested: int
    """predictions of unseen melodies; of a pair one for each choice and division into folds"""
    sizes: list[CheckedSize]
    people: Interval | None
    """share of pairs on which two halves of the raters agree; None where that cannot be said"""
    profile: TasteProfile
    """learnt from all pairs"""


def check_table(
    table: Path,
    folder: Path | None = None,
    *,
    limits: TableLimits | None = None,
    seed: int = 0,
    report: Report = no_report,
) -> Check:
    """Check the profile on a table of scores or choices (`reward.validation.judgement_table`).

    Args:
        table: the file.
        folder: where the paths of melodies begin; the table's folder, if None.
        limits: of the table.
        seed: of folds, draws and intervals.
        report: is told the stage and how far it is.

    Raises:
        RatingsError: for a table that cannot be read.
        ValidationError: for a table of which too little can be used, or nothing be learnt.
    """
    read = read_judgements(
        table, limits or TableLimits(), progress=partial(report, "reading the table")
    )
    _check_named(table, read)
    melodies = read_melodies(
        named_melodies(read.judgements),
        table.parent if folder is None else folder,
        progress=partial(report, "reading melodies"),
    )
    used, refused = _usable(table, read, melodies)
    melodies = melodies.only(named_melodies(used))
    raters = len({one.rater for one in used}) if read.has_raters else 0
    count = len(melodies.features_MF)
    _check_count(table, melodies, refused)
    rng = np.random.default_rng(seed)
    scores: Scores | None = None
    if read.form == "scores":
        rows = [one for one in used if isinstance(one, ScoreRow)]
        scores, group_M = Scores.of(rows, melodies.row_of, count), melodies.group_M
        every = pairs_by_score(scores.means(), np.arange(count), MOST_LEARNT, rng)
        people = scores_in_halves(scores, group_M, seed=seed)
    else:
        choices = choices_of([one for one in used if isinstance(one, ChoiceRow)], melodies.row_of)
        every = pooled(choices, rng)
        group_M = linked_melodies(every, melodies.group_M)
        people = choices_in_halves(choices, group_M, seed=seed)
    check_decided(int(every.decided.sum()), str(table), read.form)
    folds = _folds(every, scores, group_M, seed)
    scale = FeatureScale.of(melodies.features_MF)
    sizes, tested = _cross_validate(folds, melodies.features_MF, scale, group_M, seed, report)
    report("fitting the profile to all pairs", 0, 0)
    learnt = every[rng.permutation(len(every))[:MOST_LEARNT]]
    return Check(
        table=table,
        form=read.form,
        judgements=len(used),
        refused=refused,
        melodies=melodies,
        raters=raters,
        pairs=len(every),
        ties=int((~every.decided).sum()),
        tested=tested,
        sizes=sizes,
        people=people,
        profile=TasteProfile.fit(learnt, melodies.features_MF, scale),
    )


def _check_named(table: Path, read: JudgementTable) -> None:
    """Refuse too many melodies, before they are read.

    Raises:
        ValidationError: for more than `MOST_MELODIES`.
    """
    named = len(set(named_melodies(read.judgements)))
    if named > MOST_MELODIES:
        raise ValidationError(
            f"{table} names {named} melodies, and {MOST_MELODIES} is the most; check a part of them"
        )


def _usable(
    table: Path, read: JudgementTable, melodies: JudgedMelodies
) -> tuple[list[Judgement], list[RefusedRow]]:
    """The judgements that say something of melodies that are read, and the refused rows, in order.

    Raises:
        ValidationError: for scores that differ for no rater.
    """
    used: list[Judgement] = []
    refused = list(read.refused)
    for one in read.judgements:
        unread = [name for name in named_melodies([one]) if name in melodies.unread]
        if unread:
            reason = f"{shortened(unread[0])}: {melodies.unread[unread[0]]}"
            refused.append(RefusedRow(one.row, reason))
        elif isinstance(one, ChoiceRow) and (
            melodies.row_of[one.melody_a] == melodies.row_of[one.melody_b]
        ):
            reason = f"{shortened(one.melody_a)} and {shortened(one.melody_b)} are one file"
            refused.append(RefusedRow(one.row, f"{reason}; name two melodies"))
        else:
            used.append(one)
    scores = [one for one in used if isinstance(one, ScoreRow)]
    if scores:
        check_raters(scores, str(table))
        differs_S = differing(scores)
        reason = f"the scores of its rater do not differ; {EACH_RATER}"
        refused += [RefusedRow(scores[at].row, reason) for at in np.flatnonzero(~differs_S)]
        used = [scores[at] for at in np.flatnonzero(differs_S)]
    return used, sorted(refused, key=lambda row: row.row)


def _check_count(table: Path, melodies: JudgedMelodies, refused: Sequence[RefusedRow]) -> None:
    """Refuse too few melodies.

    Raises:
        ValidationError: for fewer than `LEAST_MELODIES` that are no variants of one another.
    """
    separate = len(np.unique(melodies.group_M))
    if separate >= LEAST_MELODIES:
        return
    first = ""
    if refused:
        first = f" (refused rows: {len(refused)}; row {refused[0].row}: {refused[0].reason})"
    raise ValidationError(
        f"of the melodies in {table}, {separate} can be read and are not variants of one another"
        f"{first}; some are learnt from and others predicted, so give at least {LEAST_MELODIES}, "
        "better some hundreds"
    )


Fold = tuple[Preferences, Preferences]
"""what is learnt from, and the decided pairs that are predicted"""


def _folds(every: Preferences, scores: Scores | None, group_M: np.ndarray, seed: int) -> list[Fold]:
    """The folds of one division of the melodies, or of several where it tests few pairs.

    Raises:
        ValidationError: when fewer than `LEAST_TESTED` pairs are tested.
    """
    folds: list[Fold] = []
    for division in range(DIVISIONS):
        rng = np.random.default_rng([seed, division])
        fold_M = assign_melodies(group_M, seed=int(rng.integers(2**31)))
        if scores is None:
            made = [
                (every[rng.permutation(np.flatnonzero(f.train_N))], every[np.flatnonzero(f.test_N)])
                for f in melody_folds(every, fold_M)
            ]
        else:
            mean_M = scores.means()
            made = [
                (
                    pairs_by_score(mean_M, np.flatnonzero(fold_M != fold), MOST_LEARNT, rng),
                    pairs_by_score(
                        mean_M, np.flatnonzero(fold_M == fold), MOST_TESTED_IN_A_FOLD, rng
                    ),
                )
                for fold in range(FOLDS)
            ]
        for train, test in made:
            decided = rng.permutation(np.flatnonzero(test.decided))[:MOST_TESTED_IN_A_FOLD]
            if train.decided.any() and len(decided):
                folds.append((train[:MOST_LEARNT], test[decided]))
        if sum(len(test) for _, test in folds) >= ENOUGH_TESTED:
            break
    tested = sum(len(test) for _, test in folds)
    if tested < LEAST_TESTED:
        raise ValidationError(
            f"only {tested} pairs of melodies can be predicted by models that have heard neither "
            f"melody; {LEAST_TESTED} is the least, so give more judgements"
        )
    return folds


def _cross_validate(
    folds: Sequence[Fold],
    features_MF: np.ndarray,
    scale: FeatureScale,
    group_M: np.ndarray,
    seed: int,
    report: Report,
) -> tuple[list[CheckedSize], int]:
    """Figures at each size, and how many pairs were predicted."""
    standard_MF = scale.standardise(features_MF)
    least = min(len(train) for train, _ in folds)
    counts = [*(size for size in SIZES if size < least), MOST_LEARNT]
    pairs: list[list[int]] = [[] for _ in counts]
    predicted: dict[tuple[str, int], list[np.ndarray]] = {}
    for place, (train, test) in enumerate(folds):
        for at, count in enumerate(counts):
            report("learning and predicting", place * len(counts) + at, len(folds) * len(counts))
            repeats = max(1, min(REPEATS.get(count, 1), least // count))
            for repeat in range(repeats):
                some = train[repeat * count : (repeat + 1) * count]
                pairs[at].append(len(some))
                profile = TasteProfile.fit(some, features_MF, scale)
                by_profile = profile.win_probability(
                    features_MF[test.left], features_MF[test.right]
                )
                plain = predict_logistic(some, test, standard_MF, group_M, seed=seed)
                predicted.setdefault(("profile", at), []).append(by_profile)
                predicted.setdefault(("logistic", at), []).append(plain)
    tested = Preferences.joined([test for _, test in folds])
    held_out = HeldOut(tested, group_M, seed=seed)

    def figures(model: str, at: int) -> HeldOutFigures:
        rows, each = predicted[model, at], len(predicted[model, at]) // len(folds)
        return held_out.figures(
            np.array([np.concatenate(rows[repeat::each]) for repeat in range(each)])
        )

    sizes = [
        CheckedSize(float(np.mean(pairs[at])), figures("profile", at), figures("logistic", at))
        for at in range(len(counts))
    ]
    return sizes, len(tested)

"""What adapting the base to a few songs brings, against training on them from nothing.

    python benchmarks/corpora/adaptation.py
    python benchmarks/corpora/adaptation.py --region han --tunes 100 --without-nothing

The songs are of a region of music21's `essenFolksong`, a style that the shipped base does not know.
They are for evaluation only and are not shipped. Of the region a tenth of the tunes is the test.
For each number N, N of the other songs are a user's corpus, with the split that `tastemaker corpus
build` makes: so some of the N are held out for early stopping, and some for nothing here. Then
`tastemaker pretrain --corpus … --start-from base` and `--from-nothing` are run with their defaults.

The settings were found on the region `ballad`; the figures are for `erk`. The last line is one JSON
object: `bits_base`, `bits_adapted_N`, `bits_nothing_N`, with `_error` the standard error of the
*difference* from the base, and `minutes_N` of adapting.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from music.corpora.build import BuildOptions, build
from music.corpora.corpus_file import SPLITS, Corpus, read_corpus, write_corpus
from music.corpora.sides import held_out_tunes
from policy.checkpoint import load_policy
from policy.model import MelodyForCausalLM
from policy.pretraining.held_out import Bits, HeldOut, held_out, measure
from policy.pretraining.plan import planned
from policy.pretraining.train import pretrain
from policy.scope import styles_of
from policy.shipped import shipped_policy

TUNES = (30, 100, 300, 1000)


def region_files(region: str) -> list[Path]:
    """Files of a region; music21 itself is not imported."""
    found = find_spec("music21")
    if found is None or found.origin is None:
        raise SystemExit("music21 is not installed; pip install 'tastemaker[corpus]'")
    folder = Path(found.origin).parent / "corpus" / "essenFolksong"
    files = sorted(folder.glob(f"{region}[0-9]*.abc"))
    if not files:
        raise SystemExit(f"{folder} has no file of the region {region!r}")
    return files


def users_corpus(region: Corpus, tunes: int, path: Path, rng: np.random.Generator) -> Corpus:
    """A corpus of so many songs of the region, none of them held out in the region's own."""
    of_tune = region.columns["tunes"]
    free = np.unique(of_tune[region.columns["splits"] == SPLITS.index("train")])
    if len(free) < tunes:
        raise SystemExit(f"{region.name} has {len(free)} songs to train on, fewer than {tunes}")
    chosen = rng.permutation(free)[:tunes]
    held = held_out_tunes(tunes)
    side = {int(tune): 0 if at >= 2 * held else 1 + at % 2 for at, tune in enumerate(chosen)}
    places = [place for place, tune in enumerate(of_tune) if int(tune) in side]
    rows = np.split(region.columns["tokens"], np.cumsum(region.columns["lengths"], dtype=int)[:-1])
    renumbered = {tune: number for number, tune in enumerate(side)}
    write_corpus(
        path,
        [rows[place] for place in places],
        tonics=[int(region.columns["tonics"][place]) for place in places],
        tunes=[renumbered[int(of_tune[place])] for place in places],
        splits=[side[int(of_tune[place])] for place in places],
        labels=region.labels,
        sources=[region.sources[tune] for tune in side],
    )
    return read_corpus(path)


def test_of(region: Corpus, model: MelodyForCausalLM) -> HeldOut:
    """The region's held-out tunes, both sides, in the policy's styles."""
    parts = [held_out([region], split, styles_of(model)) for split in ("validation", "test")]
    return HeldOut(
        [row for part in parts for row in part.rows],
        [tune for part in parts for tune in part.tunes],
    )


def trained(corpus: Corpus, run: Path, *, adapted: bool, **asked: Any) -> tuple[Any, float]:  # noqa: ANN401
    """A policy trained on the corpus as the command does, and the minutes that it took."""
    base = shipped_policy()
    plan = planned(
        [corpus],
        names=[str(corpus.path)],
        start_from=base if adapted else None,
        base=None,
        asked=asked,
    )
    begun = time.monotonic()
    model = pretrain(plan.config, run)
    return model, (time.monotonic() - begun) / 60


def line(name: str, after: Bits, before: Bits, minutes: float) -> str:
    """A row of the table."""
    gain, error = after.gain_over(before)
    return (
        f"{name:16s} {after.per_note:.3f} ± {after.standard_error:.3f} bits a note, "
        f"{gain:+.3f} ± {error:.3f} below the base, {minutes:.1f} minutes"
    )


def main() -> None:
    """Build the region's corpus, then each user's corpus, then both policies of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--region", default="erk")
    parser.add_argument("--tunes", type=int, nargs="+", default=TUNES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--without-nothing", action="store_true", help="adapt only")
    given = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        card, _ = build(
            region_files(given.region), BuildOptions(name=given.region), root=folder / "corpora"
        )
        region = read_corpus(folder / "corpora" / f"{given.region}.npz")
        base = load_policy(shipped_policy())
        before = measure(base, test_of(region, base))
        print(
            f"{given.region}: {card['tunes_in_corpus']} songs, {len(before.notes_N)} of them test"
        )
        print(f"{'base':16s} {before.per_note:.3f} ± {before.standard_error:.3f} bits a note")
        result: dict[str, Any] = {"region": given.region, "bits_base": before.per_note}
        for tunes in given.tunes:
            rng = np.random.default_rng([given.seed, tunes])
            corpus = users_corpus(region, tunes, folder / f"songs-{tunes}.npz", rng)
            for kind in ("adapted",) if given.without_nothing else ("adapted", "nothing"):
                model, minutes = trained(
                    corpus, folder / f"{kind}-{tunes}", adapted=kind == "adapted", seed=given.seed
                )
                after = measure(model, test_of(region, model))
                print(line(f"{kind} {tunes}", after, before, minutes), flush=True)
                result[f"bits_{kind}_{tunes}"] = after.per_note
                result[f"bits_{kind}_{tunes}_error"] = after.gain_over(before)[1]
                if kind == "adapted":
                    result[f"minutes_{tunes}"] = round(minutes, 2)
    print(json.dumps(result))


if __name__ == "__main__":
    sys.exit(main())

"""The model card of a policy: its corpora and their licences, results, and known deviations.

Every figure is measured here, on held-out tunes of the policy's own corpora and on new samples at
temperature 1. Originality is measured against the training tunes of all corpora: its own, and those
of the policy that it was started from.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from music.corpora.catalogue import SHIPPED, corpora_named, data_card, melodies_of_corpora
from music.corpora.corpus_file import SPLITS, Corpus, CorpusError
from music.corpora.diversity import vendi_at
from music.corpora.originality import TrainingIndex, compare_originality
from music.descriptors.yardsticks import YARDSTICKS, yardstick_means, yardstick_standard_errors
from music.files import write_whole
from music.melody import Melody
from music.messages import excerpt
from policy.checkpoint import load_policy, policy_hash
from policy.compose import Conditioning, compose
from policy.model import MelodyForCausalLM
from policy.pretraining.held_out import FEW_TUNES, held_out, measure
from policy.scope import scope_of

SHOWN = (
    "in_key_share", "ends_on_tonic", "repeated_bar_share", "repeated_rhythm_share", "leap_share",
    "leaps_resolved", "step_share", "range_semitones", "notes_per_beat", "rhythm_entropy",
    "unique_maximum", "halves_alike",
)  # fmt: skip
OFF_BY_STANDARD_ERRORS = 3.0
VENDI_SIZE = 128

_FRONT = """---
library_name: transformers
pipeline_tag: text-generation
license: {license}
tags: [{tags}]
---
# A melody policy over joint (pitch, duration) tokens

Llama-shaped, {parameters:.2f} M parameters, {layers} layers of width {width}, {heads} query and
{kv_heads} key-value heads, rotary positions, and the position in the bar as an additional
input. Weights {digest}.

```python
import policy.model  # registers the classes
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("{folder}")
tokenizer = AutoTokenizer.from_pretrained("{folder}")
```

`policy.decode` samples with the grammar's mask, so that every melody is complete. Without the mask,
samples may be invalid.

## Data
{data}

Styles: {styles}. Metres: {meters}. Modes: {modes}. Bars: {bars}.

## How it was trained
{command}

## Results
{bits}

{samples} samples{asked} at temperature 1, compared with {real} held-out human strains of that kind
(± one standard error, which is somewhat too small for real tunes, because strains of one tune are
similar):

| yardstick | real tunes | samples |
|---|---|---|
"""
_BOOKS = """`books`: {counts} of O'Neill's *Music of Ireland* (1903) and Ryan's *Mammoth
Collection* (1883), split so that no tune, and no tune with a near-duplicate strain, is in two of
the three parts. Only numbers are shipped (`music/corpora/data/strains.npz`).

- Known: both books are in the public domain by age. The ABC transcriptions are part of music21's
  package; they have the transcribers' names and no licence text. They are credited in `NOTICE`.
- Our reasoning, not a legal ruling: numeric tokens of public-domain tunes, and weights learnt from
  them, are not covered by any right of the transcribers.

Not trained on: the Essen collection (non-commercial) and Aird's Airs."""


def write_model_card(folder: Path, command: str, *, samples: int = 1000, seed: int = 1) -> str:
    """Measure the policy in `folder` and write its README.md; returns the text.

    Args:
        folder: a policy folder, as `policy.checkpoint.save_policy` writes it.
        command: how it was trained, for people, with the hardware.
        samples: melodies to measure; at least 256.
        seed: seed of the samples.

    Raises:
        CorpusError: for a corpus that is not there any more, or a policy that names none.
    """
    model = load_policy(folder)
    config, scope = model.config, scope_of(model)
    corpora = corpora_named(config.corpora)
    every = corpora_named(dict.fromkeys([*config.corpora, *config.base_corpora]))
    held = melodies_of_corpora(corpora, "validation", "test")
    asked, real = _commonest(held)
    melodies = compose(model, samples, conditioning=asked, seed=seed)
    is_shipped = [corpus.name for corpus in every] == [SHIPPED]
    text = _FRONT.format(
        license="apache-2.0" if is_shipped else "other",
        tags=", ".join(
            ["music", "symbolic-music", "melody", *(["irish-traditional"] if is_shipped else [])]
        ),
        parameters=sum(p.numel() for p in model.parameters()) / 1e6,
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        digest=policy_hash(folder),
        folder=folder.as_posix(),
        data=_data(corpora, every),
        styles=_listed(scope.styles.labels),
        meters=_listed(scope.trained_on.meters),
        modes=_listed(scope.trained_on.modes),
        bars=_ranges(scope.trained_on.bars),
        command=command,
        bits=_bits(model, corpora),
        samples=samples,
        asked=f" of {asked.bars} bars in {asked.meter}",
        real=len(real),
    )
    rows, off = _yardsticks(real, melodies)
    text += rows + _originality(real, melodies, every)
    text += (
        f"\n## Known deviations\nMore than {OFF_BY_STANDARD_ERRORS:.0f} standard errors from real "
        f"tunes: {'; '.join(off) or 'none of the above'}.\n\nIt writes one voice. It writes no "
        "ornaments, dynamics or chords.\n"
    )
    write_whole(folder / "README.md", text)
    return text


def _commonest(held: Sequence[Melody]) -> tuple[Conditioning, list[Melody]]:
    """The metre and number of bars that most held-out strains have, and these strains."""
    if not held:
        raise CorpusError(
            "the policy's corpora have no held-out tunes to compare it with; build a corpus of "
            "more tunes"
        )
    kinds = Counter((melody.header.meter, melody.header.bars) for melody in held)
    meter, bars = kinds.most_common(1)[0][0]
    real = [m for m in held if (m.header.meter, m.header.bars) == (meter, bars)]
    return Conditioning(meter=meter, bars=bars), real


def _data(corpora: Sequence[Corpus], every: Sequence[Corpus]) -> str:
    parts = [_data_of(corpus) for corpus in corpora]
    own = {corpus.name for corpus in corpora}
    earlier = [corpus for corpus in every if corpus.name not in own]
    if earlier:
        parts.append("It was started from a policy that was trained on:")
        parts += [_data_of(corpus) for corpus in earlier]
    return "\n\n".join(parts)


def _data_of(corpus: Corpus) -> str:
    sizes = {split: int((corpus.columns["splits"] == at).sum()) for at, split in enumerate(SPLITS)}
    counts = (
        f"{sizes['train']} strains for training, {sizes['validation']} for validation, "
        f"{sizes['test']} for the test,"
    )
    if corpus.name == SHIPPED:
        return _BOOKS.format(counts=counts)
    card: Mapping[str, Any] = data_card(str(corpus.path)) or {}
    transcribers = [excerpt(str(name), 60) for name in card.get("transcribers", {})]
    return (
        f"`{corpus.name}`: {counts} of {corpus.tunes} tunes, split so that no tune, and no tune "
        "with a near-duplicate strain, is in two of the three parts.\n\n"
        f"- Licence, as whoever built the corpus gave it: "
        f"{excerpt(str(card.get('licence', 'not stated')), 500)}\n"
        f"- Transcribed by: {', '.join(transcribers[:20]) or 'not stated'}"
        f"{' and others' if len(transcribers) > 20 else ''}"
    )


def _bits(model: MelodyForCausalLM, corpora: Sequence[Corpus]) -> str:
    """Bits a note on the test and validation tunes, with standard errors."""
    said = []
    fewest = math.inf
    for split, name in (("test", "test"), ("validation", "validation")):
        part = held_out(corpora, split, scope_of(model).styles)
        if part.rows:
            found = measure(model, part)
            fewest = min(fewest, part.tune_count)
            error = f" ± {found.standard_error:.3f}" if math.isfinite(found.standard_error) else ""
            said.append(f"**{found.per_note:.3f}**{error} on the {part.tune_count} {name} tunes")
    text = (
        f"Bits a note: {', '.join(said)} (± one standard error over tunes). These are the bits of\n"
        "pickup, notes, rests, holds, barlines and the end, divided by the number of sounding "
        "notes,\nwithout the mask; the other header fields are not counted."
    )
    if fewest < FEW_TUNES:
        text += (
            f" The fewest are {fewest:.0f}, too few to tell small differences: take these figures "
            "as rough."
        )
    return text


def _yardsticks(real: Sequence[Melody], melodies: Sequence[Melody]) -> tuple[str, list[str]]:
    """Rows of the table, and what is far from real tunes."""
    real_means, real_errors = yardstick_means(real), yardstick_standard_errors(real)
    means, errors = yardstick_means(melodies), yardstick_standard_errors(melodies)
    rows, off = "", []
    for name in SHOWN:
        label = YARDSTICKS[name].label
        rows += (
            f"| {label} ({YARDSTICKS[name].unit}) "
            f"| {real_means[name]:.3f} ± {real_errors[name]:.3f} "
            f"| {means[name]:.3f} ± {errors[name]:.3f} |\n"
        )
        gap = means[name] - real_means[name]
        error = (real_errors[name] ** 2 + errors[name] ** 2) ** 0.5
        if abs(gap) > OFF_BY_STANDARD_ERRORS * error:
            off.append(f"{label} ({means[name]:.3f}, real {real_means[name]:.3f})")
    return rows, off


def _originality(
    real: Sequence[Melody], melodies: Sequence[Melody], every: Sequence[Corpus]
) -> str:
    index = TrainingIndex.from_melodies(melodies_of_corpora(every, "train"))
    compared = compare_originality(melodies, real, index)
    text = "\n| | held-out human tunes | samples |\n|---|---|---|\n"
    for name, label in (
        ("originality", "originality: share of 8-grams in no training tune"),
        ("longest_run_notes_mean", "longest run that is in a training tune, mean (notes)"),
        ("half_copied_share", "share of melodies with half or more in one such run"),
    ):
        human, ours = compared["held_out"][name], compared["samples"][name]
        text += f"| {label} | {human:.3f} | {ours:.3f} |\n"
    size = min(len(real), VENDI_SIZE)
    return text + (
        f"| diversity: Vendi score of {size} | {vendi_at(real, size)[0]:.1f} | "
        f"{vendi_at(melodies, size)[0]:.1f} |\n\nTraining tunes are those of "
        f"{_listed([f'`{corpus.name}`' for corpus in every])}.\n"
    )


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words)


def _ranges(numbers: Sequence[int]) -> str:
    """2, 4 to 8, 16 for 2, 4, 5, 6, 7, 8, 16."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)

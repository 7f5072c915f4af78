"""The model card of a policy: data, licences, results and known deviations from real tunes.

Every figure is measured here, on the held-out test tunes and on new samples at temperature 1.
"""

from __future__ import annotations

from pathlib import Path

from music.corpora.corpus import load_corpus, load_token_rows
from music.corpora.diversity import vendi_at
from music.corpora.originality import TrainingIndex, compare_originality
from music.descriptors.yardsticks import YARDSTICKS, yardstick_means, yardstick_standard_errors
from music.files import write_whole
from policy.checkpoint import load_policy, policy_hash
from policy.compose import Conditioning, compose
from policy.pretrain import bits_per_note

CONDITIONING = Conditioning(meter="4/4", bars=8)
SHOWN = (
    "in_key_share", "ends_on_tonic", "repeated_bar_share", "repeated_rhythm_share", "leap_share",
    "leaps_resolved", "step_share", "range_semitones", "notes_per_beat", "rhythm_entropy",
    "unique_maximum", "halves_alike",
)  # fmt: skip
OFF_BY_STANDARD_ERRORS = 3.0

_FRONT = """---
library_name: transformers
pipeline_tag: text-generation
license: apache-2.0
tags: [music, symbolic-music, melody, irish-traditional]
---
# A melody policy over joint (pitch, duration) tokens

Llama-shaped, {parameters:.2f} M parameters, {layers} layers of width {width}, {heads} query and
{kv_heads} key-value heads, rotary positions, and the position in the bar as an additional
input. Weights {digest}.

```python
import policy.model  # registers the classes
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("checkpoints/base")
tokenizer = AutoTokenizer.from_pretrained("checkpoints/base")
```

`policy.decode` samples with the grammar's mask, so that every melody is complete. Without the mask,
samples may be invalid.

## Data
{train} strains for training, {validation} for validation, {test} for the test, of O'Neill's
*Music of Ireland* (1903) and Ryan's *Mammoth Collection* (1883), split so that no tune, and no tune
with a near-duplicate strain, is in two of the three parts. Only numbers are shipped
(`music/corpora/data/strains.npz`).

- Known: both books are in the public domain by age. The ABC transcriptions are part of music21's
  package; they have the transcribers' names and no licence text. They are credited in `NOTICE`.
- Our reasoning, not a legal ruling: numeric tokens of public-domain tunes, and weights learnt from
  them, are not covered by any right of the transcribers.

Not trained on: the Essen collection (non-commercial) and Aird's Airs.

## How it was trained
{command}

## Results
**{test_bits:.3f} bits a note** on the test tunes ({validation_bits:.3f} on validation). These
are the bits of pickup, notes, rests, holds, barlines and the end, divided by the number of sounding
notes, without the mask; the other header fields are not counted.

{samples} samples of 8 bars in 4/4 at temperature 1, compared with the {real} held-out human strains
of that kind (± one standard error, which is somewhat too small for real tunes, because strains of
one tune are similar):

| yardstick | real tunes | samples |
|---|---|---|
"""


def write_model_card(folder: Path, command: str, *, samples: int = 2000, seed: int = 1) -> str:
    """Measure the policy in `folder` and write its README.md; returns the text.

    Args:
        folder: a policy folder, as `policy.checkpoint.save_policy` writes it.
        command: how it was trained, for people, with the hardware.
        samples: melodies to measure; at least 256.
        seed: seed of the samples.
    """
    model = load_policy(folder)
    test = load_corpus("test")
    every = [strain.melody for strain in test]
    real = [
        m
        for m in every
        if (m.header.meter, m.header.bars) == (CONDITIONING.meter, CONDITIONING.bars)
    ]
    melodies = compose(model, samples, conditioning=CONDITIONING, seed=seed)
    index = TrainingIndex.from_melodies([strain.melody for strain in load_corpus("train")])
    config = model.config
    text = _FRONT.format(
        parameters=sum(p.numel() for p in model.parameters()) / 1e6,
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        digest=policy_hash(folder),
        train=len(load_corpus("train")),
        validation=len(load_corpus("validation")),
        test=len(test),
        command=command,
        test_bits=bits_per_note(model, load_token_rows("test")),
        validation_bits=bits_per_note(model, load_token_rows("validation")),
        samples=samples,
        real=len(real),
    )
    real_means, real_errors = yardstick_means(real), yardstick_standard_errors(real)
    means, errors = yardstick_means(melodies), yardstick_standard_errors(melodies)
    off: list[str] = []
    for name in SHOWN:
        label = YARDSTICKS[name].label
        text += (
            f"| {label} ({YARDSTICKS[name].unit}) "
            f"| {real_means[name]:.3f} ± {real_errors[name]:.3f} "
            f"| {means[name]:.3f} ± {errors[name]:.3f} |\n"
        )
        gap = means[name] - real_means[name]
        error = (real_errors[name] ** 2 + errors[name] ** 2) ** 0.5
        if abs(gap) > OFF_BY_STANDARD_ERRORS * error:
            off.append(f"{label} ({means[name]:.3f}, real {real_means[name]:.3f})")
    compared = compare_originality(melodies, real, index)
    text += "\n| | held-out human tunes | samples |\n|---|---|---|\n"
    for name, label in (
        ("originality", "originality: share of 8-grams in no training tune"),
        ("longest_run_notes_mean", "longest run that is in a training tune, mean (notes)"),
        ("half_copied_share", "share of melodies with half or more in one such run"),
    ):
        human, ours = compared["held_out"][name], compared["samples"][name]
        text += f"| {label} | {human:.3f} | {ours:.3f} |\n"
    size = min(len(real), 128)
    text += (
        f"| diversity: Vendi score of {size} | {vendi_at(real, size)[0]:.1f} | "
        f"{vendi_at(melodies, size)[0]:.1f} |\n\n## Known deviations\nMore than "
        f"{OFF_BY_STANDARD_ERRORS:.0f} standard errors from real tunes: "
        f"{'; '.join(off) or 'none of the above'}.\n\nIt writes one voice, in five metres, four "
        "modes and 4, 8 or 16 bars, in the tradition of two\nAmerican tune books of around 1900. "
        "It writes no ornaments, dynamics or chords.\n"
    )
    write_whole(folder / "README.md", text)
    return text

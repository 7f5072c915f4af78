"""Composing: a policy writes melodies under a header and a motif.

Any part of the header may be asked for, some first notes, a key and a compass; the policy chooses
the rest. A compass is kept by leaving out the notes beyond it when each note is drawn. The grammar
lets every pitch have every duration that fits, so melodies stay whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from music.durations import SPLITS_TICKS, is_sum_of_durations
from music.key_choice import KeyChoice
from music.melody import Header, Melody, MelodyError, Note, cut_at_barlines
from music.metre import BAR_TICKS, METERS
from music.progress import Progress, no_progress
from music.tokens import BOS, HEADER_LENGTH, VOCABULARY, decode, encode_motif
from policy.decode import sample
from policy.model import MelodyForCausalLM
from policy.scope import Scope, ScopeError, scope_of, styles_of

DEFAULT_TONIC_MIDI = 62
"""D, the commonest key of the corpus' sessions"""
_PITCH_OF_ID = np.array(
    [int(name.split("_")[1]) if name.startswith("NOTE_") else 0 for name in VOCABULARY], np.int64
)
LONGEST_METER = max(METERS, key=lambda meter: BAR_TICKS[meter])
_IS_NOTE = np.array([name.startswith("NOTE_") for name in VOCABULARY])


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditioning:
    """What a melody is to be like; the policy chooses what is None."""

    meter: str | None = None
    mode: str | None = None
    style: str | None = None
    bars: int | None = None
    pickup_ticks: int | None = None
    motif: tuple[Note, ...] = ()
    """notes that the melody begins with. They need metre, bars and pickup beside them. Where the
    last note ends on a barline, the policy may tie it over."""
    motif_tonic_midi: int | None = None
    """the tonic of the key in which the motif was given, if it is known"""

    def __post_init__(self) -> None:
        """Check each field as `Header` does.

        Raises:
            MelodyError: for a value that the representation does not know.
        """
        given: dict[str, Any] = {k: v for k, v in self.fields().items() if v is not None}
        # Which pickups fit depends on the metre, which the policy may choose: see `prompt`.
        open_meter = {"meter": LONGEST_METER} if self.meter is None else {}
        Header(**{**open_meter, **given})
        if self.motif and None in (self.meter, self.bars, self.pickup_ticks):
            raise MelodyError("a motif needs a place: ask for meter, bars and pickup_ticks with it")

    def fields(self) -> dict[str, Any]:
        """The header fields by name."""
        return {
            "meter": self.meter,
            "mode": self.mode,
            "style": self.style,
            "bars": self.bars,
            "pickup_ticks": self.pickup_ticks,
        }

    def prompt(self, count: int, scope: Scope) -> np.ndarray:
        """The tokens that are set beforehand, int64 (count, P), -1 where the policy chooses.

        Raises:
            ValueError: when no melody begins with the motif, or a policy of this scope was not
                trained on what is asked for.
        """
        ids = np.array([BOS, *scope.header_ids(self.fields())], np.int64)
        if self.motif:
            fields = {name: value for name, value in self.fields().items() if value is not None}
            header = Header(**fields)
            motif = encode_motif(header, self.motif, scope.styles)[HEADER_LENGTH:]
            _check_motif(header, self.motif, scope)
            ids = np.concatenate([ids, motif.astype(np.int64)])
        return np.tile(ids, (count, 1))


def _check_motif(header: Header, motif: Sequence[Note], scope: Scope) -> None:
    """Check that a melody can begin with a motif that `encode_motif` took.

    Raises:
        MelodyError: when no notes fill what it leaves of its last bar.
        ScopeError: when it is not written in a way that the policy was trained on.
    """
    end = motif[-1].end_ticks
    left = min(line for line in header.barlines_ticks if line >= end) - end
    if left and not is_sum_of_durations(left):
        raise MelodyError(
            f"the motif ends {left} tick{'s' * (left > 1)} before the next barline (24 a quarter), "
            "which no note value fills; lengthen or shorten its last note"
        )
    if not scope.plain:
        return
    remedy = "which this policy was not trained on; give a motif without it, or use one that was"
    before_is_rest = False
    for segment in cut_at_barlines(header, motif, end):
        is_rest, ticks = segment.pitch is None, segment.duration_ticks
        what = "rest" if is_rest else "note"
        place = f"bar {segment.bar + 1} of the motif" if segment.bar >= 0 else "the motif's pickup"
        if len(SPLITS_TICKS[ticks]) > 1:
            raise ScopeError(
                f"{place} has a {what} of {ticks} ticks (24 a quarter), for which there is no "
                f"single note value, {remedy}"
            )
        if is_rest and before_is_rest:
            raise ScopeError(f"a rest goes on over the barline into {place}, {remedy}")
        before_is_rest = is_rest


def compose(
    model: MelodyForCausalLM,
    count: int,
    *,
    conditioning: Conditioning | None = None,
    temperature: float = 1.0,
    seed: int = 0,
    keys: KeyChoice | None = None,
    batch: int = 256,
    progress: Progress = no_progress,
) -> list[Melody]:
    """`count` whole melodies; the same seed, count and batch give the same ones.

    `keys` is the key and the compass; None is the key of the motif, or else D. `progress` is told
    how many are written.

    Raises:
        ValueError: when what is asked for cannot be written, naming what can.
    """
    conditioning = conditioning or Conditioning()
    keys = keys or keys_beside(conditioning)
    motif_pitches = [note.pitch for note in conditioning.motif]
    tonics_N = keys.tonics(max(count, 0), seed, motif_pitches)
    rows = sample_rows(
        model,
        count,
        conditioning=conditioning,
        temperature=temperature,
        seed=seed,
        batch=batch,
        pitch_bounds=keys.pitch_bounds(tonics_N),
        progress=progress,
    )
    styles = styles_of(model)
    return [decode(row, int(tonic), styles) for row, tonic in zip(rows, tonics_N, strict=True)]


def keys_beside(
    conditioning: Conditioning, *, keys: KeyChoice | None = None, own_key: bool = True
) -> KeyChoice:
    """What is asked of the key, given the motif.

    Args:
        conditioning: with the motif, if there is one.
        keys: what is asked besides; None is D without a compass.
        own_key: write in the motif's own key, where there is one, instead of that of `keys`.
    """
    keys = keys or KeyChoice(tonic_class=DEFAULT_TONIC_MIDI % 12)
    tonic = conditioning.motif_tonic_midi
    if tonic is None:
        return keys
    asked = tonic % 12 if own_key else keys.tonic_class
    return replace(keys, tonic_class=asked, near_midi=tonic)


def allowed_tokens(pitch_bounds_N2: np.ndarray) -> np.ndarray:
    """The tokens without the notes beyond each melody's lowest and highest pitch; bool (N, V)."""
    low_N1, high_N1 = pitch_bounds_N2[:, :1], pitch_bounds_N2[:, 1:]
    return ~_IS_NOTE | ((low_N1 <= _PITCH_OF_ID) & (high_N1 >= _PITCH_OF_ID))


def sample_rows(
    model: MelodyForCausalLM,
    count: int,
    *,
    conditioning: Conditioning | None = None,
    temperature: float = 1.0,
    seed: int = 0,
    batch: int = 256,
    pitch_bounds: np.ndarray | None = None,
    progress: Progress = no_progress,
) -> list[np.ndarray]:
    """As `compose`, but the token rows (uint16, BOS to EOS).

    `pitch_bounds` (count, 2) are the lowest and highest pitch of each, in semitones above its
    tonic; None bounds none.
    """
    if count < 0 or batch < 1:
        raise ValueError(
            f"count={count}, batch={batch}; ask for 0 or more, in batches of 1 or more"
        )
    conditioning = conditioning or Conditioning()
    generator = torch.Generator(model.lm_head.weight.device).manual_seed(seed)
    rows: list[np.ndarray] = []
    scope = scope_of(model)

    def after(written: int) -> Progress:
        return lambda done, _: progress(written + done, count)

    while len(rows) < count:
        prompts = conditioning.prompt(min(batch, count - len(rows)), scope)
        some = slice(len(rows), len(rows) + len(prompts))
        rows += sample(
            model,
            prompts,
            generator=generator,
            temperature=temperature,
            allowed_BV=None if pitch_bounds is None else allowed_tokens(pitch_bounds[some]),
            progress=after(len(rows)),
        ).rows()
    return rows

"""Composing: a policy writes melodies under a header and a motif.

Any part of the header may be asked for, and some first notes; the policy chooses the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from music.melody import Header, Melody, MelodyError, Note
from music.progress import Progress, no_progress
from music.tokens import BOS, HEADER_LENGTH, ID, decode, encode_motif
from policy.decode import sample
from policy.model import MelodyForCausalLM

DEFAULT_TONIC_MIDI = 62
"""D, the commonest key of the corpus' sessions; both sides of a pair are heard in one key"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditioning:
    """What a melody is to be like; the policy chooses what is None."""

    meter: str | None = None
    mode: str | None = None
    tune_type: str | None = None
    bars: int | None = None
    pickup_ticks: int | None = None
    motif: tuple[Note, ...] = ()
    """notes that the melody begins with. They need metre, bars and pickup beside them. Where the
    last note ends on a barline, the policy may tie it over."""

    def __post_init__(self) -> None:
        """Check each field as `Header` does.

        Raises:
            MelodyError: for a value that the representation does not know.
        """
        given: dict[str, Any] = {k: v for k, v in self.fields().items() if v is not None}
        # The policy may choose the shortest metre, so the pickup must fit that one.
        Header(**{"meter": "2/4", **given})
        if self.motif and None in (self.meter, self.bars, self.pickup_ticks):
            raise MelodyError("a motif needs a place: ask for meter, bars and pickup_ticks with it")

    def fields(self) -> dict[str, Any]:
        """The header fields by name."""
        return {
            "meter": self.meter,
            "mode": self.mode,
            "tune_type": self.tune_type,
            "bars": self.bars,
            "pickup_ticks": self.pickup_ticks,
        }

    def prompt(self, count: int) -> np.ndarray:
        """The tokens that are set beforehand, int64 (count, P), -1 where the policy chooses."""
        words = {"tune_type": "TYPE", "pickup_ticks": "PICKUP"}
        header = [
            -1 if value is None else ID[f"{words.get(name, name.upper())}_{value}"]
            for name, value in self.fields().items()
        ]
        ids = np.array([BOS, *header], np.int64)
        if self.motif:
            fields = {name: value for name, value in self.fields().items() if value is not None}
            motif = encode_motif(Header(**fields), self.motif)[HEADER_LENGTH:]
            ids = np.concatenate([ids, motif.astype(np.int64)])
        return np.tile(ids, (count, 1))


def compose(
    model: MelodyForCausalLM,
    count: int,
    *,
    conditioning: Conditioning | None = None,
    temperature: float = 1.0,
    seed: int = 0,
    tonic_midi: int = DEFAULT_TONIC_MIDI,
    batch: int = 256,
    progress: Progress = no_progress,
) -> list[Melody]:
    """`count` whole melodies; the same seed, count and batch give the same ones.

    `progress` is told how many are written.

    Raises:
        ValueError: when what is asked for cannot be written, naming what can.
    """
    rows = sample_rows(
        model,
        count,
        conditioning=conditioning,
        temperature=temperature,
        seed=seed,
        batch=batch,
        progress=progress,
    )
    return [decode(row, tonic_midi) for row in rows]


def sample_rows(
    model: MelodyForCausalLM,
    count: int,
    *,
    conditioning: Conditioning | None = None,
    temperature: float = 1.0,
    seed: int = 0,
    batch: int = 256,
    progress: Progress = no_progress,
) -> list[np.ndarray]:
    """As `compose`, but the token rows (uint16, BOS to EOS)."""
    if count < 0 or batch < 1:
        raise ValueError(
            f"count={count}, batch={batch}; ask for 0 or more, in batches of 1 or more"
        )
    conditioning = conditioning or Conditioning()
    generator = torch.Generator(model.lm_head.weight.device).manual_seed(seed)
    rows: list[np.ndarray] = []

    def after(written: int) -> Progress:
        return lambda done, _: progress(written + done, count)

    while len(rows) < count:
        prompts = conditioning.prompt(min(batch, count - len(rows)))
        rows += sample(
            model,
            prompts,
            generator=generator,
            temperature=temperature,
            progress=after(len(rows)),
        ).rows()
    return rows

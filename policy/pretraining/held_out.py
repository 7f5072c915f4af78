"""Held-out bits a note, and how much of that is chance.

Counted is everything after the header (pickup, notes, rests, holds, barlines, end), divided by the
number of sounding notes, without the grammar's mask. Tokens that a policy was never trained on have
no probability: without that, a policy of version 0.1.0 would be asked about tokens that it has not.

The unit of chance is the tune: strains of one tune are alike. The figure is a ratio of sums over
tunes, and its standard error is that of the ratio estimator (Cochran 1977, section 2.11).

Letters: B strains, T tokens, N tunes, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from music.corpora.corpus_file import Corpus
from music.styles import Styles
from music.tokens import FIRST_NOTE, HEADER_LENGTH, PAD
from policy.model import MelodyForCausalLM, right_pad
from policy.scope import scope_of

FEW_TUNES = 20
"""with fewer held-out tunes, a standard error is itself a guess"""
FAR_IN_STANDARD_ERRORS = 2.0
"""a gain of less cannot be told from none"""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Strains of a split of some corpora, with the tune that each is of."""

    rows: Sequence[np.ndarray]
    """token ids, each from BOS to EOS"""
    tunes: Sequence[tuple[str, int]]
    """corpus and number of the tune, a strain each"""

    @property
    def tune_count(self) -> int:
        """Number of tunes."""
        return len(set(self.tunes))


@dataclass(frozen=True, slots=True)
class Bits:
    """Bits and notes of each held-out tune; float (N,)."""

    bits_N: np.ndarray
    notes_N: np.ndarray

    @property
    def per_note(self) -> float:
        """Bits a note."""
        return float(self.bits_N.sum() / self.notes_N.sum())

    @property
    def standard_error(self) -> float:
        """Of `per_note`; infinite for fewer than two tunes."""
        return _error_of_ratio(self.bits_N, self.notes_N)

    def gain_over(self, before: Bits) -> tuple[float, float]:
        """How many bits a note fewer than before, of the same tunes, and the standard error."""
        saved_N = before.bits_N - self.bits_N
        return before.per_note - self.per_note, _error_of_ratio(saved_N, self.notes_N)


def _error_of_ratio(sums_N: np.ndarray, notes_N: np.ndarray) -> float:
    tunes = len(sums_N)
    if tunes < 2:
        return math.inf
    residuals_N = sums_N - sums_N.sum() / notes_N.sum() * notes_N
    return float(np.sqrt((residuals_N**2).sum() * tunes / (tunes - 1)) / notes_N.sum())


def held_out(corpora: Sequence[Corpus], split: str, styles: Styles) -> HeldOut:
    """A split of some corpora, for a policy with these styles."""
    rows: list[np.ndarray] = []
    tunes: list[tuple[str, int]] = []
    for corpus in corpora:
        rows += corpus.token_rows(split, styles)
        tunes += [(corpus.name, strain.tune) for strain in corpus.strains(split)]
    return HeldOut(rows, tunes)


def token_nats(model: MelodyForCausalLM, ids_BT: Tensor, known_V: Tensor | None = None) -> Tensor:
    """Surprise of each next token in nats, (B, T - 1); 0 at padding.

    Args:
        model: the policy.
        ids_BT: melodies, padded with PAD at the end.
        known_V: tokens that have a probability; all, if it is not given.
    """
    logits = model(input_ids=ids_BT[:, :-1]).logits.float()
    if known_V is not None:
        logits = logits.masked_fill(~known_V, -math.inf)
    return functional.cross_entropy(
        logits.transpose(1, 2), ids_BT[:, 1:], ignore_index=PAD, reduction="none"
    )


def known_tokens(model: MelodyForCausalLM, rows: Sequence[np.ndarray] = ()) -> Tensor:
    """Tokens that the policy was trained on, or that are among the rows; bool (V,)."""
    known_V = scope_of(model).known.copy()
    for row in rows:
        known_V[row] = True
    return torch.from_numpy(known_V)


@torch.no_grad()
def bits_of_rows(
    model: MelodyForCausalLM, rows: Sequence[np.ndarray], size: int = 64
) -> tuple[np.ndarray, np.ndarray]:
    """Bits after the header, and sounding notes, of each row; two arrays (len(rows),)."""
    training = model.training
    model.eval()
    bits, notes = np.zeros(len(rows)), np.zeros(len(rows))
    known_V = known_tokens(model, rows)
    order = sorted(range(len(rows)), key=lambda place: len(rows[place]))
    for start in range(0, len(order), size):
        places = order[start : start + size]
        ids = right_pad([rows[place] for place in places])
        # The pickup field is counted too: it is part of the music, not of the request.
        nats = token_nats(model, ids, known_V)[:, HEADER_LENGTH - 2 :].sum(1)
        bits[places] = nats.numpy() / math.log(2)
        notes[places] = (ids >= FIRST_NOTE).sum(1).numpy()
    model.train(training)
    return bits, notes


def bits_per_note(model: MelodyForCausalLM, rows: Sequence[np.ndarray], size: int = 64) -> float:
    """Bits of everything after the header, per sounding note."""
    bits, notes = bits_of_rows(model, rows, size)
    return float(bits.sum() / notes.sum())


def measure(model: MelodyForCausalLM, held: HeldOut) -> Bits:
    """Bits and notes of each held-out tune, in the order in which the tunes come."""
    bits, notes = bits_of_rows(model, held.rows)
    number = {tune: place for place, tune in enumerate(dict.fromkeys(held.tunes))}
    places = np.array([number[tune] for tune in held.tunes])
    return Bits(
        np.bincount(places, weights=bits, minlength=len(number)),
        np.bincount(places, weights=notes, minlength=len(number)),
    )


def verdict(before: Bits, after: Bits, *, chosen_by: bool = False) -> tuple[bool, str]:
    """Whether held-out tunes can tell a gain, and what to say of it in one sentence or two.

    Args:
        before: of each held-out tune.
        after: of the same tunes.
        chosen_by: whether the policy was chosen by these tunes, because there are no test tunes.
    """
    kind = "validation" if chosen_by else "test"
    gain, error = after.gain_over(before)
    tunes = len(after.notes_N)
    now = f"{after.per_note:.2f}"
    if np.array_equal(before.bits_N, after.bits_N):
        return False, (
            f"{now} bits a note on {tunes} {kind} tune{'s' if tunes != 1 else ''}, as before: no "
            "step was better on the validation tunes, so the policy is the one that training began "
            "with"
        )
    if tunes < 2:
        return False, (
            f"{now} bits a note on the only {kind} tune, {before.per_note:.2f} before. One tune is "
            "too few tunes to tell: listen to samples, or add tunes"
        )
    said = (
        f"{now} ± {after.standard_error:.2f} bits a note on {tunes} {kind} tunes, "
        f"{gain:.2f} ± {error:.2f} below the {before.per_note:.2f} before"
    )
    if chosen_by:
        said += " (there are no test tunes, and the policy was chosen by these, so it looks better)"
    if tunes >= FEW_TUNES and abs(gain) >= FAR_IN_STANDARD_ERRORS * error:
        return True, said
    if tunes < FEW_TUNES:
        return False, (
            f"{said}. {tunes} {kind} tunes are too few tunes to tell: standard errors of so few "
            "are guesses; listen to samples, or add tunes"
        )
    return False, (
        f"{said}. These are too few tunes to tell a difference of less than "
        f"{FAR_IN_STANDARD_ERRORS * error:.2f} bits a note: listen to samples, or add tunes"
    )

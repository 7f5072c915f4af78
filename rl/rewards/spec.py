"""Reward specs: the text with which a person says what PPO should maximise.

    spec       = mixture [ "where" constraint { "," constraint } ]
    mixture    = term { ( "+" | "-" ) term }            spaces before a "-": run names have hyphens
    term       = [ number "*" ] name
    name       = a reward run | "music-theory" | package.module:function
    constraint = yardstick ( "<=" | ">=" ) number

Such as `reward-0004`, `0.7*reward-0004 + 0.3*music-theory` or
`my_rules:calm where leap_share<=0.1, range_semitones<=19`.

This module only parses; `rl.rewards.sources` finds what the names mean.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from music.descriptors.yardsticks import YARDSTICKS
from music.messages import shortened
from policy.runs import RUN_NAME
from reward.scorer import RewardError

MUSIC_THEORY = "music-theory"
LARGEST_WEIGHT, LARGEST_LIMIT = 1e9, 1e9
"""of a term, whose least weight is one over it, and of a constraint"""
_NUMBER = r"\d+(?:\.\d*)?|\.\d+"
_TERM = re.compile(rf"(?:([+-]?(?:{_NUMBER}))\s*\*\s*)?([A-Za-z0-9_.:-]+)")
_JOIN = re.compile(r"\s*(\+)\s*|\s+(-)\s*")
_CONSTRAINT = re.compile(rf"([a-z0-9_]+)\s*(<=|>=)\s*(-?(?:{_NUMBER}))")
_FUNCTION = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class Term:
    """One reward of a mixture, with its weight."""

    weight: float
    name: str


@dataclass(frozen=True, slots=True)
class Constraint:
    """A yardstick and the limit that a melody must keep."""

    yardstick: str
    operator: str
    """"<=" or ">=" """
    limit: float

    def __str__(self) -> str:
        """The constraint as a spec writes it."""
        return f"{self.yardstick}{self.operator}{_written(self.limit)}"


@dataclass(frozen=True, slots=True)
class RewardSpec:
    """A parsed spec: a mixture of at least one term, and constraints on it."""

    terms: tuple[Term, ...]
    constraints: tuple[Constraint, ...] = ()

    @property
    def is_mixture(self) -> bool:
        """Whether it has several terms, or one with a weight other than 1."""
        return [term.weight for term in self.terms] != [1.0]

    def __str__(self) -> str:
        """The spec as text; reading it gives an equal spec."""
        text = self.terms[0].name
        if self.is_mixture:
            text = " + ".join(f"{_written(term.weight)}*{term.name}" for term in self.terms)
            text = text.replace("+ -", "- ")
        if self.constraints:
            text += f" where {', '.join(map(str, self.constraints))}"
        return text


def read_spec(text: str) -> RewardSpec:
    """Parse a spec.

    Raises:
        RewardError: for a text that is not a spec; names the wrong piece.
    """
    mixture, *limits = re.split(r"\s+where(?![\w-])", f" {text.strip()}")
    if len(limits) > 1:
        raise RewardError(
            f"{text!r} says 'where' {len(limits)} times; say it once, with commas between the "
            "constraints"
        )
    terms = _terms(mixture.strip(), text)
    constraints = (
        tuple(_constraint(piece.strip()) for piece in limits[0].split(",")) if limits else ()
    )
    return RewardSpec(terms, constraints)


def _written(number: float) -> str:
    """The shortest decimal text that parses to the same number, without an exponent."""
    return np.format_float_positional(number, trim="-")


def _terms(mixture: str, text: str) -> tuple[Term, ...]:
    if not mixture:
        raise RewardError(
            f"{text!r} names no reward; write a reward run's name, {MUSIC_THEORY} or "
            "module:function"
        )
    # One split gives term, "+" or None, "-" or None, term, …
    pieces = _JOIN.split(mixture)
    signs = ["+", *(plus or minus for plus, minus in zip(pieces[1::3], pieces[2::3], strict=True))]
    terms = [_term(piece, sign) for piece, sign in zip(pieces[::3], signs, strict=True)]
    names = [term.name for term in terms]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise RewardError(f"{text!r} names {twice} twice; add its weights and name it once")
    return tuple(terms)


def _term(piece: str, sign: str) -> Term:
    match = _TERM.fullmatch(piece)
    if match is None:
        raise RewardError(
            f"{piece!r} is not a term of a reward; write a name, or a number, * and a name, "
            "with ' + ' or ' - ' between terms"
        )
    number, name = match.groups()
    if not (RUN_NAME.fullmatch(name) or _FUNCTION.fullmatch(name)):
        raise RewardError(
            f"{name!r} is neither a run's name (a-z, 0-9 and -), {MUSIC_THEORY} nor "
            "module:function; write one of them"
        )
    weight = float(number or 1) * (-1 if sign == "-" else 1)
    if weight == 0:
        raise RewardError(f"{shortened(piece)} has weight 0, which has no effect; leave it out")
    if not 1 / LARGEST_WEIGHT <= abs(weight) <= LARGEST_WEIGHT:
        raise RewardError(
            f"{shortened(piece)} has weight {weight:g}, which is not within "
            f"{1 / LARGEST_WEIGHT:g} to {LARGEST_WEIGHT:g}; only the ratio of weights matters, so "
            "give smaller or larger ones"
        )
    return Term(weight, name)


def _constraint(piece: str) -> Constraint:
    match = _CONSTRAINT.fullmatch(piece)
    if match is None:
        raise RewardError(
            f"{piece!r} is not a constraint; write a yardstick, <= or >= and a number, such as "
            "leap_share<=0.1"
        )
    name, operator, limit = match.groups()
    if name not in YARDSTICKS:
        near = get_close_matches(name, YARDSTICKS, n=3, cutoff=0.4) or sorted(YARDSTICKS)
        raise RewardError(f"there is no yardstick {name!r}; the nearest are {', '.join(near)}")
    if not abs(float(limit)) <= LARGEST_LIMIT:
        raise RewardError(
            f"{shortened(piece)} has a limit beyond {LARGEST_LIMIT:g}, which no melody reaches; "
            "leave it out"
        )
    return Constraint(name, operator, float(limit))

"""Styles: which label each of the 32 style tokens stands for. Each policy has its own list.

The vocabulary has the same style tokens for every policy. What they mean stands in the policy's
`config.json`. Slot 0 is for melodies without a style, and for styles that the policy does not know.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

STYLE_SLOTS = 32
OTHER = "other"
"""the label of slot 0"""
_LABEL = re.compile(r"[a-z0-9][a-z0-9 -]{0,31}")


class StyleError(ValueError):
    """A label, or a list of labels, that breaks a rule; the message says which."""


def check_label(label: object) -> str:
    """The label, if it is one.

    Raises:
        StyleError: with the value, the rule and the remedy.
    """
    if not isinstance(label, str) or not _LABEL.fullmatch(label):
        shown = repr(label)
        raise StyleError(
            f"style={shown if len(shown) <= 60 else shown[:60] + '…'} is not a label; write 1 to "
            "32 lower-case letters, digits, spaces and hyphens, beginning with a letter or digit"
        )
    return label


@dataclass(frozen=True, slots=True)
class Styles:
    """The labels of the style tokens of one policy, from slot 0.

    Raises:
        StyleError: for labels that are none, twice the same, too many, or without "other" first.
    """

    labels: tuple[str, ...] = (OTHER,)

    def __post_init__(self) -> None:
        """Check the labels."""
        for label in self.labels:
            check_label(label)
        if not isinstance(self.labels, tuple) or self.labels[:1] != (OTHER,):
            raise StyleError(f"styles={str(self.labels)[:60]} do not begin with {OTHER!r}; add it")
        if len(self.labels) > STYLE_SLOTS:
            raise StyleError(
                f"{len(self.labels)} styles are too many; a policy has at most {STYLE_SLOTS}: "
                "join some"
            )
        twice = next((one for one in self.labels if self.labels.count(one) > 1), None)
        if twice is not None:
            raise StyleError(f"style {twice!r} stands twice; leave one out")

    def slot(self, label: str) -> int:
        """Slot of a label; 0 for one that is not among them."""
        return self.labels.index(label) if label in self.labels else 0

    def asked_slot(self, label: str) -> int:
        """Slot of a label that somebody asked for.

        Raises:
            StyleError: for a label that is not among them.
        """
        if label not in self.labels:
            check_label(label)
            raise StyleError(
                f"style={label!r} is not one that this policy knows; choose one of "
                f"{list(self.labels)}"
            )
        return self.labels.index(label)

    def label(self, slot: int) -> str:
        """Label of a slot.

        Raises:
            StyleError: for a slot without a label.
        """
        if not 0 <= slot < len(self.labels):
            raise StyleError(
                f"STYLE_{slot} has no label here; give STYLE_0 to STYLE_{len(self.labels) - 1}"
            )
        return self.labels[slot]


SHIPPED_STYLES = Styles(
    (OTHER, "reel", "jig", "slipjig", "hornpipe", "strathspey", "march", "waltz")
)
"""of the shipped base, and of all data of earlier versions, where they were called tune types"""

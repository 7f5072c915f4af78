"""Names of parts that have the melody."""

from __future__ import annotations

import re

MELODY_NAMES = re.compile(
    r"\b(melody|lead|voice|vocals?|singer|soprano|superius|cantus|discantus|treble|descant)\b", re.I
)

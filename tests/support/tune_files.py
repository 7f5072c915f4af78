"""Files of random tunes, and a corpus that is built of them."""

from pathlib import Path

import numpy as np

from music.corpora.build import build
from music.corpora.build_options import BuildOptions

HEAD = "M:2/4\nL:1/8\nK:C\n"


def music(seed: int, bars: int = 4) -> str:
    """Random bars of 2/4 in eighths."""
    rng = np.random.default_rng(seed)
    return "|".join("".join(rng.choice(list("CDEFGABcdefg"), 4)) for _ in range(bars))


def abc(number: int, *strains: str, head: str = "") -> str:
    """An ABC tune with these strains; `head` is more lines of its header."""
    return f"X:{number}\nT:Tune {number}\n{head}{HEAD}{'||'.join(strains)}|]\n\n"


def built(folder: Path, root: Path, **options):
    """The data card of a corpus of this folder, and whether it was built now."""
    given = {"rebuild": options.pop("rebuild", False), "report": options.pop("report", None)}
    given = {name: value for name, value in given.items() if value is not None}
    return build([folder], BuildOptions(name="mine", **options), root=root, **given)

"""What a corpus is to be: its name, styles and licence."""

from __future__ import annotations

from dataclasses import dataclass

from music.corpora.catalogue import checked_name
from music.corpora.corpus_file import CorpusError
from music.corpora.file_reading import STYLE_FROM, ReadTune, label_of
from music.corpora.sources import Source
from music.styles import check_label

NOT_STATED = "not stated"
LICENCE_CHARACTERS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """What a corpus is to be.

    Raises:
        CorpusError: for a name, a source of styles or a licence that is none.
        StyleError: for a style that is no label.
    """

    name: str
    style: str | None = None
    """style of all strains; the name of the corpus without it and `style_from`"""
    style_from: str | None = None
    """one of `STYLE_FROM`: a tune's style is the name of its folder, or what its file says"""
    licence: str = NOT_STATED
    part: str | None = None
    """of scores, as in `music.readers.read_tunes`"""

    def __post_init__(self) -> None:
        """Check the values."""
        checked_name(self.name)
        if self.style is not None:
            check_label(self.style)
        if self.style_from is not None and self.style_from not in STYLE_FROM:
            raise CorpusError(f"style_from={self.style_from!r} is none of {list(STYLE_FROM)}")
        if self.style is not None and self.style_from is not None:
            raise CorpusError("a style and a source of styles exclude one another; give one")
        if len(self.licence) > LICENCE_CHARACTERS:
            raise CorpusError(
                f"the licence has {len(self.licence)} characters, and {LICENCE_CHARACTERS} is the "
                "most; name it, or give its address"
            )

    @property
    def deciding(self) -> dict[str, str | None]:
        """All that changes what is written."""
        return {
            "name": self.name,
            "style": self.style,
            "style_from": self.style_from,
            "licence": self.licence,
            "part": self.part,
        }

    def labels(self, tune: ReadTune, source: Source) -> list[str]:
        """The style of each strain of a tune, as it is asked for."""
        if self.style_from == "field":
            return list(tune.labels)
        one = label_of(source.folder) if self.style_from == "folder" else self.style or self.name
        return [one] * len(tune.rows)

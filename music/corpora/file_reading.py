"""Reading the files of a corpus, each into its strains as tokens, in one process or in two."""

from __future__ import annotations

import re
import signal
import unicodedata
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from multiprocessing import active_children, get_context
from pathlib import Path

import numpy as np

from music.corpora.corpus_file import CorpusError
from music.corpora.sources import Source
from music.messages import excerpt
from music.progress import Progress, no_progress
from music.readers import Notice, Refusal, Tune, melodies_of, read_tunes
from music.styles import OTHER, SHIPPED_STYLES, Styles
from music.tokens import encode

STYLE_FROM = ("folder", "field")
PROCESSES = 2
PARALLEL_BYTES = 2**20
"""of all files together, from which on two processes read them; below, starting one takes longer"""
AHEAD = 8
"""files that may be read before the first of them is taken"""
TITLE_CHARACTERS = 80
NAME_CHARACTERS = 60
"""of a transcriber"""
_NO_STYLES = Styles()


@dataclass(frozen=True, slots=True)
class ReadTune:
    """A tune of a file and its strains."""

    number: str
    title: str
    transcribers: tuple[str, ...]
    rows: tuple[np.ndarray, ...]
    """tokens of its strains, their style slot 0"""
    labels: tuple[str, ...]
    """style of each strain as `music.formats.abc_melody.style_of_tune` reads it; where that finds
    none, the `R:` field as a label"""
    tonics: tuple[int, ...]


@dataclass(slots=True)
class FileReading:
    """What was read of a file, and what was not."""

    tunes: list[ReadTune] = field(default_factory=list)
    unread_tunes: int = 0
    """tunes of which nothing could be read; a file that is refused as a whole has none"""
    refusals: list[Refusal] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)


def label_of(text: str) -> str:
    """A text, such as the name of a folder, as a style label; "other" if nothing of it is left.

    A style of the base policy has its label, however it is written: "Slip Jig" is "slipjig".
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    known = re.sub(r"[^a-z0-9]+", "", plain)
    if known in SHIPPED_STYLES.labels:
        return known
    return re.sub(r"[^a-z0-9-]+", " ", plain).strip(" -")[:32].strip() or OTHER


def read_file(path: Path, name: str, part: str | None) -> FileReading:
    """The strains of a file as tokens. Whatever is in it, or keeps it from being read, is told.

    Args:
        path: the file.
        name: what it is called in what is refused.
        part: of a score, as in `read_tunes`.
    """
    reading = FileReading()
    try:
        tunes, reading.refusals = read_tunes(path, part=part)
    except OSError as error:
        detail = f"it cannot be read ({error.strerror}); make it readable, or take it out"
        reading.refusals = [Refusal(name, "", "", "damaged", detail)]
        return reading
    known = {tune.number for tune in tunes}
    # Text that is no ABC is refused as a tune 1 that is damaged.
    if tunes or [refusal.reason for refusal in reading.refusals] != ["damaged"]:
        unread = {refusal.tune for refusal in reading.refusals} - known - {""}
        reading.unread_tunes = len(unread)
    for tune in tunes:
        reading.notices += tune.notices
        melodies, refused = melodies_of(tune)
        reading.refusals += refused
        labels = [melody.header.style for melody in melodies]
        rhythm = label_of(" ".join(tune.fields.get("R", [])))
        reading.tunes.append(
            ReadTune(
                tune.number,
                excerpt(tune.title, TITLE_CHARACTERS),
                tuple(_transcribers(tune)),
                tuple(encode(melody, _NO_STYLES) for melody in melodies),
                tuple(rhythm if label == OTHER else label for label in labels),
                tuple(melody.tonic_midi for melody in melodies),
            )
        )
    reading.refusals = [replace(refusal, file=name) for refusal in reading.refusals]
    reading.notices = [replace(notice, file=name) for notice in reading.notices]
    return reading


def _transcribers(tune: Tune) -> Iterator[str]:
    """Who wrote the file of a tune, as its `Z:` fields, or the encoder of a score, say."""
    for line in tune.fields.get("Z", []):
        said = re.sub(r"^(transcribed|transcription) by:?\s+", "", line.strip(), flags=re.I)
        if said:
            yield excerpt(said, NAME_CHARACTERS)


def read_files(
    sources: Sequence[Source], part: str | None = None, *, progress: Progress = no_progress
) -> Generator[FileReading]:
    """What was read of each file, in order. `progress` is told how many files are read.

    Raises:
        CorpusError: when a process that reads was ended, as for lack of memory.
    """
    size_bytes = sum(_size(source.path) for source in sources)
    if len(sources) < 2 or size_bytes < PARALLEL_BYTES:
        for place, source in enumerate(sources):
            progress(place, len(sources))
            yield read_file(source.path, source.name, part)
        progress(len(sources), len(sources))
        return
    before = active_children()
    # Not forked: a process with threads, as the studio is, may not be copied.
    readers = ProcessPoolExecutor(
        PROCESSES, mp_context=get_context("spawn"), initializer=_leave_interrupts
    )
    waiting: deque[tuple[Source, Future[FileReading]]] = deque()
    left = iter(sources)
    done = 0
    try:
        while True:
            while len(waiting) < AHEAD and (source := next(left, None)) is not None:
                task = readers.submit(read_file, source.path, source.name, part)
                waiting.append((source, task))
            if not waiting:
                break
            progress(done, len(sources))
            source, task = waiting.popleft()
            try:
                yield task.result()
            except BrokenProcessPool as error:
                raise CorpusError(
                    f"reading stopped near {source.name!r}: the process that read it was ended, "
                    "as for lack of memory; build from fewer or smaller files"
                ) from error
            done += 1
        progress(done, len(sources))
    except BaseException:  # or whoever wanted the files has stopped: a long one is not waited for
        for process in active_children():
            if process not in before:
                process.terminate()
        raise
    finally:
        readers.shutdown(wait=True, cancel_futures=True)


def _leave_interrupts() -> None:
    """Ctrl-C reaches all processes of a terminal; the first one ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0

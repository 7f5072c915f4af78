"""How much of a folder of music is read, and what is refused and why.

    python benchmarks/corpora/reading.py
    python benchmarks/corpora/reading.py essenFolksong airdsAirs
    python benchmarks/corpora/reading.py ~/tunes --list

A folder is one on the disk, or one of music21's `corpus` folder by its name; without one, all
MusicXML and MIDI files of music21's `corpus` folder are read.

A file is *read* if it gives a tune, *refused* if it gives none and at least one refusal with a
reason, and *lost* if neither; an exception is a *crash*. A tune is *kept* if it gives at least one
strain that a melody can hold. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import resource
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from music.readers import Refusal, melodies_of, read_tunes
from music.readers.read import ENDINGS, MIDI_ENDINGS, MUSICXML_ENDINGS


@dataclass(slots=True)
class Count:
    """What was read."""

    files: Counter[str] = field(default_factory=Counter)
    tunes: int = 0
    tunes_kept: int = 0
    strains: int = 0
    refused_passages: Counter[str] = field(default_factory=Counter)
    refused_strains: Counter[str] = field(default_factory=Counter)
    lost_tunes: Counter[str] = field(default_factory=Counter)
    """by the reasons of what was refused of them"""


def music21_corpus() -> Path:
    """The folder; music21 itself is not imported."""
    found = importlib.util.find_spec("music21")
    if found is None or found.origin is None:
        raise SystemExit("music21 is not installed; pip install 'tastemaker[corpus]'")
    return Path(found.origin).parent / "corpus"


def files_of(folders: list[str]) -> list[Path]:
    """The files in folders, by name."""
    if not folders:
        return _files(music21_corpus(), (*MIDI_ENDINGS, *MUSICXML_ENDINGS))
    found: list[Path] = []
    for folder in folders:
        path = Path(folder).expanduser()
        path = path if path.is_dir() else music21_corpus() / folder
        if not path.is_dir():
            raise SystemExit(f"{folder!r} is no folder, nor one of music21's corpus; name another")
        found += _files(path, ENDINGS)
    return found


def _files(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.suffix.lower() in endings)


def read_file(file: Path, count: Count) -> list[Refusal]:
    """Read a file and count what is in it; return what was refused of it."""
    try:
        tunes, refusals = read_tunes(file)
        strains = {tune.number: melodies_of(tune) for tune in tunes}
    except Exception as error:  # noqa: BLE001 - a crash is what is counted
        print(f"{file.name}: {type(error).__name__} {error}")
        count.files["crash"] += 1
        return []
    count.files["read" if tunes else "refused" if refusals else "lost"] += 1
    count.refused_passages.update(refusal.reason for refusal in refusals)
    reasons = {number: {r.reason for r in refused} for number, (_, refused) in strains.items()}
    for refusal in refusals:
        reasons.setdefault(refusal.tune, set()).add(refusal.reason)
    for number, why in reasons.items():
        melodies, refused = strains.get(number, ([], []))
        count.tunes += 1
        count.tunes_kept += bool(melodies)
        count.strains += len(melodies)
        count.refused_strains.update(refusal.reason for refusal in refused)
        refusals += refused
        if not melodies:
            count.lost_tunes[", ".join(sorted(why)) or "silence"] += 1
    return refusals


def main() -> None:
    """Read the files, one after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="*", help="on the disk, or of music21's corpus")
    parser.add_argument("--every", type=int, default=1, help="read every so manieth file")
    parser.add_argument("--list", action="store_true", help="print everything that is refused")
    given = parser.parse_args()
    files = files_of(given.folders)[:: given.every]
    count = Count()
    slowest_seconds = 0.0
    started = time.process_time()
    for file in files:
        before = time.process_time()
        refusals = read_file(file, count)
        slowest_seconds = max(slowest_seconds, time.process_time() - before)
        if given.list:
            print(*refusals, sep="\n", end="\n" if refusals else "")
    memory_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{platform.machine()}, {os.cpu_count()} cores, one process")
    answered = count.files["read"] + count.files["refused"]
    result = {
        "folders": given.folders or ["music21's MusicXML and MIDI"],
        "files": len(files),
        **{kind: count.files[kind] for kind in ("read", "refused", "lost", "crash")},
        "share_answered": answered / max(1, len(files)),
        "tunes": count.tunes,
        "tunes_kept": count.tunes_kept,
        "share_kept": round(count.tunes_kept / max(1, count.tunes), 4),
        "strains": count.strains,
        "refused_passages": dict(count.refused_passages.most_common()),
        "refused_strains": dict(count.refused_strains.most_common()),
        "lost_tunes": dict(count.lost_tunes.most_common()),
        "cpu_seconds": round(time.process_time() - started, 1),
        "slowest_file_seconds": round(slowest_seconds, 1),
        "peak_memory_mib": round(memory_mib),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()

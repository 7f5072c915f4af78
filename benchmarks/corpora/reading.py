"""How much of music21's MusicXML and MIDI files is read, and what is refused and why.

    python benchmarks/corpora/reading.py
    python benchmarks/corpora/reading.py --every 8

Every MusicXML (.xml, .musicxml, .mxl) and MIDI file in the `corpus` folder of music21.
A file is *read* if it gives a tune, *refused* if it gives none and at least one refusal with a
reason, and *lost* if neither; an exception is a *crash*. The last line is one JSON object.
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
from pathlib import Path

from music.readers import melodies_of, read_tunes
from music.readers.read import MIDI_ENDINGS, MUSICXML_ENDINGS


def corpus_files() -> list[Path]:
    """The files, by name; music21 itself is not imported."""
    found = importlib.util.find_spec("music21")
    if found is None or found.origin is None:
        raise SystemExit("music21 is not installed; pip install 'tastemaker[corpus]'")
    folder = Path(found.origin).parent / "corpus"
    endings = (*MIDI_ENDINGS, *MUSICXML_ENDINGS)
    return sorted(file for file in folder.rglob("*") if file.suffix in endings)


def main() -> None:
    """Read them, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--every", type=int, default=1, help="read every so manieth file")
    given = parser.parse_args()
    files = corpus_files()[:: given.every]
    files_by: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    strains_refused: Counter[str] = Counter()
    melodies = 0
    slowest_seconds = 0.0
    started = time.process_time()
    for file in files:
        before = time.process_time()
        try:
            tunes, refusals = read_tunes(file)
            found = [melodies_of(tune) for tune in tunes]
        except Exception as error:  # noqa: BLE001 - a crash is what is counted
            print(f"{file.name}: {type(error).__name__} {error}")
            files_by["crash"] += 1
            continue
        files_by["read" if tunes else "refused" if refusals else "lost"] += 1
        refused.update(refusal.reason for refusal in refusals)
        for kept, left_out in found:
            melodies += len(kept)
            strains_refused.update(refusal.reason for refusal in left_out)
        slowest_seconds = max(slowest_seconds, time.process_time() - before)
        if not tunes:
            print(*refusals[:1])
    memory_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{platform.machine()}, {os.cpu_count()} cores, one process")
    result = {
        "files": len(files),
        **{kind: files_by[kind] for kind in ("read", "refused", "lost", "crash")},
        "share_answered": (files_by["read"] + files_by["refused"]) / max(1, len(files)),
        "melodies": melodies,
        "refused_passages": dict(refused),
        "refused_strains": dict(strains_refused),
        "cpu_seconds": round(time.process_time() - started, 1),
        "slowest_file_seconds": round(slowest_seconds, 1),
        "peak_memory_mib": round(memory_mib),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()

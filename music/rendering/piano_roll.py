"""Piano roll: a melody as an SVG picture, time from left to right and pitch upwards.

Each note is a box. Faint lines are beats (`music.metre.BEAT_TICKS`), stronger lines are barlines,
and dashed lines are the tonic in each octave, named on the left. Everything is drawn in
`currentColor`, so the picture takes the text colour of its page. Equal melodies give equal
pictures, so a picture does not reveal which policy wrote the melody.

Units: the viewBox is 1000 wide; a semitone is `ROW` high. A picture is at least an octave high, so
that a step does not look like a leap in a melody of two pitches.
"""

from __future__ import annotations

from music.melody import TONIC_NAMES, Melody

WIDTH = 1000
LEFT, RIGHT, EDGE = 44, 8, 8
"""room for the names of the tonics, and around the picture"""
ROW = 9
LEAST_SEMITONES = 12
BEAT_OPACITY, BAR_OPACITY, TONIC_OPACITY = 0.12, 0.4, 0.55


def piano_roll_svg(melody: Melody) -> str:
    """Melody -> an SVG picture with a viewBox and a title, in the text colour of its page."""
    header = melody.header
    low, high = _range(melody)
    height = (high - low + 1) * ROW + 2 * EDGE
    unit = (WIDTH - LEFT - RIGHT) / (header.end_ticks - header.start_ticks)

    def x(ticks: int) -> str:
        return _number(LEFT + (ticks - header.start_ticks) * unit)

    def top(pitch: int) -> int:
        return EDGE + (high - pitch) * ROW

    about = f"Piano roll: {header.bars} bars of {header.meter} in {melody.key}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{about}" color="currentColor">',
        f"<title>{about}</title>",
    ]
    bars = set(header.barlines_ticks)
    first = -(-header.start_ticks // header.beat_ticks) * header.beat_ticks
    beats = set(range(first, header.end_ticks, header.beat_ticks))
    lines += [
        f'<path d="{"".join(f"M{x(tick)} {EDGE}V{height - EDGE}" for tick in sorted(ticks))}" '
        f'stroke="currentColor" stroke-width="1" opacity="{opacity}"/>'
        for ticks, opacity in ((beats - bars, BEAT_OPACITY), (bars, BAR_OPACITY))
        if ticks
    ]
    for pitch in range(-(-low // 12) * 12, high + 1, 12):
        y = _number(top(pitch) + ROW / 2)
        midi = melody.tonic_midi + pitch
        lines.append(
            f'<path d="M{LEFT} {y}H{WIDTH - RIGHT}" stroke="currentColor" stroke-width="1.5" '
            f'stroke-dasharray="2 6" opacity="{TONIC_OPACITY}"/>'
            f'<text x="{LEFT - 6}" y="{y}" text-anchor="end" dominant-baseline="central" '
            f'font-size="18" fill="currentColor">{TONIC_NAMES[midi % 12]}{midi // 12 - 1}</text>'
        )
    for note in melody.notes:
        # Slightly narrower than its duration, so that repeated notes are separate boxes.
        width = _number(max(1.0, note.duration_ticks * unit - 1.5))
        lines.append(
            f'<rect x="{x(note.onset_ticks)}" y="{top(note.pitch)}" width="{width}" '
            f'height="{ROW}" rx="2" fill="currentColor"/>'
        )
    return "\n".join([*lines, "</svg>\n"])


def _range(melody: Melody) -> tuple[int, int]:
    """The lowest and highest pitch shown, in semitones above the tonic."""
    pitches = [note.pitch for note in melody.notes]
    low, high = min(pitches), max(pitches)
    short = max(0, LEAST_SEMITONES - (high - low))
    return low - short // 2 - 1, high + (short - short // 2) + 1


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")

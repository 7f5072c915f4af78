"""Near-duplicates: by hand, against plain Python, and no work squared for a book of copies."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from music.corpora import near_duplicates
from music.corpora.near_duplicates import Groups, interval_grams, overlaps
from music.tokens import encode


def plain_grams(melody):
    steps = tuple(b.pitch - a.pitch for a, b in pairwise(melody.notes))
    if len(steps) < 7:
        return {steps}
    return {steps[i : i + 7] for i in range(len(steps) - 6)}


def near(melodies) -> Sequence[list[int]]:
    return [overlap.near() for overlap in overlaps([encode(melody) for melody in melodies])]


def test_grams_by_hand(tune):
    up = np.array([0, 2, 4, 5, 7, 5, 4, 2])
    assert len(interval_grams(up)) == 1
    assert (interval_grams(up) == interval_grams(up + 5)).all()
    assert len(interval_grams(np.array([0, 2, 4, 5, 7, 5, 4, 2, 0, 2]))) == 3
    assert interval_grams(up[:7]) != interval_grams(up)
    assert interval_grams(up[:3]) != interval_grams(up[:4])
    assert len(interval_grams(up[:1])) == 1


def test_agrees_with_plain_python(random_melodies, real_melodies):
    melodies = [*real_melodies[:60], *random_melodies(40), *real_melodies[30:90]]
    grams = [plain_grams(melody) for melody in melodies]
    for index, overlap in enumerate(overlaps([encode(melody) for melody in melodies])):
        assert overlap.grams == len(grams[index])
        first = next(i for i, other in enumerate(grams) if other == grams[index])
        if first < index:
            assert overlap.near() == overlap.held_in() == [first]
            continue
        before = [i for i in range(index) if grams[i] not in grams[:i]]
        both = {i: len(grams[i] & grams[index]) for i in before}
        assert overlap.near() == [
            i for i in before if both[i] >= 0.5 * len(grams[i] | grams[index])
        ]
        assert overlap.held_in() == [
            i for i in before if both[i] and both[i] >= 0.5 * min(len(grams[i]), len(grams[index]))
        ]


def test_a_part_is_held_in_the_whole_without_being_its_duplicate(tune):
    pitches = (0, 2, 4, 5, 7, 9, 11, 12, 9, 5, 2, 7, 4, 0, 5, 11)
    whole = tune(*[(pitch, 24) for pitch in (*pitches, *reversed(pitches))], bars=16)
    part = tune(*[(pitch, 24) for pitch in pitches], bars=8)
    found = list(overlaps([encode(whole), encode(part)]))
    assert (found[1].near(), found[1].held_in()) == ([], [0])


def test_rhythm_and_key_do_not_matter(tune):
    slow, quick = tune((0, 96), (4, 96)), tune((3, 48), (7, 48), bars=2)
    assert near([slow, quick, tune((0, 96), (5, 96))]) == [[], [0], []]


def test_a_book_of_copies_is_compared_with_the_first_of_them_only(monkeypatch, real_melodies):
    looked_up = 0
    plain = np.searchsorted

    def counted(*arguments, **options):
        nonlocal looked_up
        looked_up += 1
        return plain(*arguments, **options)

    monkeypatch.setattr(near_duplicates.np, "searchsorted", counted)
    assert near([real_melodies[0]] * 100)[1:] == [[0]] * 99
    assert looked_up == 2


def test_no_strains_have_no_overlaps():
    assert list(overlaps([])) == []


def test_groups_grow_together():
    groups = Groups()
    groups.join(5, 3)
    groups.join(9, 7)
    assert [groups.root(tune) for tune in (3, 5, 7, 9, 11)] == [3, 3, 7, 7, 11]
    groups.join(9, 5)
    assert [groups.root(tune) for tune in (3, 5, 7, 9, 11)] == [3, 3, 3, 3, 11]


def test_progress_is_told(tune):
    told = []
    rows = [encode(tune((0, 96), (pitch, 96))) for pitch in range(3)]
    list(overlaps(rows, progress=lambda done, of: told.append((done, of))))
    assert told == [(0, 3)]

"""Styles: labels of the style tokens, which each policy has for itself."""

import pytest

from music.styles import SHIPPED_STYLES, StyleError, Styles, check_label


@pytest.mark.parametrize("label", ["reel", "9-8 dance", "a", "x" * 32])
def test_labels(label):
    assert check_label(label) == label


@pytest.mark.parametrize("label", ["", "Reel", " reel", "-reel", "x" * 33, "réel", "a\n", None, 7])
def test_what_is_no_label_is_refused(label):
    with pytest.raises(StyleError, match="is not a label; write 1 to 32 lower-case"):
        check_label(label)


def test_a_label_that_is_not_known_is_slot_0_where_it_is_stored_and_refused_where_it_is_asked_for():
    assert SHIPPED_STYLES.slot("jig") == SHIPPED_STYLES.asked_slot("jig") == 2
    assert SHIPPED_STYLES.slot("polka") == 0
    with pytest.raises(StyleError, match=r"'polka' is not one that this policy .*'other', 'reel'"):
        SHIPPED_STYLES.asked_slot("polka")
    with pytest.raises(StyleError, match="STYLE_8 has no label here; give STYLE_0 to STYLE_7"):
        SHIPPED_STYLES.label(8)


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ((), "do not begin with 'other'"),
        (("reel", "other"), "do not begin with 'other'"),
        (["other"], "do not begin with 'other'"),
        (("other", "reel", "reel"), "'reel' stands twice"),
        (("other", *(f"style {n}" for n in range(32))), "33 styles are too many"),
        (("other", "Reel"), "'Reel' is not a label"),
    ],
)
def test_lists_that_no_policy_has(labels, says):
    with pytest.raises(StyleError, match=says):
        Styles(labels)

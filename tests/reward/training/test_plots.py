"""Plots: every word of a picture is inside it."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.textpath import TextPath

from reward.profile.features import FEATURE_LABELS
from reward.profile.profile import Reason
from reward.training.plots import weights_plot
from reward.training.svg import histogram_plot, taste_plot, training_plot

SVG = "{http://www.w3.org/2000/svg}"
LONGEST = sorted(FEATURE_LABELS, key=lambda name: -len(FEATURE_LABELS[name]))[:10]


def reasons():
    return [
        Reason(name, FEATURE_LABELS[name], weight=0.1 * place, std=0.2, sure=0.9)
        for place, name in enumerate(LONGEST)
    ]


def training_rows():
    names = ("score_mean", "score_std", "kl_nats", "vendi", "originality", "notes")
    return [{"update": at, **dict.fromkeys(names, 1.0 + at)} for at in range(4)]


def spans(svg):
    """Each horizontal text of a picture, with the columns that it begins and ends at."""
    for text in ElementTree.fromstring(svg).iter(f"{SVG}text"):
        place = re.match(r"translate\(([-\d.]+)", text.get("transform", ""))
        x = float(place[1] if place else text.get("x"))
        if re.search(r"rotate\(-90", text.get("transform", "")):
            continue
        size = float(re.search(r"([\d.]+)px", text.get("style"))[1])
        width = TextPath((0, 0), text.text, size=size).get_extents().width
        anchor = re.search(r"text-anchor: (\w+)", text.get("style"))
        before = {"middle": width / 2, "end": width}.get(anchor[1] if anchor else "start", 0)
        yield text.text, x - before, x - before + width


@pytest.mark.parametrize(
    ("draw", "label"),
    [
        (lambda: taste_plot(reasons()), "effect of one base standard deviation on the score"),
        (lambda: weights_plot(reasons()), "effect on the score, 90 % interval"),
        (lambda: training_plot(training_rows(), 2, 8.0), "distance from the base"),
        (
            lambda: histogram_plot(np.arange(9.0), np.arange(9.0), "a long name of a number " * 3),
            "a long name of a number a long name of a number a long name of a number ",
        ),
    ],
)
def test_no_label_is_cut_off(draw, label):
    svg = draw()
    left, _, width, _ = map(float, ElementTree.fromstring(svg).get("viewBox").split())
    found = list(spans(svg))
    assert label in [text for text, _, _ in found]
    for text, begins, ends in found:
        assert begins >= left - 1, text
        assert ends <= left + width + 1, text

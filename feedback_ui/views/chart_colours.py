"""Colours for charts, from the light or the dark theme of the page that is shown.

A chart takes `Colours` and does not use Streamlit.
"""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from feedback_ui.components.theme_watcher import theme_kind


@dataclass(frozen=True, slots=True)
class Colours:
    """Colours of a chart, as hex."""

    accent: str
    """lines and points of the data"""
    text: str
    """text and reference lines"""


def chart_colours() -> Colours:
    """Colours of the current theme; call it once for each page."""
    kind = theme_kind()
    # Not the primary colour: in the dark theme it is dim, so that white button text is readable.
    palette = st.get_option(f"theme.{kind}.chartCategoricalColors") or ["#0f766e"]
    text = st.get_option(f"theme.{kind}.textColor") or "#1f2933"
    return Colours(str(palette[0]), str(text))

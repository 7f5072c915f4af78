"""Colours for charts: the theme's, for the light or dark page that is being looked at.

A chart takes `Colours` and knows nothing of Streamlit.
"""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from feedback_ui.components.theme_watcher import theme_kind


@dataclass(frozen=True, slots=True)
class Colours:
    """What charts are drawn with, as hex."""

    accent: str
    """lines and points of what is told"""
    text: str
    """words, and what is there for comparison"""


def chart_colours() -> Colours:
    """The theme's, of the page that is being drawn; ask once for a page."""
    kind = theme_kind()
    # Not the primary colour, which is dim at night for the white that Streamlit writes on it.
    palette = st.get_option(f"theme.{kind}.chartCategoricalColors") or ["#0f766e"]
    text = st.get_option(f"theme.{kind}.textColor") or "#1f2933"
    return Colours(str(palette[0]), str(text))

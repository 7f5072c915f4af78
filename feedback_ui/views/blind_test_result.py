"""The result of a blind test that has ended."""

from __future__ import annotations

import altair as alt
import pandas as pd
import streamlit as st

from feedback_ui.components.text_table import text_table
from feedback_ui.services.blind_tests import Outcome, Standing, counted, outcome, rule_in_words
from feedback_ui.services.session import StudioSession

TEAL, AMBER = "#2a9d8f", "#d97706"
"""both have enough contrast on the light and on the dark theme"""


def show_result(studio: StudioSession, test: Standing) -> None:
    """Show the whole result, including which policy wrote what.

    Raises:
        RatingsError: when the test has not ended, or the database cannot be used.
    """
    found = outcome(studio.store, test.id)
    st.markdown("**The result**")
    st.text(found.words)
    if found.tally.decided:
        _figures(found)
    tally = found.tally
    ties = counted(tally.ties, "tie", "ties")
    st.markdown(
        f"{counted(tally.votes, 'vote counts', 'votes count')}: {tally.wins_b} for {found.b}, "
        f"{tally.wins_a} for {found.a}, {ties}. Not counted: {found.undecided} votes that said "
        f"“both are bad” or skipped, {found.again} repeated votes on the same pair, "
        f"{found.beyond_share} votes beyond one person's share, and {found.set_aside} votes that "
        f"claimed more listening than there was time for. {_why(found, test)}"
    )
    with st.expander("What these figures mean"):
        st.markdown(
            f"*{found.b} wins* is its share of the votes that named one melody as better. "
            "The range holds the true share with 95 % probability, if nothing was known before. "
            "The result is about the people who voted; others may prefer something else.\n\n"
            f"{rule_in_words()}"
        )
    if found.raters:
        st.markdown("**Who said what**")
        titles = ("Rater", f"for {found.b}", f"for {found.a}", "Ties", "Undecided")
        rows = [
            (
                rater.nickname,
                *map(str, (rater.tally.wins_b, rater.tally.wins_a, rater.tally.ties)),
                str(rater.undecided),
            )
            for rater in found.raters
        ]
        text_table(titles, rows, key=f"raters-{test.id}", caption="Votes of each rater")


def _figures(found: Outcome) -> None:
    share, (low, high) = found.tally.share_b, found.tally.interval(0.95)
    probability = found.tally.probability_b_better
    for place, title, value in zip(
        st.columns(3),
        (f"{found.b} wins", "95 % sure between", "Chance it is better"),
        (f"{share:.0%}", f"{low:.0%} – {high:.0%}", f"{probability:.1%}"),
        strict=True,
    ):
        place.metric(title, value, border=True)
    st.altair_chart(
        _chart(found),
        width="stretch",
        alt=f"{found.b} wins {share:.0%} of votes, 95 % between {low:.0%} and {high:.0%}; one half "
        "is marked.",
    )


def _why(found: Outcome, test: Standing) -> str:
    """Why the test ended."""
    if found.claim is not None:
        return f"The answer was clear at vote {found.claim.at_vote}."
    if test.votes >= test.votes_wanted:
        return "All the votes asked for are in."
    return "It was ended before the answer was clear."


def _chart(found: Outcome) -> alt.LayerChart | alt.FacetChart:
    """B's share of votes with its intervals, on an axis from 0 to 100 %."""
    low, high = found.tally.interval(0.95)
    inner_low, inner_high = found.tally.interval(0.9)
    row = {
        "share": found.tally.share_b,
        "low": low,
        "high": high,
        "inner_low": inner_low,
        "inner_high": inner_high,
    }
    data, scale = alt.Chart(pd.DataFrame([row])), alt.Scale(domain=[0, 1])
    axis = alt.Axis(format="%", title=f"share for {found.b}", values=[0, 0.25, 0.5, 0.75, 1])
    told = [
        alt.Tooltip("share:Q", format=".1%", title=f"{found.b} wins"),
        alt.Tooltip("low:Q", format=".1%", title="95 % from"),
        alt.Tooltip("high:Q", format=".1%", title="to"),
        alt.Tooltip("inner_low:Q", format=".1%", title="90 % from"),
        alt.Tooltip("inner_high:Q", format=".1%", title="to "),
    ]
    wide = data.mark_rule(strokeWidth=3, color=TEAL).encode(
        x=alt.X("low:Q", axis=axis, scale=scale), x2="high:Q", tooltip=told
    )
    inner = data.mark_rule(strokeWidth=9, color=TEAL).encode(
        x=alt.X("inner_low:Q", scale=scale), x2="inner_high:Q", tooltip=told
    )
    point = data.mark_point(filled=True, opacity=1, size=160, shape="diamond", color=AMBER).encode(
        x=alt.X("share:Q", scale=scale), tooltip=told
    )
    half = (
        alt.Chart(pd.DataFrame([{"half": 0.5}]))
        .mark_rule(strokeDash=[4, 4], color="gray")
        .encode(x=alt.X("half:Q", scale=scale))
    )
    return alt.layer(half, wide, inner, point).properties(height=110)

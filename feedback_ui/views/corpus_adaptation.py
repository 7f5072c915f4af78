"""Adapting a policy to a corpus: the form, the progress, and what came of it."""

from __future__ import annotations

import altair as alt
import pandas as pd
import streamlit as st

from feedback_ui.components.tune_player import tune_player
from feedback_ui.services.corpora.adaptations import Adaptation, Adaptations
from feedback_ui.services.corpora.overview import CorpusOverview
from feedback_ui.services.corpora.policies import KnownPolicies, KnownPolicy
from feedback_ui.services.downloads import name_of
from feedback_ui.services.notation import NOTES, PIANO_ROLL, pictures_of
from feedback_ui.services.session import StudioSession
from feedback_ui.views.chart_colours import Colours, chart_colours
from feedback_ui.views.corpora import following
from feedback_ui.views.notice import errors_noticed
from music.corpora.catalogue import SHIPPED

CHART_PX = 180
KINDS = {
    "pretrain": "adapted to it",
    "ppo": "fine-tuned from a policy that learnt from it",
    "base": "the base policy, which comes with the program",
}
ENDED = {
    "stopped": ":material/pause_circle: stopped; it can go on where it was",
    "interrupted": ":material/error: interrupted; it can go on where it was",
    "refused": ":material/error: ended by an error",
}


def adapt_section(
    studio: StudioSession, adaptations: Adaptations, corpus: CorpusOverview, policies: KnownPolicies
) -> None:
    """Show the policies that were made from a corpus, and offer to make another."""
    st.subheader("Policies that learnt from it", anchor=False)
    known = policies.trained_on(corpus.name)
    ours = adaptations.all(corpus.name)
    colours = chart_colours()
    for adaptation in ours:
        _adaptation(studio, adaptations, adaptation, colours)
    own = {adaptation.run for adaptation in ours}
    for policy in known:
        if policy.name not in own:
            _policy(policy)
    if not known and not ours:
        st.markdown("There is none yet.")
    if corpus.name != SHIPPED:
        _form(adaptations, corpus, policies)


def _form(adaptations: Adaptations, corpus: CorpusOverview, policies: KnownPolicies) -> None:
    held_out = corpus.held_out_tunes
    with (
        st.expander(
            "Adapt a policy to this corpus",
            icon=":material/school:",
            expanded=not adaptations.all(corpus.name),
        ),
        st.form(f"adapt-{corpus.name}", border=False),
    ):
        st.markdown(
            "The policy begins as the one that you choose, and learns from the tunes of this "
            "corpus. It stops when it no longer gets better on tunes that were kept apart. With a "
            "few hundred tunes this takes some minutes, at most about ten."
        )
        if held_out is not None and held_out < 10:
            kept = "no tune was" if not held_out else f"only {held_out} tunes were"
            st.markdown(
                f":material/info: The corpus is small: {kept} kept apart, so it will be hard to "
                "say how much the policy has learnt. Listen to it instead."
            )
        names = [policy.name for policy in policies.all() if policy.kind != "ppo"]
        start = st.selectbox("Where it begins", names, key=f"start-{corpus.name}")
        free = adaptations.free_run(corpus.name)
        run = st.text_input(
            "Name of the new policy",
            max_chars=64,
            placeholder=free,
            help="Lower-case letters, digits and hyphens.",
            key=f"run-{corpus.name}",
            autocomplete="off",
        )
        sent = st.form_submit_button("Adapt it", type="primary", icon=":material/play_arrow:")
    if sent:
        with errors_noticed():
            adaptations.start(corpus.name, run=run.strip() or free, start_from=start)
            st.rerun()


def _adaptation(
    studio: StudioSession, adaptations: Adaptations, adaptation: Adaptation, colours: Colours
) -> None:
    command, run = adaptation.command, adaptation.run
    st.markdown(f"**{run}**")
    if command.is_live:
        following(
            command,
            f"{run} is learning",
            "Stop learning",
            more=lambda: _chart(adaptations.bits(run), colours),
        )
        return
    if adaptation.result is None:
        st.markdown(ENDED.get(command.state, ENDED["interrupted"]))
        if command.state == "refused":
            st.text(command.failure)
        with st.container(horizontal=True):
            if st.button("Go on", key=f"go-on-{run}", icon=":material/resume:"):
                with errors_noticed():
                    adaptations.go_on(adaptation)
                    st.rerun()
    else:
        st.markdown(f":material/check_circle: {in_words(adaptation.result)}")
    _chart(adaptation.bits, colours)
    if adaptation.result is not None:
        _hear(studio, adaptations, run)
        with st.container(horizontal=True):
            st.page_link("app_pages/fine_tune.py", label="Fine-tune it", icon=":material/tune:")
            st.page_link(
                "app_pages/blind_test.py",
                label="Compare it in a blind test",
                icon=":material/hearing:",
            )


def in_words(result: dict[str, object]) -> str:
    """What an adaptation has brought, for a musician."""
    before, after = (_number(result, name) for name in ("bits_before", "bits_per_note"))
    if before is None or after is None:
        return "It has learnt what it could."
    tunes, error = _number(result, "tunes"), _number(result, "gain_standard_error")
    on = "tunes that were kept apart"
    if tunes is not None:
        on = f"{tunes:.0f} {on}" if tunes != 1 else "one tune that was kept apart"
    if result.get("tells") is not True:
        return (
            f"It has learnt what it could. On {on}, its surprise went from {before:.2f} to "
            f"{after:.2f} bits a note. That is too little to tell whether it is more than chance: "
            "listen to it."
        )
    doubt = "" if error is None else f" ± {error:.2f}"
    if after < before:
        return (
            f"On {on}, each note now surprises it by {after:.2f} bits instead of {before:.2f}: "
            f"{before - after:.2f}{doubt} fewer."
        )
    return (
        f"It has not become better: on {on}, each note surprises it by {after:.2f} bits, and "
        f"{before:.2f} before. More tunes help."
    )


def surprise_chart(
    bits: tuple[tuple[int, float], ...], colours: Colours
) -> alt.LayerChart | alt.FacetChart:
    """Bits a note on held-out tunes by step."""
    table = pd.DataFrame(bits, columns=["step", "bits"])
    base = alt.Chart(table).encode(
        x=alt.X("step:Q", title="step", axis=alt.Axis(format="d", tickMinStep=1, tickCount=6)),
        y=alt.Y("bits:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(format=".2f")),
        tooltip=[
            alt.Tooltip("step:Q", title="step"),
            alt.Tooltip("bits:Q", title="bits a note", format=".3f"),
        ],
    )
    return alt.layer(
        base.mark_line(color=colours.accent, strokeWidth=2),
        base.mark_point(size=36, opacity=1, filled=True, color=colours.accent),
    ).properties(height=CHART_PX)


def _chart(bits: tuple[tuple[int, float], ...], colours: Colours) -> None:
    if len(bits) < 2:
        return
    st.caption(
        "Surprise at tunes that were kept apart, in bits a note; lower is better. Step 0 is the "
        "policy where it began. Of a policy that gets worse again, the best step is kept."
    )
    st.altair_chart(
        surprise_chart(bits, colours),
        width="stretch",
        alt=f"Bits a note by step: {bits[0][1]:.2f} at first, {bits[-1][1]:.2f} now",
    )


def _hear(studio: StudioSession, adaptations: Adaptations, run: str) -> None:
    """Melodies that a policy has written, and a button for others."""
    writing = adaptations.writing(run)
    if writing.is_live:
        following(writing, f"{run} is writing melodies", "Stop writing")
        return
    if writing.state == "refused":
        st.text(writing.failure)
    melodies = adaptations.heard(run)
    with errors_noticed():
        for number, melody in enumerate(melodies, start=1):
            tune_player(
                studio.clip(melody),
                key=f"heard-{run}-{number}",
                label=f"Melody {number} by {run}: {name_of(melody)}",
                pictures=pictures_of(melody, [NOTES, PIANO_ROLL]),
            )
    label = "Other melodies" if melodies else "Listen to what it writes"
    if st.button(label, key=f"hear-{run}", icon=":material/music_note:"):
        with errors_noticed():
            adaptations.hear(run)
            st.rerun()


def _policy(policy: KnownPolicy) -> None:
    said = KINDS.get(policy.kind, "made from it")
    made = f", {policy.created_at[:10]}" if policy.created_at else ""
    st.text(f"{policy.name}: {said}{made}")


def _number(fields: dict[str, object], name: str) -> float | None:
    value = fields.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

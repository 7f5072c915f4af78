"""A melody from close by: beside real tunes, whether it is copied, and where it comes from.

The last two are left out where they could give away who wrote what still waits for a vote.
"""

from __future__ import annotations

import streamlit as st

from feedback_ui.components.tune_player import tune_player
from feedback_ui.services.downloads import name_of
from feedback_ui.services.library import LibraryMelody, MelodyLibrary, Origin
from feedback_ui.services.notation import NOTES, pictures_of
from feedback_ui.services.profiles import LEAST_VOTES
from feedback_ui.services.reference_corpus import RealTunes
from feedback_ui.services.session import StudioSession

VERDICTS = {
    "new": ":material/check_circle: **New.** It shares no more with any tune the generator learnt "
    "from than a real tune shares with others.",
    "usual": ":material/check_circle: **New, with stock figures.** It shares a stretch with a tune "
    "the generator learnt from, as many real tunes do.",
    "partly copied": ":material/warning: **Partly copied.** It shares a longer stretch with a tune "
    "the generator learnt from than real tunes do.",
    "copied": ":material/content_copy: **Copied.** Half of it or more stands in a tune the "
    "generator learnt from.",
}


def close_up(item: LibraryMelody, studio: StudioSession, library: MelodyLibrary) -> None:
    """Write all that may be told of a melody.

    Args:
        item: the melody.
        studio: makes the sound of the tune that it may be copied from.
        library: where it is from.

    Raises:
        RatingsError: when the votes for the group's taste cannot be read.
        SoundfontError: when the other tune cannot be rendered.
    """
    with st.spinner("Measuring it beside real tunes …"):
        real = library.real_tunes()
    _measures(item, real)
    st.subheader("Is it new, or copied?", anchor=False)
    if item.origin is None:
        st.markdown(
            "Told when you have rated it and no pair with it waits for you: it could give away who "
            "wrote it, and your votes should stay blind. The same goes for where it comes from."
        )
        return
    _likeness(item, real, studio)
    _origin(item.origin, library.group_score(item))


def _measures(item: LibraryMelody, real: RealTunes) -> None:
    lines = real.compare(item.melody)
    st.subheader("Beside real tunes", anchor=False)
    st.table(
        {
            "What": [line.label for line in lines],
            "Here": [line.here for line in lines],
            "Most real tunes": [line.usual for line in lines],
            "In a word": [line.word for line in lines],
        },
        hide_index=True,
        border="horizontal",
    )
    st.caption(
        f"“Most” is eight of ten strains in {item.melody.header.meter} of the two public-domain "
        "books that the generator learnt from."
    )


def _likeness(item: LibraryMelody, real: RealTunes, studio: StudioSession) -> None:
    found = real.likeness(item.melody)
    st.markdown(VERDICTS[found.verdict])
    if found.strain is not None:
        st.markdown(
            f"The longest shared stretch has {found.shared_notes} of its {found.notes} notes, from "
            f"note {found.first_note} on (in any key). Real tunes that the generator never saw "
            f"share {found.usual_notes:.0f} on average. It stands in {found.source}:"
        )
        other = found.strain.melody
        tune_player(
            studio.clip(other),
            key=f"source-{item.code}",
            label=f"The tune that shares it: {name_of(other)}",
            pictures=pictures_of(other, [NOTES]),
        )


def _origin(origin: Origin, score: tuple[float, float] | None) -> None:
    st.subheader("Where it comes from", anchor=False)
    facts = {
        "Written by": origin.policy_id,
        "Training step": f"{origin.step:,}",
        "Sampler (how notes were drawn)": origin.sampler,
        "Seed (repeats the draw)": str(origin.seed),
        "Added": f"{origin.created_at:%Y-%m-%d %H:%M} UTC",
        "Rounds of rating": ", ".join(map(str, origin.rounds)) or "none yet",
        "Id in exports": str(origin.melody_id),
        "The group's taste": f"not known yet: it takes {LEAST_VOTES} answers"
        if score is None
        else f"likely liked better than {100 * score[1]:.0f} % of the melodies here",
    }
    for name, value in facts.items():
        label, said = st.columns([2, 3], gap="small")
        label.caption(name)
        said.text(value)  # as text: names may come from an imported file

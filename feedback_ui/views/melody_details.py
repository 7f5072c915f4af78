"""A melody in detail: compared with real tunes, whether it is copied, and where it comes from.

The last two are hidden while a pair with the melody waits for the rater's vote, because they could
reveal who wrote it.
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
    "copied": ":material/content_copy: **Copied.** At least half of it is in a tune the generator "
    "learnt from.",
}


def melody_details(item: LibraryMelody, studio: StudioSession, library: MelodyLibrary) -> None:
    """Show everything that this visitor may know about a melody.

    Args:
        item: the melody.
        studio: renders the tune that it may be copied from.
        library: the library that has the melody.

    Raises:
        RatingsError: when the votes for the group's taste cannot be read.
        SoundfontError: when the other tune cannot be rendered.
    """
    with st.spinner("Comparing it with real tunes …"):
        real = library.real_tunes(item)
    _measures(item, real)
    st.subheader("Is it new, or copied?", anchor=False)
    if item.origin is None:
        st.markdown(
            "You see this, and where the melody comes from, when you have rated it (not skipped "
            "it) and no pair with it waits for you. Until then it could reveal who wrote it, and "
            "your votes should be blind."
        )
        return
    _likeness(item, real, studio)
    _origin(item.origin, library.group_score(item))


def _measures(item: LibraryMelody, real: RealTunes) -> None:
    lines = real.compare(item.melody)
    st.subheader("Compared with real tunes", anchor=False)
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
    st.caption(f"“Most” means 80 % of {real.compared_with(item.melody)}.")
    if real.missing:
        st.caption(
            f"Not compared with {', '.join(real.missing)}: the generator was trained on it, but it "
            "is not on this machine (any more)."
        )


def _likeness(item: LibraryMelody, real: RealTunes, studio: StudioSession) -> None:
    found = real.likeness(item.melody)
    st.markdown(VERDICTS[found.verdict])
    if found.strain is not None:
        st.markdown(
            f"The longest shared stretch has {found.shared_notes} of its {found.notes} notes, from "
            f"note {found.first_note} on (in any key). Real tunes that the generator never saw "
            f"share {found.usual_notes:.0f} on average. The stretch is in {found.source}:"
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
        "The group's taste": f"not known yet: it needs {LEAST_VOTES} answers"
        if score is None
        else f"likely liked better than {100 * score[1]:.0f} % of the melodies here",
    }
    for name, value in facts.items():
        label, said = st.columns([2, 3], gap="small")
        label.caption(name)
        said.text(value)  # plain text: names may come from an imported file

"""Library: find, hear, see, keep and download every melody.

The address holds the query, so that a reload or a shared link shows the same melodies. Each run of
the page sets the widgets from the address; a changed widget writes to the address.
"""

from __future__ import annotations

from functools import partial

import streamlit as st

from feedback_ui.components.tune_player import tune_player
from feedback_ui.services.corpora.policies import KnownPolicies
from feedback_ui.services.downloads import melody_files, name_of
from feedback_ui.services.library import Found, LibraryMelody, MelodyLibrary, Visitor
from feedback_ui.services.library_query import MINE, SORTS, LibraryQuery
from feedback_ui.services.notation import NOTES, PIANO_ROLL, pictures_of
from feedback_ui.services.reference_corpus import ReferenceCorpora
from feedback_ui.services.session import StudioSession
from feedback_ui.views.access import is_organiser, known_rater, open_studio, signed_in, trouble
from feedback_ui.views.melody_details import melody_details
from feedback_ui.views.notice import errors_noticed, notice
from feedback_ui.views.page_heading import page_heading

COLUMNS = 2


@st.cache_resource(show_spinner=False)
def open_library(database: str, _studio: StudioSession) -> MelodyLibrary:
    """The library of this server; its melodies are read once."""
    references = ReferenceCorpora(KnownPolicies().corpora_of)
    return MelodyLibrary(_studio.store, _studio.melodies, _studio.tastes, references)


def go(**changes: str | int) -> None:
    """Change the query; a change of the list returns to its first page."""
    if "melody" not in changes:
        changes.setdefault("page", 1)
    before = LibraryQuery.from_params(st.query_params)
    after = LibraryQuery.from_params({**before.params(), **{k: str(v) for k, v in changes.items()}})
    for name in before.params():
        del st.query_params[name]
    st.query_params.update(after.params())


def taken_from_widget(name: str) -> None:
    """Copy the value of a changed widget to the query."""
    go(**{name: st.session_state[f"library-{name}"] or ""})


def choose(label: str, name: str, options: dict[str, str]) -> None:
    """Draw a select box that sets one field of the query."""
    key = f"library-{name}"
    asked: str = getattr(query, name)
    options = options | {
        asked: options.get(asked) or MINE.get(asked) or asked
    }  # an address may ask for what is not here
    st.session_state[key] = asked
    st.selectbox(
        label,
        list(options),
        key=key,
        format_func=options.__getitem__,
        on_change=taken_from_widget,
        args=(name,),
    )


def controls() -> None:
    """Draw the search field, the order and the filters."""
    st.session_state["library-q"] = query.q
    st.text_input(
        "Find by notes or number",
        key="library-q",
        placeholder="D F# A   or   |dfaf gedB|   or   +2 +2 -4",
        help="**Letters** (`D F# A`): tunes that begin with these notes. **ABC** (`|dfaf gedB|`): "
        "anywhere in the tune; with a key (`K:D dfaf`), in every key. **Steps** in semitones "
        "(`+2 +2 -4`): anywhere, in every key. **Number** (`#3fa9c1`): that melody.",
        max_chars=200,
        on_change=taken_from_widget,
        args=("q",),
    )
    order, mine = st.columns(2)
    with order:
        choose("Order", "sort", SORTS)
    with mine:
        choose("Show", "mine", MINE if rater is not None else {"": MINE[""]})
    filters = sum(
        bool(getattr(query, name)) for name in ("meter", "mode", "style", "bars", "policy", "round")
    )
    label = "More filters" + (f" ({filters} in use)" if filters else "")
    with st.expander(label, icon=":material/tune:", expanded=bool(filters)):
        offered = library.choices(visitor)
        columns = st.columns(COLUMNS)
        for place, (title, name, options) in enumerate(
            (
                ("Metre", "meter", offered.meters),
                ("Mode", "mode", offered.modes),
                ("Style", "style", offered.styles),
                ("Bars", "bars", [str(bars) for bars in offered.bars]),
                ("Written by", "policy", offered.policies),
                ("Round", "round", [str(number) for number in offered.rounds]),
            )
        ):
            with columns[place % COLUMNS]:
                choose(title, name, {"": "Any"} | {option: option for option in options})
        st.caption(
            "“Written by” (the version of the generator) and “Round” (of rating) only find "
            "melodies whose origin you may already see."
        )


def about(item: LibraryMelody) -> str:
    """The line under a melody's name."""
    header = item.melody.header
    parts = [f"{header.bars} bars of {header.meter}", f"#{item.short_code}"]
    if item.verdicts is not None and item.verdicts.heard:
        said = item.verdicts
        parts.append(f"you preferred it {said.preferred} of {said.heard}")
    return " · ".join(parts)


def keep_button(item: LibraryMelody) -> None:
    """Draw the button that adds a melody to the favourites or removes it."""
    if rater is None:
        return
    st.button(
        "Kept" if item.favourite else "Keep",
        key=f"keep-{item.code}",
        icon=":material/heart_check:" if item.favourite else ":material/favorite:",
        help="Remove it from your favourites"
        if item.favourite
        else "Keep it among your favourites",
        on_click=partial(keep, item, rater.id),
    )


def keep(item: LibraryMelody, rater_id: int) -> None:
    """Add a melody to the favourites, or remove it."""
    with errors_noticed():
        library.keep(item.code, rater_id, kept=not item.favourite)


def card(item: LibraryMelody) -> None:
    """A melody in the list."""
    with st.container(border=True):
        tune_player(
            studio.clip(item.melody),
            key=f"tune-{item.code}",
            label=name_of(item.melody),
            pictures=pictures_of(item.melody, (PIANO_ROLL, NOTES)),
            opened=(PIANO_ROLL,),
        )
        st.caption(about(item))
        with st.container(horizontal=True):
            st.button(
                "Look closer",
                key=f"open-{item.code}",
                icon=":material/search:",
                help=f"Everything about this {name_of(item.melody)}",
                on_click=partial(go, melody=item.code),
            )
            keep_button(item)


def pager(found: Found) -> None:
    """Draw the buttons to the previous and the next page."""
    if found.pages == 1:
        return
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="center"):
        st.button(
            "Back",
            icon=":material/chevron_left:",
            disabled=found.page == 1,
            on_click=partial(go, page=found.page - 1),
        )
        st.text(f"Page {found.page} of {found.pages}")
        st.button(
            "Next",
            icon=":material/chevron_right:",
            icon_position="right",
            disabled=found.page == found.pages,
            on_click=partial(go, page=found.page + 1),
        )


def listing() -> None:
    """The list of melodies."""
    controls()
    # Some orders and searches measure every melody once. The controls above are already drawn.
    with st.spinner("Looking through the melodies …"):
        found = library.find(query, visitor)
    if found.trouble:
        notice(found.trouble, icon="info")
    number = "No melody" if not found.total else f"{found.total:,} of {found.pool:,} melodies"
    st.text(f"{number} {found.looked_for}" if found.looked_for else number)
    if not found.pool:
        st.info(
            "The library is empty. The person who runs this studio writes melodies with "
            "`tastemaker pairs`; then reload this page.",
            icon=":material/library_music:",
        )
        return
    if not found.total:
        st.info(
            "No melody matches. Remove a filter, or start again.",
            icon=":material/search_off:",
        )
        st.button(
            "Show all melodies",
            on_click=partial(go, **dict.fromkeys((*query.params(),), "")),  # pyright: ignore[reportArgumentType]
        )
        return
    for start in range(0, len(found.melodies), COLUMNS):
        columns = st.columns(COLUMNS)
        for column, item in zip(columns, found.melodies[start : start + COLUMNS], strict=False):
            with column:
                card(item)
    pager(found)
    if found.withheld:
        st.caption(
            f"The author of {found.withheld:,} of the melodies stays hidden for now, so that your "
            "votes are blind. You see it when you have rated the melody (not skipped it) and no "
            "other pair with it waits for you."
        )
    if rater is not None and found.withheld < found.pool:
        st.caption(
            "The library tells you who wrote what you have rated, so the answers that you have "
            "given until now can no longer be undone."
        )
    if found.sealed:
        st.caption(f"{found.sealed:,} more are in a blind test. They come here when it has ended.")


def closer(item: LibraryMelody) -> None:
    """Everything about one melody."""
    st.button("All melodies", icon=":material/arrow_back:", on_click=partial(go, melody=""))
    clip = studio.clip(item.melody)
    st.header(name_of(item.melody), anchor=False)
    st.caption(about(item))
    tune_player(
        clip,
        key=f"closer-{item.code}",
        label=name_of(item.melody),
        pictures=pictures_of(item.melody),
        opened=(NOTES, PIANO_ROLL),
    )
    with st.container(horizontal=True):
        keep_button(item)
        for file in melody_files(item.melody, item.short_code, clip.path.read_bytes):
            st.download_button(
                file.format,
                file.content,
                file_name=file.name,
                mime=file.mime,
                icon=":material/download:",
                help=f"Download {file.name}, {file.use}",
                on_click="ignore",
            )
    melody_details(item, studio, library)


studio = open_studio()
page_heading("Library", "Every melody of this studio: listen, see the notes, keep and download.")
organiser = is_organiser()
rater = known_rater(studio) if organiser else signed_in(studio)
visitor = Visitor(None if rater is None else rater.id, organiser)
query = LibraryQuery.from_params(st.query_params)
library = open_library(studio.store.name, studio)
try:
    looked_at = library.melody(query.melody, visitor) if query.melody else None
    if looked_at is not None:
        closer(looked_at)
    else:
        if query.melody:
            st.warning("This studio has no melody at that link.", icon=":material/link_off:")
        listing()
except ValueError as error:  # messages of the store and the synthesizer
    trouble(error)

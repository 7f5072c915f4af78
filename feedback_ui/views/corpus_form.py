"""The form that makes a corpus of uploaded files, and the one that adds files to it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from feedback_ui.services.corpora.corpus_jobs import LONGEST_LICENCE, CorpusJobs
from feedback_ui.services.corpora.uploads import MOST_BYTES, About, Upload
from feedback_ui.views.notice import errors_noticed
from music.limits import (
    ABC_BOOK_BYTES,
    MIB,
    MIDI_BYTES,
    MUSICXML_BYTES,
    size_in_words,
)
from music.readers.read import ENDINGS

CORPUS = "corpus"
"""query parameter: the corpus that is looked at"""
LEFT_OUT = "corpus-left-out"
"""session key: name of a corpus, and its files that were not kept, with reasons"""
ONE_STYLE, OWN_STYLES = "One for all tunes", "The kind of tune that each ABC file names (R:)"
TYPES = [ending.removeprefix(".") for ending in ENDINGS]
LARGEST_MIB = ABC_BOOK_BYTES // MIB
SIZES = (
    f"A MIDI file may have {size_in_words(MIDI_BYTES)}, a MusicXML file "
    f"{size_in_words(MUSICXML_BYTES)}, an ABC file {size_in_words(ABC_BOOK_BYTES)}, and all "
    f"together {size_in_words(MOST_BYTES)}."
)


def new_corpus_form(jobs: CorpusJobs, *, expanded: bool) -> None:
    """Show the form, and begin to build a corpus when it is sent."""
    # A form that has been sent is drawn anew under another key, so that it is empty.
    turn = st.session_state.setdefault("corpus-form", 0)
    with (
        st.expander(
            "Make a corpus of your own tunes", icon=":material/add_circle:", expanded=expanded
        ),
        st.form(f"new-corpus-{turn}", border=False, enter_to_submit=False),
    ):
        files = _uploader("Files with tunes", f"new-files-{turn}")
        st.caption(f"A file may hold one tune or many. {SIZES}")
        name = st.text_input(
            "Name of the corpus",
            key=f"new-name-{turn}",
            max_chars=64,
            placeholder="such as: my-tunes",
            help="Lower-case letters, digits and hyphens.",
            autocomplete="off",
        )
        licence = st.text_input(
            "Licence, or where the tunes are from",
            key=f"new-licence-{turn}",
            max_chars=LONGEST_LICENCE,
            placeholder="such as: public domain, from Kerr's Merry Melodies",
            help="It is kept with the corpus and stands in the card of every policy that learns "
            "from it. Use only tunes that you may use.",
            autocomplete="off",
        )
        styles = st.radio(
            "Style",
            [ONE_STYLE, OWN_STYLES],
            key=f"new-styles-{turn}",
            help="A policy that has learnt from the corpus is asked for its melodies by a style.",
        )
        style = st.text_input(
            "Name of the one style",
            key=f"new-style-{turn}",
            max_chars=64,
            placeholder="the name of the corpus",
            help="Such as: slow air. Lower-case letters, digits, spaces and hyphens.",
            autocomplete="off",
        )
        sent = st.form_submit_button(
            "Make the corpus", type="primary", icon=":material/play_arrow:"
        )
    if not sent:
        return
    about = About(licence.strip(), style.strip(), styles == OWN_STYLES)
    with errors_noticed():
        refused = jobs.create(name.strip(), _uploads(files), about)
        st.session_state["corpus-form"] = turn + 1
        _opened(name.strip(), refused)


def more_files_form(jobs: CorpusJobs, name: str) -> None:
    """Show a form that adds files to a corpus, and build it anew when it is sent."""
    turn = st.session_state.setdefault(f"more-form-{name}", 0)
    with st.form(f"more-{name}-{turn}", border=False):
        files = _uploader("More files", f"more-files-{name}-{turn}")
        sent = st.form_submit_button("Add them and read again", icon=":material/add:")
    if sent:
        with errors_noticed():
            refused = jobs.add(name, _uploads(files))
            st.session_state[f"more-form-{name}"] = turn + 1
            _opened(name, refused)


def left_out(name: str) -> None:
    """Say which of the files that were uploaded last were not kept, and why."""
    of, refused = st.session_state.get(LEFT_OUT, ("", []))
    if of != name or not refused:
        return
    with st.container(border=True):
        count = "A file was" if len(refused) == 1 else f"{len(refused)} files were"
        st.markdown(f":material/warning: **{count} left out**")
        # As text: a file may be called anything.
        st.text("\n".join(f"{given}: {why}" for given, why in refused[:20]))
        if len(refused) > 20:
            st.text(f"and {len(refused) - 20} more")
        st.button(
            "Dismiss", key="dismiss-left-out", on_click=st.session_state.pop, args=(LEFT_OUT,)
        )


def _uploader(label: str, key: str) -> list[UploadedFile]:
    return st.file_uploader(
        label, type=TYPES, accept_multiple_files=True, key=key, max_upload_size=LARGEST_MIB
    )


def _uploads(files: Sequence[UploadedFile]) -> list[Upload]:
    return [Upload(file.name, file.getvalue()) for file in files]


def _opened(name: str, refused: list[tuple[str, str]]) -> None:
    st.session_state[LEFT_OUT] = (name, refused)
    st.query_params[CORPUS] = name
    st.rerun()

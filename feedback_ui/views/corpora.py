"""One corpus on the page Corpora: how its reading goes, what is in it, how it sounds, its files."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import streamlit as st

from feedback_ui.components.text_table import text_table
from feedback_ui.components.tune_player import tune_player
from feedback_ui.services.corpora.corpus_jobs import CorpusJobs
from feedback_ui.services.corpora.overview import CorpusOverview, CorpusOverviews
from feedback_ui.services.corpora.policies import KnownPolicies
from feedback_ui.services.corpora.recorded_command import RecordedCommand
from feedback_ui.services.corpora.uploads import with_given_names
from feedback_ui.services.notation import NOTES, PIANO_ROLL, pictures_of
from feedback_ui.services.session import StudioSession
from feedback_ui.views.corpus_form import CORPUS, left_out, more_files_form
from feedback_ui.views.notice import errors_noticed, notice
from music.corpora.catalogue import SHIPPED
from music.limits import size_in_words

LOOK_EVERY = timedelta(seconds=1)
EXAMPLES = 3
TITLES = ("Corpus", "Tunes", "Strains", "Policies made from it", "Licence")
NOT_BUILT = {
    "running": "is being read",
    "stopping": "is being read",
    "refused": "could not be made",
    "stopped": "was stopped",
    "interrupted": "was interrupted",
}


def choose_corpus(
    jobs: CorpusJobs, overviews: CorpusOverviews, policies: KnownPolicies
) -> CorpusOverview:
    """List all corpora, and ask which one to look at."""
    found = [overviews.of(name) for name in jobs.names()]
    rows = [
        (
            one.name,
            f"{one.tunes:,}" if one.is_built else "–",
            f"{one.strains:,}" if one.is_built else _why_not_built(jobs, one),
            _several(tuple(policy.name for policy in policies.trained_on(one.name))),
            one.licence or "–",
        )
        for one in found
    ]
    text_table(TITLES, rows, key="corpora", caption="The corpora on this machine")
    names = [one.name for one in found]
    asked = st.query_params.get(CORPUS, "")
    # Without a choice in the address, one of the user's own is more interesting than the books.
    at = names.index(asked) if asked in names else min(1, len(names) - 1)
    st.session_state["corpus-chosen"] = names[at]
    chosen = st.selectbox("Corpus", names, key="corpus-chosen", on_change=_keep_choice)
    return found[names.index(chosen)]


def show_corpus(
    studio: StudioSession, jobs: CorpusJobs, overviews: CorpusOverviews, corpus: CorpusOverview
) -> None:
    """Show what a corpus is."""
    st.subheader(corpus.name, anchor=False)
    left_out(corpus.name)
    if corpus.name != SHIPPED:
        _reading(jobs, corpus.name)
    if corpus.trouble:
        notice(corpus.trouble)
    if not corpus.is_built:
        return
    first, second = st.columns(2)
    first.metric("Tunes", f"{corpus.tunes:,}", border=True)
    second.metric(
        "Strains",
        f"{corpus.strains:,}",
        border=True,
        help="A strain is a part of a tune between double bars or repeat signs, usually 8 bars. "
        "A policy learns strains.",
    )
    text_table(
        ("What", "Here (in brackets: how many)"),
        corpus.facts,
        key=f"facts-{corpus.name}",
        caption=f"What is in {corpus.name}",
    )
    _what_was_read(jobs, overviews, corpus)
    _examples(studio, jobs, overviews, corpus)


def manage_files(jobs: CorpusJobs, name: str) -> None:
    """Add and remove uploaded files, and remove the corpus."""
    files = jobs.files(name)
    with st.expander("Files of this corpus", icon=":material/folder_open:"):
        if files:
            more_files_form(jobs, name)
            st.markdown("**Uploaded files**")
            by_name = {file.stored: f"{file.name} ({_size(file.size_bytes)})" for file in files}
            chosen = st.multiselect(
                "Files to remove",
                list(by_name),
                format_func=by_name.__getitem__,
                key=f"files-{name}",
            )
            with st.container(horizontal=True):
                if st.button("Remove these and read again", disabled=not chosen):
                    with errors_noticed():
                        jobs.remove_files(name, chosen)
                        if jobs.files(name):
                            jobs.start_build(name)
                        st.rerun()
                if st.button("Remove all uploaded files"):
                    with errors_noticed():
                        jobs.remove_files(name)
                        st.rerun()
            st.caption(
                "Without its files, the corpus stays and can be learnt from. It can no longer be "
                "read again with more files."
            )
        else:
            st.markdown(
                "No uploaded files are kept for this corpus. It was built with `tastemaker corpus "
                "build`, or its files were removed."
            )
        st.markdown("**Remove the corpus.** Its tunes, its card and its uploaded files go.")
        made = KnownPolicies().trained_on(name)
        if made:
            st.markdown(
                f"{len(made)} of the policies here learnt from it. They stay and can write "
                "melodies, but these can no longer be compared with its tunes."
            )
        sure = st.checkbox("I want to remove it", key=f"sure-{name}")
        if st.button("Remove the corpus", icon=":material/delete:", disabled=not sure):
            with errors_noticed():
                jobs.remove(name)
                st.query_params.pop(CORPUS, None)
                st.rerun()


def following(
    command: RecordedCommand, title: str, stop: str, *, more: Callable[[], None] = lambda: None
) -> None:
    """Show how far a command is until it ends, with a button that stops it.

    Args:
        command: the command.
        title: what it does, as Markdown.
        stop: label of the button.
        more: draws what else changes meanwhile.
    """

    @st.fragment(run_every=LOOK_EVERY)
    def live() -> None:
        if not command.is_live:
            st.rerun()
        with st.container(border=True):
            st.markdown(f":material/hourglass_top: **{title}**")
            progress = command.progress
            if progress is None:
                st.text((command.lines or ["starting"])[-1])
            else:
                st.progress(
                    progress.done / progress.total,
                    text=f"{progress.stage}: {progress.done} of {progress.total}",
                )
            stops = command.state == "stopping"
            goes_on = "It is about to stop." if stops else "It goes on if you leave this page."
            st.caption(f"{_minutes(command.seconds)} so far. {goes_on}")
            if st.button(stop, key=f"stop-{title}", icon=":material/stop:", disabled=stops):
                with errors_noticed():
                    command.stop()
                    st.rerun(scope="fragment")
        more()

    live()


def _keep_choice() -> None:
    st.query_params[CORPUS] = st.session_state["corpus-chosen"]


def _reading(jobs: CorpusJobs, name: str) -> None:
    """How the reading of the uploaded files goes, unless it went well."""
    command = jobs.build(name)
    if command.is_live:
        following(command, "Reading the tunes", "Stop reading")
        return
    said = {
        "refused": (f":material/error: **The corpus {name} was not made**", command.failure),
        "stopped": (":material/pause_circle: **The reading was stopped**", ""),
        "interrupted": (
            ":material/error: **The reading was interrupted**",
            "The process ended before it was done, as when the machine is switched off.",
        ),
    }.get(command.state)
    if said is None:
        return
    with st.container(border=True):
        st.markdown(said[0])
        if said[1]:
            st.text(with_given_names(said[1], jobs.files(name)))
        if jobs.files(name) and st.button("Read the files again", icon=":material/refresh:"):
            with errors_noticed():
                jobs.start_build(name)
                st.rerun()


def _what_was_read(jobs: CorpusJobs, overviews: CorpusOverviews, corpus: CorpusOverview) -> None:
    if not corpus.reading:
        return
    st.markdown("**What was read**")
    st.text(corpus.reading)
    if corpus.decided:
        text_table(
            ("Decided, so that it could be read", "Times"),
            corpus.decided,
            key=f"decided-{corpus.name}",
            caption="What was decided while reading",
        )
    if not corpus.refused:
        st.text("Nothing was refused.")
        return
    text_table(
        ("Not used because", "Passages"),
        corpus.refused,
        key=f"refused-{corpus.name}",
        caption="Why passages were refused",
    )
    with st.expander("Every passage that was refused"):
        lines, count = overviews.refusals(corpus.name)
        files = jobs.files(corpus.name)
        st.code(
            "\n".join(with_given_names(line, files) for line in lines) or "The list is not there.",
            language=None,
            height=320 if len(lines) > 12 else "content",
            wrap_lines=True,
        )
        if count > len(lines):
            st.caption(
                f"These are {len(lines)} of {count}. All of them stand in "
                f"`checkpoints/corpora/{corpus.name}.refused.csv`."
            )


def _examples(
    studio: StudioSession, jobs: CorpusJobs, overviews: CorpusOverviews, corpus: CorpusOverview
) -> None:
    st.markdown("**Listen to what was read**")
    files = [] if corpus.name == SHIPPED else jobs.files(corpus.name)
    turn = st.session_state.setdefault("corpus-examples", 0)
    with errors_noticed():
        for number, strain in enumerate(overviews.examples(corpus.name, EXAMPLES, turn), start=1):
            tune_player(
                studio.clip(strain.melody),
                key=f"example-{number}",
                label=with_given_names(strain.source, files),
                pictures=pictures_of(strain.melody, [NOTES, PIANO_ROLL]),
            )
    st.button("Other tunes", icon=":material/shuffle:", on_click=_other_examples)


def _other_examples() -> None:
    st.session_state["corpus-examples"] += 1


def _why_not_built(jobs: CorpusJobs, corpus: CorpusOverview) -> str:
    if corpus.trouble:
        return "cannot be read"
    return NOT_BUILT.get(jobs.build(corpus.name).state, "not read yet")


def _several(values: tuple[str, ...]) -> str:
    shown = ", ".join(values[:4])
    return f"{shown} and {len(values) - 4} more" if len(values) > 4 else shown or "–"


def _size(size_bytes: int) -> str:
    return size_in_words(max(1024, size_bytes))


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"

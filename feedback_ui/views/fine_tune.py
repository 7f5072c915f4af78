"""Runs on the page Fine-tune: one run with its curves and melodies, or several compared."""

from __future__ import annotations

from datetime import timedelta

import streamlit as st

from feedback_ui.components.text_table import text_table
from feedback_ui.components.tune_player import tune_player
from feedback_ui.services.clips import Clip, duration_ms
from feedback_ui.services.jobs import FineTuningJobs, Job, Progress
from feedback_ui.services.notation import pictures_of
from feedback_ui.services.session import StudioSession
from feedback_ui.views.access import studio_options
from feedback_ui.views.chart_colours import chart_colours
from feedback_ui.views.fine_tune_charts import curve_chart, curves_of
from feedback_ui.views.notice import errors_noticed, notice
from music.formats.notation import read_melody
from music.messages import one_line

LOOK_EVERY = timedelta(seconds=2)
LATEST = "latest"
COMPARED = "compare"
"""query parameter: names of the runs that are compared"""
STATES = {
    "queued": ":material/hourglass_empty: waits for its turn",
    "running": ":material/play_circle: runs",
    "done": ":material/check_circle: finished",
    "failed": ":material/error: ended by an error; it can go on from its last checkpoint",
    "stopped": ":material/pause_circle: stopped; it can go on from its last checkpoint",
}


@st.cache_resource(show_spinner=False)
def _jobs(_studio: StudioSession, database: str) -> FineTuningJobs:
    return FineTuningJobs(_studio.store, database)


def fine_tuning_jobs(studio: StudioSession) -> FineTuningJobs:
    """The fine-tuning jobs of this server."""
    return _jobs(studio, studio_options().database)


def choose_run(jobs: FineTuningJobs, wanted: str | None) -> Job | None:
    """Ask which run to look at; None when there is none."""
    latest = jobs.latest()
    if not latest:
        st.caption("Runs that you start appear here, with their charts and melodies.")
        return None
    names = [job.run_id for job in latest]
    at = names.index(wanted) if wanted in names else 0
    name = st.selectbox(
        "Run",
        names,
        index=at,
        format_func=lambda name: f"{name}: {_plain(latest[names.index(name)].state)}",
    )
    return latest[names.index(name)]


def watch(jobs: FineTuningJobs, job: Job) -> None:
    """Show the progress and the melodies of a run; refreshes by itself while it runs."""

    @st.fragment(run_every=LOOK_EVERY if job.is_live else None)
    def live() -> None:
        with errors_noticed():
            now = jobs.look_again(job)
            _state(jobs, now)
            if now.state != job.state:
                st.rerun()  # it has started or ended, which changes `run_every`

    @st.fragment(run_every=LOOK_EVERY if job.is_live else None)
    def samples() -> None:
        with errors_noticed():
            _samples(jobs, job)

    live()
    samples()
    with st.expander("Log of its process"), errors_noticed():
        st.code(jobs.log(job), language=None)


def compare(jobs: FineTuningJobs) -> None:
    """Show the settings and figures of several runs side by side."""
    names = [job.run_id for job in jobs.latest()]
    if len(names) < 2:
        return
    st.markdown("**Runs beside each other**")
    said = st.query_params.get(COMPARED)
    wanted = names[:2] if said is None else said.split(",")
    st.session_state[COMPARED] = [name for name in wanted if name in names]
    chosen = st.multiselect(
        "Compare", names, key=COMPARED, on_change=_keep_compared, label_visibility="collapsed"
    )
    if len(chosen) < 2:
        st.caption("Choose two or more.")
        return
    try:
        found = jobs.compare(chosen)
    except ValueError as error:
        notice(one_line(error))
        return
    for key, title, what, rows in (
        ("figures", "Results", "Figure", found.figures),
        ("differences", "Settings that differ", "Setting", found.differences),
    ):
        if rows:
            st.caption(title)
            text_table(
                [what, *found.names],
                [[label, *map(_cell, values)] for label, values in rows.items()],
                key=f"compared-{key}",
                caption=title,
            )


def _keep_compared() -> None:
    st.query_params[COMPARED] = ",".join(st.session_state[COMPARED])


def _state(jobs: FineTuningJobs, job: Job) -> None:
    asked = ", asked to stop after this update" if job.is_live and job.cancel_requested else ""
    st.markdown(f"{STATES[job.state]}{asked}")
    st.text(job.message)
    progress = jobs.progress(job)
    left = progress.seconds_left if job.is_live else None
    st.progress(
        min(1.0, progress.done / progress.updates),
        text=f"update {progress.done} of {progress.updates}"
        + (f", about {_minutes(left)} left" if left else ""),
    )
    _buttons(jobs, job)
    if progress.rows:
        _charts(progress)
    else:
        st.caption("The first figures appear after the first update.")


def _buttons(jobs: FineTuningJobs, job: Job) -> None:
    if job.is_live:
        if st.button(
            "Stop the run", icon=":material/stop:", disabled=job.cancel_requested,
            help="It ends after the current update, with a checkpoint, and can continue later.",
        ):  # fmt: skip
            with errors_noticed():
                jobs.stop(job)
                st.rerun(scope="fragment")
    elif job.state != "done" and st.button("Go on", icon=":material/resume:"):
        with errors_noticed():
            jobs.resume(job)
            st.rerun()


def _charts(progress: Progress) -> None:
    newest = progress.rows[-1]
    # Two rows of two, so that a narrow page stacks them in their order.
    columns = [*st.columns(2), *st.columns(2)]
    colours = chart_colours()
    for number, curve in enumerate(curves_of(progress.settings, progress.rows)):
        with columns[number]:
            st.markdown(f"**{curve.title}**")
            st.caption(curve.words)
            st.altair_chart(
                curve_chart(curve, progress.rows, progress.updates, colours),
                width="stretch",
                alt=f"{curve.title} by update; now {newest[curve.key]:{curve.format}}",
            )
    if newest.get("guards_broken"):
        st.caption(
            f":material/shield: Guards broken now: {', '.join(newest['guards_broken'])}. Such "
            "updates (crosses in the charts) are never the result, and a run that stays there ends."
        )
    st.caption(
        f"Now: reward {newest['score_mean']:+.2f} ± {newest['score_std']:.2f}, "
        f"{newest['kl_nats']:.2f} nats from the base, diversity {newest['vendi']:.0f}, "
        f"originality {newest['originality']:.2f}, {newest['notes']:.0f} notes a melody."
    )


def _samples(jobs: FineTuningJobs, job: Job) -> None:
    found = jobs.samples(job)
    if not found:
        st.caption("New melodies appear every few updates; the first ones are by the base policy.")
        return
    st.markdown("**What it writes**")
    chosen = st.selectbox(
        "Melodies of",
        [LATEST, *(str(update) for update in found)],
        key=f"samples-{job.run_id}",
        format_func=_melodies_of,
    )
    update = int(chosen) if chosen.isdigit() else next(iter(found))
    for number, sample in enumerate(found.get(update, []), start=1):
        tune_player(
            Clip(sample.wav, duration_ms(sample.wav)),
            key=f"sample-{number}",
            label=f"Update {update}, melody {number}",
            pictures=pictures_of(read_melody(sample.abc)),
        )
        st.caption(sample.title)


def _melodies_of(update: str) -> str:
    # These labels must not change during a run: Streamlit would keep showing the old ones.
    if update == LATEST:
        return "the newest update"
    return f"update {update}" + (" (where it began)" if update == "0" else "")


def _plain(state: str) -> str:
    return STATES[state].split(": ", 1)[1].split(";")[0]


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)

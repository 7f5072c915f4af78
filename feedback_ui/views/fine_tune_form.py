"""The form that starts a run, and the progress of its start."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import cycle

import streamlit as st

from feedback_ui.services.jobs import PRESETS, FineTuningJobs, expected_minutes
from feedback_ui.views.notice import errors_noticed

LOOK_EVERY = timedelta(seconds=1)
NEWEST = "the newest reward model"
RULES = "music-theory"
ASKED = "run_asked_for"
"""session key: minutes that the run which this session started should take"""


@dataclass(frozen=True, slots=True)
class Number:
    """A field for a setting that is a number."""

    label: str
    least: int | float
    """smallest value; its type is the field's"""
    help: str | None = None
    format: str | None = None
    otherwise: str = "PPO's default"
    """shown where neither this field nor the preset sets a value"""


NUMBERS = {
    "updates": Number("Updates", 1, "Rounds of sampling and learning."),
    "melodies": Number("Melodies an update", 1),
    "kl-target": Number("KL target in nats", 0.1),
    "kl-limit": Number("KL limit in nats", 0.1),
    "std-penalty": Number(
        "Penalty on uncertainty",
        0.0,
        "How many of the reward model's standard deviations are subtracted.",
    ),
    "learning-rate": Number("Learning rate", 0.0, format="%g"),
    "minibatch": Number(
        "Minibatch", 1, "Melodies per gradient step; must divide the melodies of an update."
    ),
    "seed": Number("Seed", 0, otherwise="0"),
}


def start_form(jobs: FineTuningJobs) -> None:
    """Show the form, and start a run when it is sent."""
    rewards = jobs.rewards()
    if not rewards:
        st.info(
            "There is no reward model yet. Rate some pairs, then train one on the page Taste or "
            "with `tastemaker reward`. Without one, a run can use the rules of music theory.",
            icon=":material/school:",
        )
    with st.expander("Start a run", icon=":material/add_circle:", expanded=not jobs.latest()):
        names = [preset.name for preset in PRESETS]
        chosen = st.radio(
            "How far should it go?",
            names,
            index=1,
            key="preset",
            captions=[f"{p.says} About {p.minutes:.0f} min on two cores." for p in PRESETS],
        )
        preset = PRESETS[names.index(chosen)]
        with st.form("start", border=False):
            reward = st.selectbox(
                "What it learns from",
                [*([NEWEST] if rewards else []), *rewards, RULES],
                help="A reward model learnt from votes, or RL Tuner's rules of music theory.",
            )
            base = st.selectbox("Where it starts", jobs.policies())
            with st.expander("All settings"):
                st.caption(
                    "An empty field uses the value of your choice above. What you type here stays "
                    "when you change that choice."
                )
                # The keys keep what was typed when the placeholders change.
                given = {
                    key: column.number_input(
                        field.label, field.least, value=None, key=key, format=field.format,
                        placeholder=str(preset.settings.get(key, field.otherwise)), help=field.help,
                    )
                    for (key, field), column in zip(
                        NUMBERS.items(), cycle(st.columns(2)), strict=False
                    )
                }  # fmt: skip
                name = st.text_input(
                    "Name of the run", max_chars=64, placeholder="the next number",
                    help="Lower-case letters, digits and hyphens.",
                )  # fmt: skip
                others = st.text_area(
                    "Other settings of PPO, one NAME=VALUE per line", placeholder="bars=16",
                    max_chars=2000,
                )  # fmt: skip
            sent = st.form_submit_button("Start", type="primary", icon=":material/play_arrow:")
    if not sent:
        return
    settings = {**preset.settings, **{k: v for k, v in given.items() if v is not None}}
    with errors_noticed():
        jobs.start(
            {
                **settings,
                "reward": None if reward == NEWEST else reward,
                "policy": base,
                "name": name.strip() or None,
            },
            others=[line.strip() for line in others.splitlines() if line.strip()],
        )
        st.session_state[ASKED] = expected_minutes(settings["updates"], settings["melodies"])


def follow_start(jobs: FineTuningJobs) -> str | None:
    """Show the progress of a start; return the name of a run started in this tab, once."""
    if jobs.is_starting:
        _starting(jobs)
        return None
    minutes = st.session_state.pop(ASKED, None)
    started = jobs.started
    if minutes is not None and started is not None:
        jobs.forget_start()
        return started
    if jobs.refusal is not None:
        with st.container(border=True):
            st.markdown(":material/error: **The run was not started**")
            st.text(jobs.refusal)  # as text: it may quote what was typed
            st.button("Dismiss", on_click=jobs.forget_start)
    return None


@st.fragment(run_every=LOOK_EVERY)
def _starting(jobs: FineTuningJobs) -> None:
    if not jobs.is_starting:
        st.rerun()
    with st.container(border=True):
        minutes = st.session_state.get(ASKED)
        st.markdown(f":material/hourglass_top: **Starting**, for {jobs.starting_s:.0f} s")
        st.text(
            "The settings are checked, and the run starts in a process of its own. It continues "
            "if you leave."
            + (f" It then takes about {minutes:.0f} min on two cores." if minutes else "")
        )

"""The form in which a run is asked for, and how its start gets on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import cycle

import streamlit as st

from feedback_ui.services.jobs import PRESETS, JobsDesk, expected_minutes
from feedback_ui.views.notice import errors_noticed

LOOK_EVERY = timedelta(seconds=1)
NEWEST = "the newest reward model"
RULES = "music-theory"
ASKED = "run_asked_for"
"""in the session: it has asked for a run that is being started"""


@dataclass(frozen=True, slots=True)
class Number:
    """A field for a setting that is a number."""

    label: str
    least: int | float
    """smallest value; its type is the field's"""
    help: str | None = None
    format: str | None = None
    otherwise: str = "PPO's own"
    """what it is where neither this field nor the preset says"""


NUMBERS = {
    "updates": Number("Updates", 1, "Rounds of sampling and learning."),
    "melodies": Number("Melodies an update", 1),
    "kl-target": Number("Distance to steer to, KL in nats", 0.1),
    "kl-limit": Number("Distance never to pass, KL in nats", 0.1),
    "std-penalty": Number(
        "Penalty on uncertainty",
        0.0,
        "How many of the reward model's standard deviations are subtracted.",
    ),
    "learning-rate": Number("Learning rate", 0.0, format="%g"),
    "minibatch": Number(
        "Minibatch", 1, "Melodies a gradient step; divides the melodies of an update."
    ),
    "seed": Number("Seed", 0, otherwise="0"),
}


def start_form(desk: JobsDesk) -> None:
    """Ask for a new run, and have it started."""
    rewards = desk.rewards()
    if not rewards:
        st.info(
            "There is no reward model yet. Rate some pairs, then learn one on the Taste page or "
            "with `tastemaker reward`. Without one, a run can still follow the rules of music "
            "theory.",
            icon=":material/school:",
        )
    with st.expander("Start a run", icon=":material/add_circle:", expanded=not desk.jobs()):
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
            base = st.selectbox("Where it starts", desk.policies())
            with st.expander("All settings"):
                st.caption(
                    "An empty field uses the value of your choice above. What you type here stays "
                    "when you change that choice."
                )
                # By their keys they are the same fields whatever stands in them as a hint.
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
                    help="Small letters, digits and dashes.",
                )  # fmt: skip
                others = st.text_area(
                    "Other settings of PPO, one NAME=VALUE a line", placeholder="bars=16"
                )
            sent = st.form_submit_button("Start", type="primary", icon=":material/play_arrow:")
    if not sent:
        return
    settings = {**preset.settings, **{k: v for k, v in given.items() if v is not None}}
    with errors_noticed():
        desk.start(
            {
                **settings,
                "reward": None if reward == NEWEST else reward,
                "policy": base,
                "name": name.strip() or None,
            },
            others=[line.strip() for line in others.splitlines() if line.strip()],
        )
        st.session_state[ASKED] = expected_minutes(settings["updates"], settings["melodies"])


def follow_start(desk: JobsDesk) -> str | None:
    """Tell how the start of a run gets on; the name of the run that was asked for here, once."""
    if desk.is_starting:
        _starting(desk)
        return None
    minutes = st.session_state.pop(ASKED, None)
    started = desk.started
    if minutes is not None and started is not None:
        desk.forget_start()
        return started
    if desk.refusal is not None:
        with st.container(border=True):
            st.markdown(":material/error: **The run was not started**")
            st.text(desk.refusal)  # as text: it may quote what was typed
            st.button("Dismiss", on_click=desk.forget_start)
    return None


@st.fragment(run_every=LOOK_EVERY)
def _starting(desk: JobsDesk) -> None:
    if not desk.is_starting:
        st.rerun()
    with st.container(border=True):
        minutes = st.session_state.get(ASKED)
        st.markdown(f":material/hourglass_top: **Starting**, for {desk.starting_s:.0f} s")
        st.text(
            "The settings are checked, and the run starts in a process of its own. It continues "
            "if you leave."
            + (f" It then takes about {minutes:.0f} min on two cores." if minutes else "")
        )

"""Taste: the learnt taste of a person or the group, its uncertainty and its accuracy.

The address says whose taste is shown: `?of=mine`, `group` or `simulated`.
"""

from __future__ import annotations

import streamlit as st

from feedback_ui.components.tune_player import tune_player
from feedback_ui.services.background_command import CommandProcess
from feedback_ui.services.notation import pictures_of
from feedback_ui.services.profiles import LEAST_VOTES, SIMULATED
from feedback_ui.services.session import StudioSession
from feedback_ui.services.subcommand import CommandError
from feedback_ui.services.tastes import (
    GROUP,
    MINE,
    Extreme,
    TasteLook,
    TasteReader,
    in_words,
)
from feedback_ui.views.access import (
    is_organiser,
    known_rater,
    open_studio,
    signed_in,
    studio_options,
    trouble,
)
from feedback_ui.views.chart_colours import chart_colours
from feedback_ui.views.fine_tune import fine_tuning_jobs
from feedback_ui.views.notice import errors_noticed
from feedback_ui.views.page_heading import page_heading
from feedback_ui.views.taste_charts import forest_chart, learning_chart, reliability_chart
from music.messages import one_line
from reward.profile.profile import Reason
from reward.profile.training import FORECAST_VOTES, TrainedReward, forecast_in_words

POLL_S = 1.5
PLOTS = {
    "weights": "features that matter, with 90 % intervals",
    "learning-curve": "agreement by number of training answers",
    "reliability": "how often predictions came true",
}
TITLES = {MINE: "Mine", GROUP: "Everyone's", SIMULATED: "Simulated listeners'"}


@st.cache_resource(show_spinner=False)
def taste_reader(database: str, _studio: StudioSession) -> TasteReader:
    """The tastes learnt from this server's votes, computed on demand."""
    return TasteReader(_studio.store, _studio.tastes)


@st.cache_resource(show_spinner=False)
def trainer() -> CommandProcess:
    """The process that trains reward models for this server."""
    return CommandProcess("a training")


def scope_changed() -> None:
    """Keep the chosen taste in the address."""
    st.query_params["of"] = st.session_state["taste-of"]


def choose_scope() -> str:
    """Ask whose taste to show; simulated listeners only where there are any."""
    counts = reader.votes_of(None)
    scopes = [scope for scope in TITLES if scope != SIMULATED or counts[SIMULATED]]
    asked = st.query_params.get("of", MINE)
    st.session_state["taste-of"] = asked if asked in scopes else MINE
    st.radio(
        "Whose taste",
        scopes,
        key="taste-of",
        format_func=TITLES.__getitem__,
        horizontal=True,
        on_change=scope_changed,
    )
    return st.session_state["taste-of"]


def who_looks(scope: str) -> int | None:
    """The rater of this tab, or None; an organiser who rates must stay blind too."""
    if scope == MINE or not is_organiser():
        return signed_in(studio).id
    rater = known_rater(studio)
    return None if rater is None else rater.id


def too_few(scope: str, votes: int) -> None:
    """Say how many answers are missing before a taste can be shown."""
    missing = LEAST_VOTES - votes
    whose = {MINE: "you", GROUP: "people", SIMULATED: "simulated listeners"}[scope]
    st.info(
        f"There are too few answers yet: {votes} of {LEAST_VOTES} by {whose}. After **{missing} "
        "more**, a first profile appears here. (Skipped pairs and “both are bad” do not say which "
        "is better, so they do not count.)",
        icon=":material/hourglass_top:",
    )
    st.progress(votes / LEAST_VOTES)
    if scope != SIMULATED:
        st.page_link("app_pages/rate.py", label="Go on rating", icon=":material/headphones:")


def words(look: TasteLook) -> None:
    """Write what is liked and what is disliked, in two columns."""
    columns = st.columns(2)
    for column, title, icon, reasons in (
        (columns[0], "Likes", "thumb_up", look.likes),
        (columns[1], "Dislikes", "thumb_down", look.dislikes),
    ):
        with column:
            st.markdown(f":material/{icon}: **{title}**")
            if not reasons:
                st.caption("Nothing yet that differs clearly from chance.")
            st.markdown("\n".join(f"- {told(reason)}" for reason in reasons))


def told(reason: Reason) -> str:
    """One line of the profile."""
    return f"**{reason.label}**: {in_words(reason.sure)} ({100 * reason.sure:.0f} %)"


def extremes(look: TasteLook) -> None:
    """Play the melodies that the profile scores highest and lowest."""
    st.subheader("Hear it", anchor=False)
    st.markdown(
        "The melodies of this studio that the profile ranks highest and lowest. If you do not like "
        "the first five better than the last five, the profile needs more answers."
    )
    ends = {"Most liked": look.liked, "Least liked": look.disliked}
    if not look.liked:
        st.caption("None yet: every melody is still in a pair that you have not judged.")
    for column, (title, melodies) in zip(st.columns(2), ends.items(), strict=True):
        with column:
            for place, extreme in enumerate(melodies, start=1):
                player(look.scope, f"{title} {place}", extreme)


def player(scope: str, label: str, extreme: Extreme) -> None:
    """Play one melody, with its score and the reasons for it."""
    tune_player(
        studio.clip(extreme.melody),
        key=f"taste-{scope}-{label}",
        label=label,
        pictures=pictures_of(extreme.melody),
    )
    why = f" · {'; '.join(extreme.why)}" if extreme.why else ""
    st.caption(f"score {extreme.score:+.1f} ± {extreme.std:.1f}{why}")


def worth(scope: str) -> None:
    """Show how well the profile predicts unseen answers, once that is computed."""
    with errors_noticed():
        found = reader.worth(scope, rater_id)
        if found is None:
            with st.spinner("Testing it on answers that it has not seen. This takes some seconds."):
                st.empty()
            st.session_state["taste-waits"] = True
            return
        if st.session_state.pop("taste-waits", False):
            st.rerun()  # stops the polling
        figures(scope, found)


def figures(scope: str, found: TrainedReward) -> None:
    """Show agreement beside chance and ceiling, the learning curve and the calibration."""
    if found.agreement is None or found.curve is None:
        st.caption("There are too few different pairs to hold some out for a test.")
        return
    whose = "you" if scope == MINE else "the answers"
    columns = st.columns(3)
    columns[0].metric(
        f"It agrees with {whose}", f"{found.agreement.share:.0%}", border=True,
        help="On answers that it had not seen.",
    )  # fmt: skip
    columns[0].caption(f"between {found.agreement.low:.0%} and {found.agreement.high:.0%}")
    columns[1].metric("Chance", "50%", border=True)
    if found.ceiling is None:
        columns[2].metric("At best possible", "unknown", border=True)
        columns[2].caption("no pair was heard twice yet")
    else:
        ceiling = found.ceiling
        columns[2].metric(
            "At best possible", f"{ceiling.reliability:.0%}", border=True,
            help="Nobody always gives the same answer. Hidden repeats measure how often people do.",
        )  # fmt: skip
        columns[2].caption(
            f"between {ceiling.reliability_low:.0%} and {ceiling.reliability_high:.0%}; "
            f"{ceiling.self_agreement.share:.0%} of {ceiling.self_agreement.pairs} repeats got the "
            "same answer"
        )
    if scope == MINE:
        st.caption(
            "Measured with a profile of your own answers alone. The profile above also uses what "
            "all people here like, so it is rarely worse."
        )
    st.markdown("**What more answers would bring**")
    st.markdown(f"{forecast_in_words(found).capitalize()}.")
    st.altair_chart(
        learning_chart(found.curve, found.fitted_curve, found.ceiling, colours), width="stretch",
        alt=f"Agreement by number of training answers, forecast for {2 * FORECAST_VOTES} more",
    )  # fmt: skip
    if found.calibration is not None:
        with st.expander("When it says 70 %, is it right 70 times in 100?"):
            st.markdown(
                f"It is off by {100 * found.calibration.ece:.1f} points on average (calibration "
                f"error). With this number of answers, even a perfect model would be off by "
                f"{100 * found.calibration.floor:.1f}."
            )
            st.altair_chart(
                reliability_chart(found.calibration, colours), width="stretch",
                alt="How often predictions came true, by their probability",
            )  # fmt: skip


def train(kind: str) -> None:
    """Start a training on the votes of people or of simulated listeners."""
    try:
        trainer().start(["reward", f"--votes-of={kind}"], database=studio_options().database)
    except CommandError as error:
        st.session_state["taste-refused"] = one_line(error)


@st.fragment(run_every=POLL_S)
def training() -> None:
    """Show the progress of a training until it ends."""
    process = trainer()
    if not process.is_busy:
        st.rerun()
    said = process.lines
    with st.status(f"Training: {process.seconds:.0f} s", state="running"):
        st.text("\n".join(said) or "loading")
    st.text(said[-1] if said else "Loading the base policy …")


def full_model(kind: str) -> None:
    """Offer to train a model for fine-tuning, and show the newest one."""
    st.subheader("The full model", anchor=False)
    st.markdown(
        "Fine-tuning needs a *reward run*: the taste in the base policy's units, stored with its "
        "figures. Training one takes about a minute and continues when you leave."
    )
    refused = st.session_state.pop("taste-refused", None)
    process = trainer()
    if process.is_busy:
        training()
    elif process.has_run:
        if process.failure is None:
            st.success("Trained.", icon=":material/check_circle:")
        with st.container(border=True):
            st.text(process.failure or "\n".join(process.lines))
            st.button("Dismiss", on_click=process.forget)
    if refused:
        st.text(refused)
    st.button(
        "Train the full model", icon=":material/model_training:", on_click=train, args=(kind,),
        disabled=process.is_busy,
    )  # fmt: skip
    jobs = fine_tuning_jobs(studio)
    rewards = jobs.rewards()
    if rewards:
        with st.expander(f"The newest: {rewards[0]}", icon=":material/description:"):
            card = jobs.reward_card(rewards[0])
            for name, plot in card.plots.items():
                about = PLOTS.get(name, name)
                st.image(on_paper(plot), width="stretch", alt=about, caption=about)
            st.code(card.words, language=None, height=320, wrap_lines=True)
        st.page_link("app_pages/fine_tune.py", label="Tune towards it", icon=":material/tune:")


def on_paper(svg: str) -> str:
    """Put a light background behind a dark plot, so that it can be read on a dark page."""
    head, opening, rest = svg.partition("<svg")
    attributes, closing, body = rest.partition(">")
    paper = '<rect width="100%" height="100%" fill="#fbfaf8"/>'
    return f"{head}{opening}{attributes}{closing}{paper}{body}"


studio = open_studio()
page_heading("Taste", "What your answers say about what you like, and how certain that is.")
try:
    reader = taste_reader(studio_options().database, studio)
    scope = choose_scope()
    rater_id = who_looks(scope)
    look = reader.look(scope, rater_id)
    if scope == SIMULATED:
        st.warning(
            "Simulated listeners, which are programs, gave these answers. They say nothing about "
            "what people like.",
            icon=":material/smart_toy:",
        )
    if look is None:
        too_few(scope, reader.votes_of(rater_id)[scope])
    else:
        colours = chart_colours()
        by = "" if look.raters == 1 else f" by {look.raters}"
        stated = f" ({look.stated})" if look.stated else ""
        st.caption(
            f"Learnt from {look.votes} answers{by}{stated}. Looking here often may influence your "
            "answers."
        )
        words(look)
        st.subheader("Everything at a glance", anchor=False)
        st.markdown(
            "Each line is a feature of a melody. Further right means that more of it is liked. The "
            "line is the 90 % interval; the point is filled where that excludes the middle."
        )
        st.altair_chart(
            forest_chart(look.reasons, colours), width="stretch",
            alt="Effect of each feature on the score, with 90 % intervals",
        )  # fmt: skip
        extremes(look)
        st.subheader("How good is it?", anchor=False)
        waits = reader.worth(scope, rater_id) is None
        st.fragment(worth, run_every=POLL_S if waits else None)(scope)
        if is_organiser():
            full_model("simulated" if scope == SIMULATED else "person")
except ValueError as error:  # messages of the store and the synthesizer
    trouble(error)

"""Fine-tune: start a PPO job, watch it, hear its melodies, stop it, compare runs."""

from __future__ import annotations

import streamlit as st

from feedback_ui.views.access import for_organisers, open_studio, trouble
from feedback_ui.views.fine_tune import choose_run, compare, fine_tuning_jobs, watch
from feedback_ui.views.fine_tune_form import follow_start, start_form
from feedback_ui.views.page_heading import page_heading

RUN = "run"  # query parameter; a comment, because Streamlit would print a docstring on the page

studio = open_studio()
page_heading("Fine-tune", "Train the melody model towards what people like.")
for_organisers()
st.markdown(
    "PPO trains the melody model in rounds: it writes melodies, the reward model scores them, and "
    "what scores well becomes more likely. A KL penalty keeps it near the model it started from. "
    "A run continues when you close this page."
)
try:
    jobs = fine_tuning_jobs(studio)
    start_form(jobs)
    started = follow_start(jobs)
    if started is not None:
        st.query_params[RUN] = started
        st.rerun()
    chosen = choose_run(jobs, st.query_params.get(RUN))
    if chosen is not None:
        if st.query_params.get(RUN) != chosen.run_id:
            st.query_params[RUN] = chosen.run_id
        watch(jobs, chosen)
        compare(jobs)
except ValueError as error:  # messages of the store
    trouble(error)

"""Corpora: make one of uploaded tunes, look at it, and adapt a policy to it.

The address says which corpus is shown: `?corpus=mine`.
"""

from __future__ import annotations

import streamlit as st

from feedback_ui.services.corpora.corpus_jobs import CorpusJobs
from feedback_ui.services.corpora.overview import CorpusOverviews
from feedback_ui.services.corpora.policies import KnownPolicies
from feedback_ui.views.access import for_organisers, open_studio, studio_options, trouble
from feedback_ui.views.corpora import choose_corpus, manage_files, show_corpus
from feedback_ui.views.corpus_adaptation import adapt_section
from feedback_ui.views.corpus_form import new_corpus_form
from feedback_ui.views.page_heading import page_heading
from music.corpora.catalogue import SHIPPED


@st.cache_resource(show_spinner=False)
def services(database: str) -> tuple[CorpusJobs, CorpusOverviews, KnownPolicies]:
    """Those of this server."""
    return CorpusJobs(database), CorpusOverviews(), KnownPolicies()


studio = open_studio()
page_heading("Corpora", "Collections of tunes that melody generators learn from.")
for_organisers()
st.markdown(
    "Upload tunes that you like, and the studio makes a *corpus* of them. Then a *policy*, which "
    "is what writes melodies here, can be adapted to it, so that it writes in that style. Your "
    "files stay on the machine that runs this studio. Work that has begun continues when you close "
    "this page."
)
jobs, overviews, policies = services(studio_options().database)
try:
    new_corpus_form(jobs, expanded=jobs.names() == [SHIPPED])
    corpus = choose_corpus(jobs, overviews, policies)
    show_corpus(studio, jobs, overviews, corpus)
    if corpus.is_built:
        adapt_section(studio, jobs.adaptations, corpus, policies)
    if corpus.name != SHIPPED:
        manage_files(jobs, corpus.name)
except ValueError as error:  # messages of the services and the synthesizer
    trouble(error)

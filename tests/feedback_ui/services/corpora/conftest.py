"""Corpora for tests."""

import pytest

from feedback_ui.services.corpora.corpus_jobs import CorpusJobs
from music.corpora.catalogue import CORPORA


@pytest.fixture
def corpora(tmp_path, monkeypatch):
    """The jobs of an empty working folder."""
    monkeypatch.chdir(tmp_path)
    jobs = CorpusJobs(str(tmp_path / "ratings.db"))
    yield jobs
    for record in (CORPORA / "jobs").glob("*.json"):
        kind, _, name = record.stem.partition("-")
        command = {
            "build": jobs.build,
            "adapt": jobs.adaptations._command,
            "hear": jobs.adaptations.writing,
        }[kind](name)
        if command.is_live:
            command.stop()

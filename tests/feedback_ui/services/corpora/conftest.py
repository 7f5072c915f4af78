"""Corpora for tests."""

import pytest

from feedback_ui.services.corpora.corpus_jobs import CorpusJobs
from feedback_ui.services.corpora.recorded_command import RecordedCommand
from music.corpora.catalogue import CORPORA


@pytest.fixture
def corpora(tmp_path, monkeypatch):
    """The jobs of an empty working folder; what they have started is stopped afterwards."""
    monkeypatch.chdir(tmp_path)
    yield CorpusJobs(str(tmp_path / "ratings.db"))
    for record in (CORPORA / "jobs").glob("*.json"):
        command = RecordedCommand(record.parent, record.stem, record.stem)
        if command.is_live:
            command.stop()

"""Who is an organiser."""

from types import SimpleNamespace

import pytest

from feedback_ui.server.launch import StudioOptions
from feedback_ui.views import access


@pytest.mark.parametrize(
    ("query", "session", "is_one"),
    [
        ({}, {}, False),
        ({"organiser": ""}, {}, False),
        ({"organiser": "key"}, {}, False),
        ({"organiser": "the key"}, {}, True),
        ({"organiser": "the key "}, {}, False),
        ({"organiser": "schlüssel"}, {}, False),
        ({}, {"organiser": "anything"}, False),
        ({}, {"organiser": "the key"}, True),
    ],
)
def test_only_the_right_key_makes_an_organiser(monkeypatch, query, session, is_one):
    options = StudioOptions(database="ratings.sqlite", organiser_key="the key")
    monkeypatch.setattr(access, "studio_options", lambda: options)
    monkeypatch.setattr(access, "st", SimpleNamespace(query_params=query, session_state=session))
    assert access.is_organiser() is is_one

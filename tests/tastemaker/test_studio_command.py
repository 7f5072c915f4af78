"""`tastemaker studio`, up to the point where the server would start."""

import secrets

import pytest

from feedback_ui.server.launch import check_organiser_key


@pytest.mark.parametrize("key", ["k", "the-organiser", "a" * 40, "abcabcabcabcabcabc"])
def test_an_organisers_key_that_could_be_guessed_is_refused(key, typed, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TASTEMAKER_ORGANISER_KEY", key)
    monkeypatch.setattr("feedback_ui.server.launch.become_studio", lambda command, env: None)
    returned, out, err = typed("studio")
    assert returned
    assert "too easy to guess" in err
    assert repr(key) not in out + err
    assert not list(tmp_path.iterdir())


def test_a_random_organisers_key_is_taken():
    for _ in range(1000):
        check_organiser_key(secrets.token_urlsafe(16))
        check_organiser_key(secrets.token_hex(16))

"""What forms offer for a header: no more than every policy that is to write it knows."""

import json
import shutil

import pytest

from feedback_ui.services.header_choices import header_choices
from music.styles import SHIPPED_STYLES
from policy.folder import CheckpointError
from policy.shipped import shipped_policy


@pytest.fixture
def policy_of(tmp_path, tiny_policy):
    """Writes a policy's folder with these fields in its configuration."""

    def write(name, **fields):
        config = tiny_policy.config.to_dict() | fields
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config))
        return tmp_path / name

    return write


def test_what_all_of_them_know_is_offered_with_the_usual_first(policy_of):
    waltzes = policy_of(
        "waltzes",
        styles=["other", "waltz", "mazurka"],
        trained_on={
            "meters": ["3/4", "4/4"], "modes": ["major", "dorian"], "bars": [8, 12, 16],
            "pickups_ticks": [0],
        },
    )  # fmt: skip
    odd = policy_of(
        "odd",
        styles=["other", "polska", "waltz"],
        trained_on={
            "meters": ["3/4", "7/8"], "modes": ["major"], "bars": [12, 16, 24],
            "pickups_ticks": [0],
        },
    )  # fmt: skip
    alone = header_choices([waltzes, waltzes])
    assert alone.meters == ("4/4", "any", "3/4")
    assert alone.bars == ("8", "any", "12", "16")
    assert alone.styles == ("any", "other", "waltz", "mazurka")
    both = header_choices([waltzes, odd])
    assert (both.meters, both.modes) == (("any", "3/4"), ("any", "major"))
    assert (both.bars, both.styles) == (("any", "12", "16"), ("any", "other", "waltz"))


def test_a_policy_of_0_1_0_offers_what_it_knew(tmp_path):
    folder = tmp_path / "earlier"
    folder.mkdir()
    earlier = {"vocab_size": 709, "bar_positions": 160}
    config = json.loads((shipped_policy() / "config.json").read_text()) | earlier
    for name in ("styles", "trained_on", "corpora", "base_corpora", "plain"):
        config.pop(name, None)
    (folder / "config.json").write_text(json.dumps(config))
    found = header_choices([folder])
    assert found.bars == ("8", "any", "4", "16")
    assert found.meters == ("4/4", "any", "2/4", "3/4", "6/8", "9/8")
    assert found.styles == ("any", *SHIPPED_STYLES.labels)


def test_a_damaged_configuration_is_told_in_a_line(policy_of):
    folder = policy_of("damaged", styles=["reel"])
    with pytest.raises(CheckpointError, match=r"do not begin with 'other'"):
        header_choices([folder])
    shutil.rmtree(folder)
    with pytest.raises(CheckpointError, match=r"has no config\.json"):
        header_choices([folder])

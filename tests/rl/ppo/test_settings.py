import pytest

from policy.runs import new_run
from rl.ppo.config import PPOConfig, config_record
from rl.ppo.settings import SettingError, read_settings


def test_each_setting_has_its_type():
    given = read_settings(["clip=0.1", "epochs=3", "kl_limit_nats=9", "meter=6/8", "bars=16"])
    assert given == {
        "clip": 0.1, "epochs": 3, "kl_limit_nats": 9.0, "meter": "6/8", "bars": 16,
    }  # fmt: skip
    assert [type(value) for value in given.values()] == [float, int, float, str, int]
    assert PPOConfig(**given).conditioning.meter == "6/8"


@pytest.mark.parametrize("word", ["none", "any", "None"])
def test_what_may_be_open_can_be_left_open(word):
    assert read_settings([f"meter={word}", f"bars={word}"]) == {"meter": None, "bars": None}


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("clip", "'clip' is no setting; write name=value"),
        ("clipp=1", r"no setting 'clipp'; the nearest are clip\b"),
        ("clip=high", "clip='high' is not a number; give one"),
        ("clip=nan", "clip='nan' is not a number"),
        ("clip=none", "clip='none' is not a number; give"),
        ("epochs=1.5", "epochs='1.5' is not a whole number; give"),
        ("bars=many", "bars='many' is not a whole number or none"),
    ],
)
def test_what_is_no_setting(pair, message):
    with pytest.raises(SettingError, match=message):
        read_settings([pair])


def test_a_setting_by_its_name_in_0_1_0():
    assert read_settings(["good_enough=2"]) == {"saturation_point": 2.0}
    assert read_settings(["tune_type=jig"]) == {"style": "jig"}
    with pytest.raises(SettingError, match="saturation_point is set twice"):
        read_settings(["good_enough=2", "saturation_point=1"])


def test_the_record_of_a_run_of_0_1_0_has_a_tune_type(tmp_path):
    config = config_record(PPOConfig(style="jig"))
    config["tune_type"] = config.pop("style")
    run = new_run("ppo", config, root=tmp_path)
    assert "tune_type" in (run.path / "run.json").read_text()
    assert PPOConfig.from_record(run.record["config"]) == PPOConfig(style="jig")


def test_a_setting_is_set_once():
    with pytest.raises(SettingError, match="clip is set twice"):
        read_settings(["clip=0.1", "clip=0.1"])

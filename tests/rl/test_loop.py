import base64
import io
import json
import re
import wave

import pytest

from policy.checkpoint import save_policy
from policy.runs import RunError
from reward.store.store import RatingsStore
from rl.loop import LoopConfig, run_loop
from rl.ppo.config import PPOConfig

pytestmark = pytest.mark.slow

WANTED = {
    "votes", "agreement", "agreement_ceiling", "true_win_rate", "kl_nats", "vendi_base",
    "vendi_tuned", "originality_base", "originality_tuned", "seconds",
}  # fmt: skip


@pytest.fixture(scope="module")
def turned(tmp_path_factory, tiny_policy):
    """One pass of the loop on a tiny policy: its folder and its result."""
    out = tmp_path_factory.mktemp("loop")
    save_policy(tiny_policy, out / "base")
    ppo = PPOConfig(
        updates=2, melodies_per_update=16, minibatch=8, meter="2/4", bars=4, threads=1,
        kl_limit_nats=50.0,
    )  # fmt: skip
    config = LoopConfig(
        votes=40, best_of=2, best_of_melodies=8, evaluation_melodies=256, ppo=ppo, taste="arches"
    )
    return out, run_loop(config, out / "base", out / "demo")


def test_the_json_has_what_it_promises(turned):
    out, _ = turned
    report = json.loads((out / "demo" / "report.json").read_text())
    assert report.keys() >= WANTED
    assert report["votes"] == 40
    assert report["seconds"].keys() >= {"votes", "reward", "ppo", "evaluation", "report"}
    assert 0 <= report["true_win_rate"] <= 1


def test_a_folder_that_holds_a_turn_is_left_alone(turned):
    out, result = turned
    before = (out / "demo" / "report.json").read_bytes()
    with pytest.raises(RunError, match="has the result of a loop already"):
        run_loop(LoopConfig(votes=40), out / "base", out / "demo")
    with RatingsStore(out / "demo" / "ratings.sqlite") as store:
        assert len(store.votes_frame()) == result.fitted.votes
    assert (out / "demo" / "report.json").read_bytes() == before


def test_the_votes_are_in_the_store_and_marked_as_simulated(turned):
    out, result = turned
    with RatingsStore(out / "demo" / "ratings.sqlite") as store:
        votes = store.votes_frame()
    assert len(votes) == 40
    assert set(votes["rater_kind"]) == {"simulated"}
    assert (votes["purpose"] == "repeat").sum() == 4
    assert result.fitted.run.record["last_vote"] == votes["vote_id"].max()


def test_the_report_stands_alone_and_sounds(turned):
    out, _ = turned
    page = (out / "demo" / "report.html").read_text()
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page), "it needs a file beside itself"
    sounds = re.findall(r'src="data:audio/wav;base64,([^"]+)"', page)
    assert len(sounds) == 6
    with wave.open(io.BytesIO(base64.b64decode(sounds[0]))) as sound:
        assert sound.getnframes() > sound.getframerate()
    assert page.count("<svg") >= 9  # six scores, three plots
    assert "nan" not in re.sub(r"<svg.*?</svg>|base64,[^\"]*", "", page, flags=re.DOTALL).lower()


def test_the_true_utility_stays_out_of_training(turned):
    _, result = turned
    logged = set().union(*(row.keys() for row in result.rows))
    assert not {name for name in logged if "true" in name or "utility" in name}

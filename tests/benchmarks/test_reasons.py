"""The benchmark of reasons: what is said to have decided adds up to the utility."""

import numpy as np
import pytest
from listener_families import FAMILIES, family_taste
from reasons import parts_by_domain, summary

from reward.profile.reasons import DOMAINS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def some(real_melodies):
    return real_melodies[:100]


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "unexplained"])
def test_the_domains_parts_add_up_to_the_utility(family, some):
    parts = parts_by_domain(family, 3, some)
    assert parts.shape == (len(some), len(DOMAINS))
    np.testing.assert_allclose(parts.sum(axis=1), family_taste(family, 3, some)(some))


def test_what_no_feature_tells_is_in_no_domain(some):
    rest = family_taste("unexplained", 3, some)(some)
    rest = rest - parts_by_domain("unexplained", 3, some).sum(axis=1)
    assert rest.std() > 0.3


def test_the_summary_compares_listener_by_listener():
    def run(family: str, seed: int, plain: float, reasons: float) -> dict:
        agreement = {
            "plain": plain, "reasons": reasons, "plain_200": plain + 0.1,
            "random": plain - 0.01, "habit": plain, "unsure": plain,
        }  # fmt: skip
        ece = dict.fromkeys(agreement, 0.05)
        return {"family": family, "seed": seed, "agreement": agreement, "ece": ece,
                "trust": {"reasons": 0.6}}  # fmt: skip

    found = summary([run("sparse", 0, 0.7, 0.8), run("linear", 0, 0.6, 0.8)])
    assert found["gain_of_reasons"]["mean"] == pytest.approx(0.15)
    assert found["ahead_of_200_plain"]["mean"] == pytest.approx(0.05)
    assert found["cost_of_random_reasons"]["mean"] == pytest.approx(0.01)
    assert found["families"]["linear"]["plain"] == {"mean": 0.6, "plus_minus": None}
    assert found["trust"] == {"reasons": {"mean": 0.6, "plus_minus": pytest.approx(0.0)}}

"""Consent: whether a rater has agreed to what the studio asks for now, and that they do.

Apart from `feedback_ui.services.accounts`, whose figures need libraries that take a second to load:
this is asked before anyone sees a page.
"""

from __future__ import annotations

from feedback_ui.services.session import CONSENT_VERSION
from reward.store.store import Rater, RatingsStore

STUDIO = "studio-"
"""how versions of the studio's own consent begin"""


def must_consent_again(rater: Rater) -> bool:
    """Whether they agreed to an older version of what the studio asks for.

    Who was added by a program or an import has agreed elsewhere, and whoever did so answers for it.
    """
    return rater.consent_version.startswith(STUDIO) and rater.consent_version != CONSENT_VERSION


def consent(store: RatingsStore, rater: Rater) -> None:
    """Remember that they agree to what the studio asks for now.

    Raises:
        RatingsError: for a rater who has withdrawn, or a database that cannot be used.
    """
    store.renew_consent(rater.id, CONSENT_VERSION)

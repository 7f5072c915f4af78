"""All targets, by name."""

from __future__ import annotations

from tests.fuzz import (
    corpus_targets,
    model_targets,
    music_targets,
    request_targets,
    run_targets,
    studio_targets,
    table_targets,
)
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        *music_targets.TARGETS,
        *request_targets.TARGETS,
        *table_targets.TARGETS,
        *model_targets.targets(),
        *run_targets.TARGETS,
        *corpus_targets.TARGETS,
        *studio_targets.TARGETS,
    )
}

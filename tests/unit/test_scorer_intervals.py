"""Where the truth lies, with each prediction: asked for, as the version's manifest says it, and never another's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from tests.malformed_corpus import record
from tests.memory_stream import MemoryStream
from tests.model_world import World
from tests.unit.test_scorer import DEAD, INPUT, OUTPUT, inputs, run_until

from longshore.config import ScorerSettings, Settings
from longshore.schema import districts
from longshore.scorer.service import Scorer
from longshore.trainer.conformal import conformal

RESIDUALS = np.random.default_rng(1).normal(0, 50, 999)
GROUPS = np.arange(999)


def scored(world: World, level: float | None, records: int) -> list[dict[str, Any]]:
    """What the champion makes of so many records."""
    settings = Settings(scorer=ScorerSettings(interval=level))
    models = world.models(interval=level)
    assert models.refresh()
    stream = MemoryStream({INPUT: inputs(*[record(record_id=f"r{i}") for i in range(records)], b"{")}, [INPUT])
    run_until(Scorer(settings, districts(), models, task="0"), stream, records + 1)
    assert len(stream.topics[DEAD]) == 1
    return [json.loads(message.value() or b"") for message in stream.topics[OUTPUT]]


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.promote(700.0, conformal=conformal(RESIDUALS, GROUPS, RESIDUALS, GROUPS))
    return world


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
def test_a_prediction_has_its_interval_at_the_level_asked_for(world: World, level: float) -> None:
    half_width = float(np.sort(np.abs(RESIDUALS))[round(1_000 * level) - 1])
    for value in scored(world, level, 3):
        assert value["prediction"] == 700.0
        assert value["prediction_interval"] == {"level": level, "low": 700 - half_width, "high": 700 + half_width}
        assert value["record"]["record_id"] == value["record_id"]


def test_nobody_asked_and_there_is_no_such_field(world: World) -> None:
    assert all("prediction_interval" not in value for value in scored(world, None, 2))


@pytest.mark.parametrize("said", [{}, {"conformal": conformal(RESIDUALS[:3], GROUPS[:3], RESIDUALS, GROUPS)}])
def test_a_version_that_cannot_say_has_none(world: World, said: dict[str, Any]) -> None:
    world.promote(5.0, **said)
    assert [(value["prediction"], value["prediction_interval"]) for value in scored(world, 0.9, 2)] == [(5.0, None)] * 2


def test_after_a_swap_the_interval_is_the_new_versions(world: World) -> None:
    models = world.models(interval=0.9)
    assert models.refresh()
    first = models.active()
    world.promote(5.0, conformal=conformal(RESIDUALS * 2, GROUPS, RESIDUALS, GROUPS))
    assert models.refresh()
    second = models.active()
    assert first is not None and second is not None and first.half_width is not None
    assert second.half_width == pytest.approx(2 * first.half_width)


@pytest.mark.parametrize("level", [0.5, 1.0, 90.0])
def test_an_unknown_level_is_refused(level: float) -> None:
    with pytest.raises(ValidationError, match=r"0\.8, 0\.9, 0\.95"):
        ScorerSettings(interval=level)

"""Serving the fitted pipeline itself: only by setting, only signed, and then exactly what it predicts."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any, ClassVar

import joblib
import numpy as np
import pytest
from tests.model_world import STRANGER, World, proof, watch_parsers
from tests.trainer_rows import make_rows
from tests.unit.test_scorer import constant_model

from longshore.manifest import FILES
from longshore.schema import districts
from longshore.scorer.checks import Reason
from longshore.trainer.export import to_onnx
from longshore.trainer.fit import CANDIDATES, Parameters, fit
from longshore.trainer.housing import recipe_for


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What reached a parser, in order."""
    return watch_parsers(monkeypatch)


class Evil:
    """Unpickling this leaves a trace."""

    trace: ClassVar[list[str]] = []

    def __reduce__(self) -> Any:
        return (Evil.trace.append, ("unpickled",))


@pytest.fixture(scope="module")
def pipeline() -> Any:
    rows = make_rows(districts(), 300)
    return fit(rows, None, CANDIDATES[0], recipe_for(districts()), Parameters())


def _files(pipeline: Any) -> dict[str, bytes]:
    buffer = io.BytesIO()
    joblib.dump(pipeline, buffer, compress=3)
    return {"model.onnx": to_onnx(pipeline), "pipeline.joblib": buffer.getvalue()}


def _promote_pipeline(world: World, pipeline: Any) -> None:
    recipe = recipe_for(districts())
    needs = proof(districts(), 0.0)["needs"] | {"numeric": list(recipe.numeric), "nominal": list(recipe.nominal)}
    world.promote(0.0, _files(pipeline), needs=needs, golden=None)


@pytest.mark.parametrize("source", ["redis and registry", "registry alone"])
def test_a_signed_pipeline_answers_exactly_as_the_fitted_one(world: World, pipeline: Any, source: str) -> None:
    _promote_pipeline(world, pipeline)
    world.cache.away = source == "registry alone"
    models = world.models(format="joblib")
    assert models.refresh()
    active = models.active()
    assert active is not None
    columns = make_rows(districts(), 5_000, seed=3).columns
    np.testing.assert_array_equal(active.model.predict(columns), pipeline.predict(columns.frame()))
    assert active.model.sha256 == world.registry.manifest("v1")["files"][FILES["joblib"]]["sha256"]
    assert len(active.model.predict(columns.take(np.empty(0, dtype=np.intp)))) == 0


@pytest.mark.parametrize("case", ["unsigned", "nobody trusted", "stranger", "tampered", "no manifest"])
def test_a_pipeline_without_a_valid_signature_is_never_unpickled(world: World, parsed: list[str], case: str) -> None:
    Evil.trace.clear()
    if case in ("unsigned", "nobody trusted"):
        world.trusted = [] if case == "nobody trusted" else [STRANGER]
        world.signer = None if case == "unsigned" else world.signer
    if case == "stranger":
        world.trusted = [STRANGER]
    world.promote(1.0, {"model.onnx": constant_model(1.0), "pipeline.joblib": pickle.dumps(Evil())})
    if case == "tampered":
        world.overwrite("v1", "pipeline.joblib", pickle.dumps([Evil()]))
    if case == "no manifest":
        world.trusted = []
        world.point("v1", manifest="")
        world.overwrite("v1", "manifest.json", b"{")
    models = world.models(format="joblib")
    assert not models.refresh()
    assert models.active() is None
    assert (parsed, Evil.trace) == ([], [])


def test_a_signed_pickle_that_is_no_pipeline_is_refused(world: World) -> None:
    world.promote(1.0, {"model.onnx": constant_model(1.0), "pipeline.joblib": pickle.dumps({"not": "a pipeline"})})
    assert not world.models(format="joblib").refresh()
    assert world.refusals[0].reason is Reason.UNREADABLE


def test_a_version_without_a_pipeline_is_refused_for_joblib(world: World) -> None:
    world.promote(1.0, {"model.onnx": constant_model(1.0)})
    assert not world.models(format="joblib").refresh()
    assert world.refusals[0].reason is Reason.FORMAT

"""What the trainer registers, a scorer takes: signed, with golden rows that both its models answer, for any schema."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.trainer_rows import NUMBERS, SCHEMAS, make_rows
from tests.unit.test_trainer_run import LEARNABLE, REPLACED, opened, trainer

from longshore import manifest
from longshore.schema import Schema
from longshore.scorer.models import Models
from longshore.scorer.places import RegistryPlace
from longshore.served_model import ServedModel
from longshore.signing import Keyring, Signer
from longshore.trainer.golden import NEVER_SEEN, choose
from longshore.trainer.training_set import TrainingSet

SIGNER = Signer.generate()
TRUSTED = Keyring.of([SIGNER.public()])


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_a_version_is_signed_and_both_of_its_models_prove_themselves(tmp_path: Path, name: str) -> None:
    schema, registry = SCHEMAS[name], opened(tmp_path)
    data = TrainingSet(make_rows(schema, 600), "test")
    replace(trainer(registry), signer=SIGNER).run("t1", lambda: data)
    stated = manifest.read(registry.document("v1"), "v1")
    assert TRUSTED.verify(stated.document) == SIGNER.key_id
    golden, needs = stated.manifest.golden, stated.manifest.needs
    assert golden is not None and needs is not None and len(golden.prediction) >= 24
    assert len(set(golden.prediction)) > len(golden.prediction) / 2
    columns = manifest.golden_columns(golden, needs, schema)
    assert np.isnan(columns.numeric).any(axis=0).all()
    assert all(None in words and NEVER_SEEN in words for words in columns.nominal)
    for served in ("onnx", "joblib"):
        models = Models(schema, [RegistryPlace(registry)], model="m", format=served, trusted=lambda: TRUSTED)
        assert models.refresh(), served


def test_a_version_of_another_schema_is_refused_by_its_manifest(tmp_path: Path) -> None:
    registry = opened(tmp_path)
    trainer(registry).run("t1", lambda: LEARNABLE)
    other = Schema("pumps", NUMBERS.fields[:1], NUMBERS.key, NUMBERS.target, NUMBERS.topic)
    assert not Models(other, [RegistryPlace(registry)]).refresh()


def test_a_champion_that_nobody_trusted_signed_is_not_loaded_and_nothing_goes_live_uncompared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = opened(tmp_path)
    trainer(registry).run("t1", lambda: LEARNABLE)
    unsigned = registry.read("v1", "model.onnx")
    loaded: list[bytes] = []
    real = ServedModel.load
    monkeypatch.setattr(ServedModel, "load", lambda data: (loaded.append(data), real(data))[1])
    strict = replace(trainer(registry), signer=SIGNER, trusted=lambda: TRUSTED)
    outcome = strict.run("t2", lambda: REPLACED)
    assert (outcome.status, registry.alias().version) == ("rejected", "v1")  # type: ignore[union-attr]
    assert "cannot be compared" in outcome.reason
    assert "model sign" in outcome.reason
    assert unsigned not in loaded


def test_rows_on_which_the_two_models_disagree_are_left_out() -> None:
    columns = make_rows(NUMBERS, 100).columns
    wanted = ([field.name for field in NUMBERS.numeric], [])

    def served(rows):  # type: ignore[no-untyped-def]
        return np.arange(len(rows)) + 1.0

    def fitted(rows):  # type: ignore[no-untyped-def]
        return np.where(np.arange(len(rows)) < 5, -1.0, served(rows))

    chosen = choose(columns, served, fitted, wanted)
    assert min(chosen["prediction"]) == 6.0
    assert {len(values) for values in chosen["numeric"]} == {len(chosen["prediction"])}

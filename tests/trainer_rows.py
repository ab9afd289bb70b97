"""Labelled rows for the trainer's tests: three schemas, seeded, learnable."""

from __future__ import annotations

import numpy as np

from longshore.columns import Columns
from longshore.schema import Field, Kind, Schema, districts
from longshore.trainer.rows import LabelledRows

NUMBERS = Schema(
    "pumps", (Field("flow", Kind.NUMERIC), Field("heat", Kind.NUMERIC)), key="pump", target="wear", topic="pumps"
)
WORDS = Schema(
    "shirts", (Field("colour", Kind.NOMINAL), Field("size", Kind.NOMINAL)), key="shirt", target="price", topic="shirts"
)
SCHEMAS = {schema.name: schema for schema in (districts(), NUMBERS, WORDS)}


def make_rows(
    schema: Schema, count: int = 600, seed: int = 0, *, scale: float = 1.0, start_ms: int = 0
) -> LabelledRows:
    """`count` rows with missing values; the target depends on every feature and straddles zero where `scale` is 1."""
    rng = np.random.default_rng(seed)
    numeric = rng.lognormal(3, 1, size=(count, len(schema.numeric))).round(3)
    target = np.log(numeric).sum(axis=1) * scale - 3 * len(schema.numeric) + rng.normal(0, 0.1, count)
    nominal: list[list[str | None]] = []
    for field in schema.nominal:
        codes = rng.integers(0, 4, count)
        target = target + codes * scale
        words = list(field.categories) or ["red", "green", "größer", "blue"]
        nominal.append([None if rng.random() < 0.05 else words[code] for code in codes])
    numeric[rng.random(numeric.shape) < 0.05] = np.nan
    ids = [f"r{seed}-{i}" for i in range(count)]
    times = start_ms + np.arange(count, dtype=np.int64)
    return LabelledRows(Columns(schema, ids, [f"e{i}" for i in range(count)], times, numeric, nominal), target)

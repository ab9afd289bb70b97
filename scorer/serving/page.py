"""What the page's form and map are made of: the schema's fields, and what the model's reference says is usual.

Everything comes from the schema, the profile and, where the program has one for this schema, a drawing of the land. A
profile that is not there leaves a form without hints, no error.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from longshore.profile import Profile, StreamProfile
from longshore.schema import Field, Kind, Schema
from longshore.scorer.models import Active

LONGITUDE, LATITUDE = (-180.0, 180.0), (-90.0, 90.0)
"""A pair of numeric fields with just these bounds is a place on a map."""

USUAL = (0.02, 0.98)
"""The quantiles of the reference between which a value is called usual."""

SHOWN_DIGITS = 3
PLACE_DECIMALS = 2
"""About a kilometre."""


def coordinates(schema: Schema) -> dict[str, str] | None:
    """The names of the fields that are longitude and latitude; None unless there is just one of each."""
    found = {
        kind: [field.name for field in schema.numeric if (field.minimum, field.maximum) == bounds]
        for kind, bounds in (("east", LONGITUDE), ("north", LATITUDE))
    }
    if any(len(names) != 1 for names in found.values()):
        return None
    return {kind: names[0] for kind, names in found.items()}


def describe(schema: Schema, name: str, active: Active | None, profile: Profile | None, land: Any) -> dict[str, Any]:
    """Everything the page shows, as plain values."""
    streams = {stream.name: stream for stream in profile.streams} if profile is not None else {}
    return {
        "model": name,
        "version": None if active is None else active.version,
        "generation": None if active is None else active.generation,
        "rows": None if profile is None else profile.rows,
        "schema": schema.name,
        "target": words(schema.target),
        "fields": [_field(field, streams.get(field.name)) for field in schema.fields],
        "coordinates": coordinates(schema),
        "land": land if coordinates(schema) else None,
    }


def words(name: str) -> str:
    """A field's name as a person writes it."""
    text = name.replace("_", " ").strip()
    return text[:1].upper() + text[1:]


def _field(field: Field, stream: StreamProfile | None) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": field.name,
        "label": words(field.name),
        "kind": field.kind.value,
        "nullable": field.nullable,
        "minimum": field.minimum,
        "maximum": field.maximum,
        "description": field.description,
    }
    if field.kind is Kind.NOMINAL:
        seen = stream.categories if stream is not None else ()
        categories = sorted({*field.categories, *seen})
        return told | {"categories": categories, "example": seen[0] if seen else next(iter(categories), None)}
    if stream is None or not len(stream.edges):
        return told | {"example": None, "usual": None}
    decimals = PLACE_DECIMALS if (field.minimum, field.maximum) in (LONGITUDE, LATITUDE) else 0
    low, middle, high = (rounded(quantile(stream, share), decimals) for share in (USUAL[0], 0.5, USUAL[1]))
    return told | {"example": middle, "usual": [low, high]}


def quantile(stream: StreamProfile, share: float) -> float:
    """A quantile of a numeric stream, to the width of its bins; the last, open bin counts as its lower edge."""
    counts = np.cumsum(stream.counts[: len(stream.edges)])
    total = float(stream.counts[: len(stream.edges) + 1].sum())
    at = int(np.searchsorted(counts, share * total))
    return float(stream.edges[min(at, len(stream.edges) - 1)])


def rounded(value: float, decimals: int = 0) -> float:
    """As many digits as a person would write: three, whole numbers from 100 on, `decimals` in any case."""
    if value == 0 or not math.isfinite(value):
        return 0.0
    digits = SHOWN_DIGITS - 1 - math.floor(math.log10(abs(value)))
    return round(value, max(digits, decimals))

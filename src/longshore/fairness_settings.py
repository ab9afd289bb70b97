"""The settings of `[monitor.fairness]`, a part of `longshore.config`: which groups are compared, and how far apart
they may be (docs/fairness.md)."""

from __future__ import annotations

import math
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

CLOSED = ConfigDict(frozen=True, extra="forbid")
"""As `config.Section`, which imports from here."""

MOST_GROUPS = 64
"""Of all attributes together: each is a row of a table, a series of a metric, and a part of every pane with labels."""


class AttributeSettings(BaseModel):
    """How rows are grouped: by a `field` of the record, or by the `segments` of that name in the version's profile.

    A field need not be in the schema. With `cuts` its numbers fall into (…, c₁], (c₁, c₂], …; with `values` each of
    them is a group, and all others are `other`.
    """

    model_config = CLOSED

    field: str | None = Field(default=None, min_length=1)
    cuts: tuple[float, ...] = ()
    values: tuple[str, ...] = ()
    segments: str | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.field is None) == (self.segments is None):
            raise ValueError("give either field or segments")
        if self.field is not None and bool(self.cuts) == bool(self.values):
            raise ValueError("give either cuts or values with a field")
        if self.segments is not None and (self.cuts or self.values):
            raise ValueError("segments are the profile's own: give no cuts and no values")
        if not all(map(math.isfinite, self.cuts)) or sorted(set(self.cuts)) != list(self.cuts):
            raise ValueError("cuts rise, and are finite")
        if len(set(self.values)) != len(self.values):
            raise ValueError("values differ")
        return self

    @property
    def groups(self) -> int:
        """How many groups the settings name; those of a profile's segments are its own."""
        return len(self.cuts) + 1 if self.cuts else len(self.values) + 1 if self.values else 0


class FairnessSettings(BaseModel):
    """Groups of rows that are compared, by the attribute's name; none: nothing is counted by group.

    `window_labels`: labels of a window of the comparison. A group with fewer than `min_rows` of them is not judged.
    `alpha`: the chance of any false breach in one window. Limits, each None where it is not judged: `max_mae_ratio`, a
    group's MAE over that of all rows; `max_bias_sigma`, how far its bias is from theirs, in standard deviations of the
    error; `max_ratio_growth`, by how much the first has grown since the held-out rows (of `segments` only);
    `max_selection_gap` and `max_true_positive_gap`, differences of rates where the target is one of two classes.
    """

    model_config = CLOSED

    groups: dict[str, AttributeSettings] = {}
    window_labels: int = Field(default=2_000, ge=100)
    min_rows: int = Field(default=100, ge=30)
    alpha: float = Field(default=0.01, gt=0, lt=0.5)
    max_mae_ratio: float | None = Field(default=1.25, ge=1)
    max_bias_sigma: float | None = Field(default=0.25, ge=0)
    max_ratio_growth: float | None = Field(default=1.25, ge=1)
    max_selection_gap: float | None = Field(default=0.1, ge=0, le=1)
    max_true_positive_gap: float | None = Field(default=0.1, ge=0, le=1)

    @field_validator("groups")
    @classmethod
    def _few(cls, groups: dict[str, AttributeSettings]) -> dict[str, AttributeSettings]:
        if (named := sum(one.groups for one in groups.values())) > MOST_GROUPS:
            raise ValueError(f"these are {named} groups; {MOST_GROUPS} are the most")
        return groups

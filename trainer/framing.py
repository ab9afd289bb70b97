"""The framing file: what the model is for, how success is measured, what is assumed, and what is in use today.

TOML to values, and the values' questions to the data. Reading the file is `longshore.trainer.run`'s; what follows where
a reference is not beaten, or an assumption does not hold, is `longshore.trainer.gate`'s decision.
"""

from __future__ import annotations

import tomllib
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from longshore.columns import Columns, Floats
from longshore.errors import ConfigurationError
from longshore.schema import Schema
from longshore.trainer.rows import LabelledRows

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Text = Annotated[str, msgspec.Meta(min_length=1)]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Success(_Strict, frozen=True):
    """The metric the gate compares by, and, where given, the level at which the model is good enough."""

    metric: Literal["rmse", "mae"] = "rmse"
    at_most: Annotated[float, msgspec.Meta(gt=0)] | None = None


class Constant(_Strict, frozen=True, tag_field="kind", tag="constant"):
    """Today everybody is told the same value."""

    value: float
    name: str = "the constant in use"

    def predict(self, columns: Columns, fallback: float) -> Floats:
        """The constant for every row."""
        del fallback
        return np.full(len(columns), self.value)


class Figure(_Strict, frozen=True, tag_field="kind", tag="figure"):
    """Today's performance is known as a figure of the success metric, not row by row."""

    figure: Annotated[float, msgspec.Meta(gt=0)]
    name: str = "the figure in use"


class Rule(_Strict, frozen=True, tag_field="kind", tag="rule"):
    """Today's estimate is offset + factor · column; where the column is missing, the training mean."""

    column: Text
    factor: float
    offset: float = 0.0
    name: str = "the rule in use"

    def predict(self, columns: Columns, fallback: float) -> Floats:
        """The rule's estimate of every row."""
        estimate = self.offset + self.factor * _numeric(columns, self.column)
        return np.where(np.isfinite(estimate), estimate, fallback)


class TargetNotCapped(_Strict, frozen=True, tag_field="check", tag="target_not_capped"):
    """At most a share `limit` of the rows has the largest value of the target: it was not cut off there.

    As of every assumption: where it is `required` and does not hold, nothing goes live; else it is warned of.
    """

    limit: Share = 0.01
    required: bool = False

    def found(self, rows: LabelledRows) -> tuple[bool, str]:
        """The share of rows at the largest value."""
        top = float(rows.target.max())
        share = float(np.mean(rows.target == top))
        told = f"{share:.2%} of the rows have the largest target, {top:,.6g} (limit {self.limit:.2%})"
        return share <= self.limit, told


class MinRows(_Strict, frozen=True, tag_field="check", tag="min_rows"):
    """There are at least `rows` labelled rows."""

    rows: Annotated[int, msgspec.Meta(ge=1)]
    required: bool = False

    def found(self, rows: LabelledRows) -> tuple[bool, str]:
        """The number of rows."""
        return len(rows) >= self.rows, f"{len(rows):,} labelled rows, {self.rows:,} assumed"


class MaxMissing(_Strict, frozen=True, tag_field="check", tag="max_missing"):
    """No feature, or not `column`, is missing in more than a share `limit` of the rows."""

    limit: Share
    column: str | None = None
    required: bool = False

    def found(self, rows: LabelledRows) -> tuple[bool, str]:
        """The feature that is missing most, and how often."""
        shares = _missing(rows.columns)
        wanted = {self.column: shares[self.column]} if self.column else shares
        worst = max(wanted, key=wanted.__getitem__)
        told = f"{worst} is missing in {wanted[worst]:.2%} of the rows (limit {self.limit:.2%})"
        return wanted[worst] <= self.limit, told


class TargetBetween(_Strict, frozen=True, tag_field="check", tag="target_between"):
    """Every target lies from `low` to `high`."""

    low: float
    high: float
    required: bool = False

    def found(self, rows: LabelledRows) -> tuple[bool, str]:
        """The targets' range."""
        low, high = float(rows.target.min()), float(rows.target.max())
        return self.low <= low and high <= self.high, f"targets from {low:,.6g} to {high:,.6g}"


class Invariant(_Strict, frozen=True):
    """Raising `column` by a tenth of its spread moves at most a share `tolerance` of predictions the wrong way."""

    column: Text
    direction: Literal["up", "down"]
    tolerance: Share = 0.05


class Framing(_Strict, frozen=True):
    """The whole file."""

    goal: Text
    kpi: str = ""
    success: Success = Success()
    reference: Constant | Figure | Rule | None = None
    assumptions: tuple[TargetNotCapped | MinRows | MaxMissing | TargetBetween, ...] = ()
    invariants: tuple[Invariant, ...] = ()


def parse(text: str, where: str, schema: Schema) -> Framing:
    """The framing in a file's text.

    Raises:
        ConfigurationError: it is not TOML, or a key or a column in it is wrong (the message names it).

    """
    try:
        found = msgspec.convert(tomllib.loads(text), Framing)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(
            f"framing file {where} is not TOML: {error}", mend="correct the line it names"
        ) from error
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"framing file {where}: {error}", mend="see docs/gate.md for the keys") from error
    _check_columns(found, where, schema)
    return found


def described(framing: Framing, rows: LabelledRows) -> dict[str, Any]:
    """For the manifest: the file's content, each assumption with what was `found` and whether it `held`."""
    plain: dict[str, Any] = msgspec.to_builtins(framing)
    asked = [(assumption, assumption.found(rows)) for assumption in framing.assumptions]
    plain["assumptions"] = [
        {**msgspec.to_builtins(assumption), "held": bool(held), "found": found} for assumption, (held, found) in asked
    ]
    return plain


def from_manifest(found: dict[str, Any]) -> Framing:
    """The framing a version was made with, out of its manifest."""
    told = {"held", "found"}
    assumptions = [{k: v for k, v in each.items() if k not in told} for each in found.get("assumptions", ())]
    return msgspec.convert({**found, "assumptions": assumptions}, Framing)


def _check_columns(framing: Framing, where: str, schema: Schema) -> None:
    numeric = [field.name for field in schema.numeric]
    wanted = {f"invariants.column {each.column!r}": each.column in numeric for each in framing.invariants}
    if isinstance(framing.reference, Rule):
        wanted[f"reference.column {framing.reference.column!r}"] = framing.reference.column in numeric
    problems = [f"{key} is no numeric field of {schema.name}" for key, known in wanted.items() if not known]
    problems += [
        f"assumptions.column {each.column!r} is no field of {schema.name}"
        for each in framing.assumptions
        if isinstance(each, MaxMissing) and each.column is not None and each.column not in schema.feature_names
    ]
    if problems:
        raise ConfigurationError(
            f"framing file {where}: {'; '.join(problems)}", mend=f"it has {', '.join(schema.feature_names)}"
        )


def _numeric(columns: Columns, name: str) -> Floats:
    values: Floats = columns.numeric[:, [field.name for field in columns.schema.numeric].index(name)]
    return values


def _missing(columns: Columns) -> dict[str, float]:
    """The share of rows in which each feature is missing."""
    numeric = np.isnan(columns.numeric).mean(axis=0) if len(columns) else np.zeros(columns.numeric.shape[1])
    found = {field.name: float(share) for field, share in zip(columns.schema.numeric, numeric, strict=True)}
    for field, values in zip(columns.schema.nominal, columns.nominal, strict=True):
        found[field.name] = sum(not value for value in values) / max(len(values), 1)
    return found

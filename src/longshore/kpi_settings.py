"""The settings of `[monitor.kpis]`, a part of `longshore.config`: a user's figures, and bounds.

Of windows of labels where there is an expression; values that others measure, read from the topic `kpi`, where not.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, field_validator, model_validator

from longshore.alert_settings import CLOSED
from longshore.expressions import Expression

FIGURES = (
    "n", "rmse", "mse", "mae", "bias", "r2", "coverage", "mean_prediction", "mean_label",
    "accuracy", "precision", "recall", "f1", "auc_roc",
)  # fmt: skip
"""What an expression may name, all of the same window; those after `mean_label` are of targets of two classes."""

THEN = tuple(f"{name}_then" for name in FIGURES)
"""The same of the version's held-out rows."""


class KpiSettings(BaseModel):
    """One KPI: its `expression` (None: values come from the topic `kpi`), and where there is one its bound.

    `windows` breached in a row alert; of a KPI from the topic, so many values.
    """

    model_config = CLOSED

    expression: str | None = None
    at_most: float | None = None
    at_least: float | None = None
    windows: int = Field(default=3, ge=1)

    @field_validator("expression")
    @classmethod
    def _sound(cls, text: str | None) -> str | None:
        if text is not None:
            Expression(text, (*FIGURES, *THEN))
        return text

    @model_validator(mode="after")
    def _possible(self) -> KpiSettings:
        if self.at_most is not None and self.at_least is not None and self.at_least > self.at_most:
            raise ValueError("at_least is above at_most: nothing could keep both")
        return self


def _expanded(kpis: Any) -> Any:
    """A plain text is an expression without a bound."""
    if not isinstance(kpis, dict):
        return kpis
    return {name: {"expression": kpi} if isinstance(kpi, str) else kpi for name, kpi in kpis.items()}


def _named(kpis: dict[str, KpiSettings]) -> dict[str, KpiSettings]:
    if wrong := [name for name in kpis if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name)]:
        raise ValueError(f"{wrong[0]!r}: a KPI's name is a letter, then letters, digits and _, 40 at most, all small")
    return kpis


Kpis = Annotated[dict[str, KpiSettings], BeforeValidator(_expanded), AfterValidator(_named)]

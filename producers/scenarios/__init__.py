"""Drift on purpose: the table of scenarios, and how `name:parameter=value,…` becomes one.

A new scenario is one file and one line of `SCENARIOS`; its dataclass-like fields are its parameters, their limits and
the texts of its errors. docs/scenarios.md describes each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from longshore.errors import ConfigurationError
from longshore.producers.rows import Rows, Source
from longshore.producers.scenarios.base import Context, Scenario
from longshore.producers.scenarios.frozen_sensor import FrozenSensor
from longshore.producers.scenarios.income_inflation import IncomeInflation
from longshore.producers.scenarios.migration import Migration
from longshore.producers.scenarios.missing import MissingBedrooms
from longshore.producers.scenarios.price_inflation import PriceInflation
from longshore.producers.scenarios.season import Season
from longshore.producers.scenarios.unit_fault import UnitFault
from longshore.schema import Schema

SCENARIOS: dict[str, type[Scenario]] = {
    "income-inflation": IncomeInflation,
    "migration": Migration,
    "missing-bedrooms": MissingBedrooms,
    "unit-fault": UnitFault,
    "frozen-sensor": FrozenSensor,
    "price-inflation": PriceInflation,
    "season": Season,
}

NONE = "none"

__all__ = ["SCENARIOS", "Context", "Pipeline", "Scenario", "parse"]


def parse(text: str) -> Scenario:
    """The scenario that `name` or `name:parameter=value,parameter=value` describes.

    Raises:
        ConfigurationError: the name or a parameter is unknown, or a value is not allowed; lists what exists.

    """
    name, _, rest = text.partition(":")
    kind = SCENARIOS.get(name.strip())
    if kind is None:
        raise ConfigurationError(f"scenario {name!r} is unknown", mend=f"choose of {', '.join(SCENARIOS)}, {NONE}")
    given: dict[str, str] = {}
    for item in filter(None, (part.strip() for part in rest.split(","))):
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals or key in given:
            problem = "is given twice" if equals else "has no value"
            raise ConfigurationError(f"scenario {name}: {key!r} {problem}", mend=f"write {name}:{_usage(kind)}")
        given[key] = value
    return _converted(name, kind, given)


def _converted(name: str, kind: type[Scenario], given: dict[str, str]) -> Scenario:
    try:
        scenario = msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigurationError(
            f"scenario {name}: {str(error).replace('`$.', '`').replace('Object contains', 'has')}",
            mend=f"parameters and defaults are {_usage(kind)}",
        ) from error
    wild = [key for key, value in _values(scenario).items() if isinstance(value, float) and not math.isfinite(value)]
    if wild:
        raise ConfigurationError(f"scenario {name}: {wild[0]} = {given[wild[0]]}", mend="give a finite number")
    return scenario


def _usage(kind: type[Scenario]) -> str:
    return ",".join(f"{key}={value}" for key, value in _values(kind()).items())


def _values(scenario: Scenario) -> dict[str, Any]:
    return msgspec.structs.asdict(scenario)


class Pipeline:
    """Several scenarios one after the other, in the order given; each sees what the ones before it made."""

    def __init__(self, scenarios: Sequence[Scenario], schema: Schema, source: Source, seed: int) -> None:
        for scenario in scenarios:
            scenario.check(schema, source)
        self._steps = [
            (scenario, Context(source, seed, f"scenario/{place}")) for place, scenario in enumerate(scenarios)
        ]

    def apply(self, rows: Rows) -> Rows:
        """The rows as the stream shows them."""
        for scenario, context in self._steps:
            rows = scenario.apply(rows, context)
        return rows

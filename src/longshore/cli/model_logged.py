"""What a version's manifest gives to a tracker of experiments (MLflow, W&B): metrics and parameters by dotted names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from longshore.registry.differences import flat


def metrics_of(manifest: Mapping[str, Any]) -> dict[str, float]:
    """Every number under `metrics`."""
    leaves = flat(manifest).items()
    return {name: value for (section, name), value in leaves if section == "metrics" and _is_number(value)}


def parameters_of(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Every other leaf as text: `section.name`."""
    metrics = metrics_of(manifest)
    return {
        f"{section}.{name}".rstrip("."): value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for (section, name), value in flat(manifest).items()
        if section != "metrics" or name not in metrics
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

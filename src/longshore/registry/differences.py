"""Pure: what differs between two versions, from their manifests: figures, settings, data, libraries, columns, files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OWN = {"version", "model", "format", "created", "trigger_id", "actor", "reason", "signature", "golden"}
"""What every version has of its own."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that is not the same; None on the side that lacks it."""

    section: str
    name: str
    first: Any
    second: Any

    def change(self) -> float | None:
        """The second less the first, relative to the first; None unless both are numbers and the first is not 0."""
        pair = (self.first, self.second)
        if not self.first or any(isinstance(value, bool) or not isinstance(value, int | float) for value in pair):
            return None
        return float((self.second - self.first) / abs(self.first))


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Difference]:
    """All that is not the same in two manifests, in the first one's order; lists are compared whole."""
    ours, theirs = flat(first), flat(second)
    names = [*ours, *(name for name in theirs if name not in ours)]
    return [Difference(*name, ours.get(name), theirs.get(name)) for name in names if ours.get(name) != theirs.get(name)]


def flat(manifest: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    """A manifest's leaves by (section, dotted name), without what every version has of its own."""
    found: dict[tuple[str, str], Any] = {}
    for section, value in manifest.items():
        if section not in OWN:
            _collect(found, section, "", value)
    return found


def _collect(found: dict[tuple[str, str], Any], section: str, name: str, value: Any) -> None:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            _collect(found, section, f"{name}.{key}" if name else str(key), inner)
    else:
        found[section, name] = value

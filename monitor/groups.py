"""Which group a record is in, by each of the named attributes, and the sums of its error there: integers only. Pure.

A joiner keeps the places beside each prediction, as it does not keep the record. They begin with a mark of how groups
were defined, so that what was kept under other settings counts for no group. What the sums say is
`longshore.monitor.fairness`'s matter.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from longshore.fairness_settings import MOST_GROUPS, AttributeSettings
from longshore.monitor.class_figures import THRESHOLD
from longshore.profile import Floats, Ints, Profile

GROUP_TOTALS = 9
"""Of a group: rows, Σe, Σ|e|, Σe², Σe⁴ in fixed point, and true and false positives, false and true negatives."""

ERRORS = 5
"""The first five of them, as `error_profile.TOTALS` has them."""

MARK = 4
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Group:
    """One group of one attribute; `segments`: the segmentation of the profile it is of, if it is of one."""

    attribute: str
    name: str
    segments: str = ""

    @property
    def label(self) -> str:
        """Both, as a metric and a table have it."""
        return f"{self.attribute}: {self.name}"


@dataclass(frozen=True, slots=True, eq=False)
class Grouped:
    """Rows with their groups. `grouping`: how those are defined; `places`: int64[n, attributes], −1 for no group."""

    grouping: str
    places: Ints


class Scheme:
    """How rows are grouped, by attribute in the order of the settings."""

    def __init__(self, attributes: Mapping[str, AttributeSettings]) -> None:
        self._attributes = dict(attributes)
        plain = [[name, one.model_dump(mode="json")] for name, one in self._attributes.items()]
        self._mark = hashlib.sha256(msgspec.json.encode(plain)).digest()[:MARK]
        self.name = self._mark.hex() if self._attributes else ""

    def __bool__(self) -> bool:
        return bool(self._attributes)

    @property
    def fields(self) -> list[str]:
        """The record's fields that are asked for."""
        return sorted({one.field for one in self._attributes.values() if one.field is not None})

    def groups(self, profile: Profile) -> list[Group]:
        """All groups, in order; those beyond `MOST_GROUPS`, of segments, are none."""
        found = [
            Group(name, label, one.segments or "")
            for name, one in self._attributes.items()
            for label in _labels(one, profile)
        ]
        return found[:MOST_GROUPS]

    def tails(self, profile: Profile, records: Sequence[Any], segments: Ints) -> list[bytes]:
        """What is kept of each row: nothing where there is no attribute.

        `records` have the `fields` as attributes, or are None; `segments`: int64[n, segmentations] (`segments.places`).
        """
        if not self._attributes:
            return [b""] * len(records)
        places = self.places(profile, records, segments)
        return [self._mark + row.tobytes() for row in places.astype(np.int8)]

    def grouped(self, tails: Sequence[bytes]) -> Grouped | None:
        """The rows' groups of what was kept; none for a row that was kept under another definition."""
        if not self._attributes:
            return None
        width = len(self._attributes)
        nowhere = np.full(width, -1, dtype=np.int8).tobytes()
        ours = [tail[MARK:] if tail[:MARK] == self._mark and len(tail) == MARK + width else nowhere for tail in tails]
        places = np.frombuffer(b"".join(ours), dtype=np.int8).astype(np.int64).reshape(len(tails), width)
        return Grouped(self.name, places)

    def places(self, profile: Profile, records: Sequence[Any], segments: Ints) -> Ints:
        """Each row's place among all groups, int64[n, attributes], −1 for none."""
        found = np.full((len(records), len(self._attributes)), -1, dtype=np.int64)
        at = 0
        for k, one in enumerate(self._attributes.values()):
            if one.segments is not None:
                inside = _of_segments(one.segments, profile, segments)
            else:
                values = [None if record is None else getattr(record, field_at(one, self.fields)) for record in records]
                inside = _cut(values, one.cuts) if one.cuts else _listed(values, one.values)
            found[:, k] = np.where(inside >= 0, at + inside, -1)
            at += len(_labels(one, profile))
        found[found >= MOST_GROUPS] = -1
        return found

    def reader(self) -> type[msgspec.Struct] | None:
        """What decodes the fields of a record, under the names of `field_name`; None where none is asked for."""
        if not (fields := self.fields):
            return None
        given = [(field_name(i), Any, None) for i in range(len(fields))]
        return msgspec.defstruct("Fields", given, rename={field_name(i): name for i, name in enumerate(fields)})


def field_name(at: int) -> str:
    """The attribute that holds a field's value: fields may be called anything."""
    return f"field_{at}"


def field_at(one: AttributeSettings, fields: Sequence[str]) -> str:
    """The same, of an attribute's field."""
    return field_name(fields.index(one.field or ""))


def _labels(one: AttributeSettings, profile: Profile) -> list[str]:
    if one.segments is not None:
        return [label for each in profile.segmentations if each.name == one.segments for label in each.labels]
    if one.values:
        return [*one.values, OTHER]
    edges = [f"{cut:.6g}" for cut in one.cuts]
    between = [f"{low} to {high}" for low, high in itertools.pairwise(edges)]
    return [f"up to {edges[0]}", *between, f"above {edges[-1]}"]


def segment_range(name: str, profile: Profile) -> tuple[int, int, int]:
    """A segmentation's number, and from where to where its segments are among all; (−1, 0, 0) where it is not there."""
    at = 0
    for k, one in enumerate(profile.segmentations):
        if one.name == name:
            return k, at, at + len(one.labels)
        at += len(one.labels)
    return -1, 0, 0


def _of_segments(name: str, profile: Profile, segments: Ints) -> Ints:
    k, first, _ = segment_range(name, profile)
    if k < 0 or segments.shape[1] <= k:
        return np.full(len(segments), -1, dtype=np.int64)
    return np.where(segments[:, k] >= 0, segments[:, k] - first, -1)


def _cut(values: Sequence[Any], cuts: Sequence[float]) -> Ints:
    """A value equal to a cut is below it; what is no number is in no group."""
    numbers = np.array([_number(value) for value in values], dtype=np.float64)
    return np.where(np.isnan(numbers), -1, np.searchsorted(np.asarray(cuts), numbers, side="left"))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _listed(values: Sequence[Any], known: Sequence[str]) -> Ints:
    """By the value's text (of a truth value or a whole number, as JSON has it); what is missing is in no group."""
    at = {text: i for i, text in enumerate(known)}
    return np.array([-1 if (text := _text(value)) is None else at.get(text, len(known)) for value in values], np.int64)


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    return f"{value:.17g}" if isinstance(value, int | float) else None


def row_totals(sums: Ints, classes: tuple[Floats, Floats] | None) -> Ints:
    """What each row adds to its groups, int64[n, GROUP_TOTALS].

    `sums`: int64[n, ERRORS] of the errors; `classes`: predictions and labels of a target of two classes.
    """
    rows = np.zeros((len(sums), GROUP_TOTALS), dtype=np.int64)
    rows[:, :ERRORS] = sums
    if classes is not None:
        said, true = classes[0] >= THRESHOLD, classes[1] == 1.0
        for k, cell in enumerate((said & true, said & ~true, ~said & true, ~said & ~true)):
            rows[:, ERRORS + k] = cell
    return rows


def group_totals(grouped: Grouped, groups: int, rows: Ints, each: Ints, panes: int) -> Ints:
    """By pane and group, int64[panes, groups + 1, GROUP_TOTALS]; the last group is all rows, in a group or not.

    `rows`: `row_totals`; `each` int64[n] is the row's pane.
    """
    size = groups + 1
    totals = np.zeros((panes * size, GROUP_TOTALS), dtype=np.int64)
    np.add.at(totals, each * size + groups, rows)
    for k in range(grouped.places.shape[1]):
        inside = (grouped.places[:, k] >= 0) & (grouped.places[:, k] < groups)
        np.add.at(totals, each[inside] * size + grouped.places[inside, k], rows[inside])
    return totals.reshape(panes, size, GROUP_TOTALS)

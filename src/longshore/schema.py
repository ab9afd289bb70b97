"""One `Schema` value: a record's fields, their kinds and limits, its key, event time and target.

Everything that knows a column's name takes it from here; `districts()` is built in and a user's own comes from TOML.
Decoding by a schema is `longshore.codec`'s work.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec

from longshore.errors import ConfigurationError

RESERVED = frozenset({"record_id", "prediction", "model_version", "route", "source", "record", "scored_at", "label"})
NO_KEYS = RESERVED | {"event_time", "observed_at", "prediction_interval"}
"""Names that stand beside the key in a prediction or a label."""

TAKEN_TOPICS = frozenset(
    {"predictions", "labels", "drift.panes", "drift.events", "drift.state", "retrain.requests", "model.events"}
)


class Kind(StrEnum):
    """What a field's values are."""

    NUMERIC = "numeric"
    NOMINAL = "nominal"


class TargetKind(StrEnum):
    """What labels are: any number, or one of two classes, 0 and 1, of which a model estimates the probability of 1."""

    NUMBER = "number"
    BINARY = "binary"


@dataclass(frozen=True, slots=True)
class Field:
    """One feature. `minimum` and `maximum` are inclusive: a value outside them is a dead letter.

    `categories` are those known when the schema was written; another one is data, not an error.
    """

    name: str
    kind: Kind
    nullable: bool = True
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str, ...] = ()
    description: str = ""


@dataclass(frozen=True, slots=True)
class Derived:
    """A ratio of two numeric fields that is watched for drift: never a model's feature, never in a message.

    It is missing where either field is, and where the denominator is 0.
    """

    name: str
    numerator: str
    denominator: str


@dataclass(frozen=True, slots=True)
class Schema:
    """A record: `fields`, and `record_id`, `key` (strings), `event_time` (int, ms); `target` is what a label means.

    `derived` are ratios of its fields that the monitor watches beside them; `place` names the two numeric fields that
    are east and north on a map, where drift is looked for by cell.
    """

    name: str
    fields: tuple[Field, ...]
    key: str
    target: str
    topic: str
    record_id: str = "record_id"
    event_time: str = "event_time"
    derived: tuple[Derived, ...] = ()
    place: tuple[str, str] | None = None
    target_kind: TargetKind = TargetKind.NUMBER

    @property
    def numeric(self) -> tuple[Field, ...]:
        """The numeric features, in order: the columns of a model's `numeric` input."""
        return tuple(field for field in self.fields if field.kind is Kind.NUMERIC)

    @property
    def nominal(self) -> tuple[Field, ...]:
        """The nominal features, in order: the columns of a model's `nominal` input."""
        return tuple(field for field in self.fields if field.kind is Kind.NOMINAL)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """All features in declared order."""
        return tuple(field.name for field in self.fields)

    def fingerprint(self) -> str:
        """Twelve hex digits that change when a name, a kind or the target does (a manifest's `schema`)."""
        shape: list[Any] = [self.name, self.key, self.target, [(f.name, f.kind.value) for f in self.fields]]
        if self.target_kind is not TargetKind.NUMBER:  # which was the only one at first
            shape.append(self.target_kind.value)
        return hashlib.sha256(msgspec.json.encode(shape)).hexdigest()[:12]


def districts() -> Schema:
    """California housing districts (1990 census): what the `districts` topic carries."""
    num, nom = Kind.NUMERIC, Kind.NOMINAL
    return Schema(
        name="districts",
        topic="districts",
        key="district_id",
        target="median_house_value",
        fields=(
            Field("longitude", num, minimum=-180, maximum=180, description="degrees east"),
            Field("latitude", num, minimum=-90, maximum=90, description="degrees north"),
            Field("housing_median_age", num, description="years"),
            Field("total_rooms", num, description="rooms in the district"),
            Field("total_bedrooms", num, description="bedrooms in the district; often missing"),
            Field("population", num, description="people"),
            Field("households", num, description="households"),
            Field("median_income", num, description="10,000 US dollars"),
            Field(
                "ocean_proximity",
                nom,
                categories=("<1H OCEAN", "INLAND", "ISLAND", "NEAR BAY", "NEAR OCEAN"),
                description="where the district lies",
            ),
        ),
        derived=(
            Derived("people_per_household", "population", "households"),
            Derived("rooms_per_household", "total_rooms", "households"),
            Derived("bedrooms_per_room", "total_bedrooms", "total_rooms"),
        ),
        place=("longitude", "latitude"),
    )


class _FieldToml(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]
    kind: Kind
    nullable: bool = True
    minimum: float | None = None
    maximum: float | None = None
    categories: list[str] = []
    description: str = ""


class _DerivedToml(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]
    numerator: str
    denominator: str


class _SchemaToml(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]+$")]
    key: Annotated[str, msgspec.Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]
    target: str
    fields: Annotated[list[_FieldToml], msgspec.Meta(min_length=1)]
    topic: str | None = None
    event_time: Annotated[str, msgspec.Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$")] = "event_time"
    derived: list[_DerivedToml] = []
    place: tuple[str, str] | None = None
    target_kind: TargetKind = TargetKind.NUMBER


def load_schema(path: Path | None) -> Schema:
    """The schema in a TOML file, or `districts` where `path` is None.

    Raises:
        ConfigurationError: the file cannot be read, is not TOML, or a key in it is wrong (the message names it).

    """
    if path is None:
        return districts()
    try:
        parsed = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _SchemaToml)
    except OSError as error:
        raise ConfigurationError(f"schema file {path}: {error.strerror}", mend="name a readable TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"schema file {path} is not TOML: {error}", mend="correct the line it names"
        ) from error
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"schema file {path}: {error}", mend="see docs/schema.md for the keys") from error
    return _checked(parsed, path)


def _checked(parsed: _SchemaToml, path: Path) -> Schema:
    names = [field.name for field in parsed.fields]
    problems = [f"field {name!r} is listed twice" for name in sorted({n for n in names if names.count(n) > 1})]
    structural = {parsed.key, parsed.event_time, *RESERVED}
    if parsed.key in NO_KEYS:
        problems.append(f"key {parsed.key!r} is a name Longshore uses itself")
    problems += [f"field {name!r} has a name Longshore uses itself" for name in names if name in structural]
    if parsed.target in {*names, parsed.key, parsed.event_time, "record_id"}:
        problems.append(f"target {parsed.target!r} is also a field of the record")
    if (parsed.topic or parsed.name) in TAKEN_TOPICS:
        problems.append(f"topic {parsed.topic or parsed.name!r} is one of Longshore's own")
    for field in parsed.fields:
        problems += _field_problems(field)
    problems += _derived_problems(parsed)
    numeric = {field.name for field in parsed.fields if field.kind is Kind.NUMERIC}
    problems += [
        f"place names {name!r}, which is no numeric field" for name in parsed.place or () if name not in numeric
    ]
    if parsed.place and len(set(parsed.place)) == 1:
        problems.append(f"place names {parsed.place[0]!r} twice")
    if problems:
        raise ConfigurationError(f"schema file {path}: {'; '.join(problems)}", mend="see docs/schema.md for the keys")
    fields = tuple(
        Field(f.name, f.kind, f.nullable, f.minimum, f.maximum, tuple(f.categories), f.description)
        for f in parsed.fields
    )
    return Schema(
        name=parsed.name,
        fields=fields,
        key=parsed.key,
        target=parsed.target,
        topic=parsed.topic or parsed.name,
        event_time=parsed.event_time,
        derived=tuple(Derived(d.name, d.numerator, d.denominator) for d in parsed.derived),
        place=parsed.place,
        target_kind=parsed.target_kind,
    )


def _field_problems(field: _FieldToml) -> list[str]:
    problems: list[str] = []
    bounded = field.minimum is not None or field.maximum is not None
    if field.kind is Kind.NOMINAL and bounded:
        problems.append(f"field {field.name!r} is nominal and cannot have a minimum or maximum")
    if field.kind is Kind.NUMERIC and field.categories:
        problems.append(f"field {field.name!r} is numeric and cannot have categories")
    if field.minimum is not None and field.maximum is not None and field.minimum > field.maximum:
        problems.append(f"field {field.name!r} has a minimum {field.minimum} above its maximum {field.maximum}")
    return problems


def _derived_problems(parsed: _SchemaToml) -> list[str]:
    problems: list[str] = []
    kinds = {field.name: field.kind for field in parsed.fields}
    taken = dict.fromkeys(kinds, "a field") | {parsed.target: "the target"}
    taken |= dict.fromkeys((parsed.key, parsed.event_time, *RESERVED), "a name Longshore uses itself")
    for derived in parsed.derived:
        if derived.name in taken:
            problems.append(f"derived {derived.name!r} is also {taken[derived.name]}")
        taken[derived.name] = "another derived stream"
        for part, name in (("numerator", derived.numerator), ("denominator", derived.denominator)):
            if name not in kinds:
                problems.append(f"derived {derived.name!r} has the {part} {name!r}, which is not a field")
            elif kinds[name] is not Kind.NUMERIC:
                problems.append(f"derived {derived.name!r} has the {part} {name!r}, which is not numeric")
    return problems


def describe(schema: Schema) -> dict[str, Any]:
    """The schema as plain values, for a manifest."""
    fields = [{"name": f.name, "kind": f.kind.value, "nullable": f.nullable} for f in schema.fields]
    derived = [{"name": d.name, "numerator": d.numerator, "denominator": d.denominator} for d in schema.derived]
    return {
        "name": schema.name,
        "key": schema.key,
        "target": schema.target,
        "target_kind": schema.target_kind.value,
        "fields": fields,
        "derived": derived,
        "fingerprint": schema.fingerprint(),
    }

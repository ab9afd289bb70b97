"""Random malformed records by seed, and an oracle of its own: Python's parser made strict, and the schema's rules.

`Fuzzer(seed)` mutates valid records: bytes (flips, deletions, insertions, duplications, splices), structure (values
replaced by random JSON, fields dropped, doubled, renamed), and pure random bytes. `verdict` says what the codec must do
with a value, from the value alone. The oracle shares no code with the codec.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import cycle, islice
from random import Random
from typing import Any

import numpy as np
from tests.malformed_corpus import BAD, GOOD, GOOD_ENOUGH
from tests.trainer_rows import make_rows

from longshore.codec import MAX_DEPTH, MAX_EVENT_TIME, MAX_RECORD_BYTES, Codec, Reason
from longshore.columns import Columns, Floats
from longshore.schema import Kind, Schema, districts
from longshore.scorer.score import Predictor, score
from longshore.served_model import ServedModel
from longshore.trainer.export import to_onnx
from longshore.trainer.fit import CANDIDATES, MANY_ROWS, Parameters, fit
from longshore.trainer.housing import recipe_for

SCHEMA = districts()

_PIECES = [
    b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"null", b"true", b"false", b"NaN", b"-Infinity", b"1e999", b"-0",
    b"-", b"01", b"1.", b"\\u", b"\\ud800", b"\\udc00", b"\\u0000", b"\x00", b"\x1f", b"\x7f", b"\xff", b"\xc0\xaf",
    b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xf0\x9d\x84\x9e", b" ", b"\t", b"\n", b"\x0c", b"//", b"'", b"9" * 25,
    b"e5", b"{}", b"[]",
]  # fmt: skip

_INTEGERS: list[Any] = [0, -1, 1, 90, -180, 2**53 + 1, 2**63, 2**64, -(2**63), 10**15, 10**30, MAX_EVENT_TIME]
_FLOATS: list[Any] = [0.5, -0.0, 1e15, 1.7e12, 1e308, -1e308, 5e-324, 90.0000001, math.nan, math.inf, -math.inf]
_OTHERS: list[Any] = [None, True, False]
_LETTERS = {
    "": 3, "a": 9, "é": 3, "𝄞": 3, "\x00": 1, "\x1f": 1, "\x7f": 1, "\ud800": 1, '"': 1, "\\": 1, "\u2028": 1, "1": 1,
    "NaN": 1, "x" * 1_001: 0.2,
}  # fmt: skip


class Fuzzer:
    """An endless stream of values; the same seed gives the same."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        corpus = [value for value, _ in BAD.values()] + [value for value, _ in GOOD_ENOUGH.values()]
        self._corpus = [value for value in corpus if value and len(value) < 3_000]
        self._bytewise: list[Callable[[bytearray], None]] = [
            self._flip, self._delete, self._insert, self._duplicate, self._splice, self._truncate, self._digit,
        ]  # fmt: skip

    def values(self) -> Iterator[bytes | None]:
        while True:
            yield self._value()

    def _value(self) -> bytes | None:
        random = self._random
        kind = random.random()
        if kind < 0.002:
            return None if kind < 0.001 else b""
        if kind < 0.06:
            return random.randbytes(random.randrange(1, 80))
        if kind < 0.14:
            return self._bytes_changed(random.choice(self._corpus))
        if kind < 0.2:
            return self._text(self._record())
        if kind < 0.6:
            return self._bytes_changed(self._text(self._record()))
        document = self._record()
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            self._structure_changed(document)
        text = self._text(document)
        return self._bytes_changed(text) if random.random() < 0.05 else text

    def _record(self) -> dict[str, Any]:
        random = self._random
        record: dict[str, Any] = GOOD | {
            "record_id": f"r{random.getrandbits(30)}",
            "event_time": random.randrange(1_600_000_000_000, 1_800_000_000_000),
            "median_income": random.uniform(0, 15),
            "population": float(random.randrange(1, 40_000)),
            "ocean_proximity": random.choice(["INLAND", "NEAR BAY", "<1H OCEAN", "Málaga", None]),
        }
        if random.random() < 0.2:
            record["note"] = self._json(2)
        return record

    def _text(self, document: Any) -> bytes:
        random = self._random
        separators = random.choice([(",", ":"), (", ", ": "), (" ,\t", "\r\n: ")])
        text = json.dumps(document, ensure_ascii=random.random() < 0.5, separators=separators)
        return text.encode("utf-8", random.choice(["surrogatepass", "replace"]))

    def _structure_changed(self, document: dict[str, Any]) -> None:
        random = self._random
        name = random.choice(list(document) or [""])
        change = random.randrange(6)
        if change == 0:
            document.pop(name, None)
        elif change == 1:
            document[random.choice([name.upper(), name + " ", "", "nøte", name[:-1]])] = document.pop(name, None)
        elif change == 2 and len(document) > 1:
            other = random.choice(list(document))
            document[name], document[other] = document.get(other), document.get(name)
        elif change == 3:
            document[name] = {name: document.get(name)} if random.random() < 0.5 else [document.get(name)]
        else:
            document[name] = self._json(3)

    def _json(self, depth: int) -> Any:
        random = self._random
        kind = random.randrange(13 if depth else 10)
        if kind >= 10:
            items = [self._json(depth - 1) for _ in range(random.randrange(4))]
            return items if kind < 12 else {random.choice(["a", "", "é", "record_id"]): item for item in items}
        if kind >= 8:
            return "".join(random.choices(list(_LETTERS), list(_LETTERS.values()), k=random.randrange(4)))
        if kind == 7:
            return random.uniform(-1, 1) * 10.0 ** random.randrange(-320, 309)
        return random.choice((_INTEGERS, _INTEGERS, _INTEGERS, _FLOATS, _FLOATS, _OTHERS, _OTHERS)[kind])

    def _bytes_changed(self, value: bytes) -> bytes:
        changed = bytearray(value)
        for _ in range(self._random.choice((1, 1, 1, 2, 4))):
            if changed:
                self._random.choice(self._bytewise)(changed)
        return bytes(changed)

    def _at(self, value: bytearray) -> int:
        return self._random.randrange(len(value))

    def _flip(self, value: bytearray) -> None:
        value[self._at(value)] ^= 1 << self._random.randrange(8)

    def _delete(self, value: bytearray) -> None:
        at = self._at(value)
        del value[at : at + self._random.choice((1, 1, 2, 8))]

    def _insert(self, value: bytearray) -> None:
        at = self._at(value)
        value[at:at] = self._random.choice(_PIECES)

    def _duplicate(self, value: bytearray) -> None:
        at = self._at(value)
        value[at:at] = value[at : at + self._random.randrange(1, 40)]

    def _splice(self, value: bytearray) -> None:
        other = self._random.choice(self._corpus)
        value[self._at(value) :] = other[self._random.randrange(len(other)) :]

    def _truncate(self, value: bytearray) -> None:
        del value[self._at(value) :]

    def _digit(self, value: bytearray) -> None:
        """Another character inside a number, where most bytes of a record are."""
        places = [i for i, byte in enumerate(value) if chr(byte) in "0123456789.-"]
        if places:
            value[self._random.choice(places)] = self._random.choice(b"0123456789.-+eE ")


class _NotJsonError(Exception):
    """The oracle's own: the text is not RFC 8259."""


class _Integer(str):
    """An integer's literal, kept as text: it may have thousands of digits."""

    __slots__ = ()


class _Number(str):
    """A float's literal."""

    __slots__ = ()


def _refuse_constant(name: str) -> Any:
    raise _NotJsonError(name)


_DECODER = json.JSONDecoder(
    object_pairs_hook=lambda pairs: pairs, parse_int=_Integer, parse_float=_Number, parse_constant=_refuse_constant
)
_SURROGATE = re.compile("[\ud800-\udfff]")


def _strict(text: str) -> Any:
    """The document, objects as lists of pairs (a tuple marks them); fails where it is not RFC 8259."""
    stripped = text.strip(" \t\r\n")
    try:
        found, end = _DECODER.raw_decode(stripped)
    except (ValueError, RecursionError) as error:
        raise _NotJsonError(str(error)) from error
    if end != len(stripped):
        raise _NotJsonError("more than one value")
    if "\\u" in stripped and _has_surrogate(found):
        raise _NotJsonError("a lone surrogate")
    return found


def _has_surrogate(value: Any) -> bool:
    if isinstance(value, str):
        return _SURROGATE.search(value) is not None
    return isinstance(value, list | tuple) and any(_has_surrogate(item) for item in value)


def _depth(value: Any) -> int:
    """Levels of arrays and objects; a tuple is a pair of an object's."""
    inside = max(map(_depth, value), default=0) if isinstance(value, list | tuple) else 0
    return inside + isinstance(value, list)


@dataclass(frozen=True)
class Verdict:
    """What must become of a value: `reasons` (empty: accepted) and, where accepted, its fields."""

    reasons: frozenset[Reason]
    fields: dict[str, Any] = field(default_factory=dict)


def verdict(value: bytes | None) -> Verdict:
    """The oracle. Of a value that is not JSON further on, a wrong type before that place may be named first."""
    if not value:
        return Verdict(frozenset({Reason.EMPTY}))
    if len(value) > MAX_RECORD_BYTES:
        return Verdict(frozenset({Reason.TOO_LARGE}))
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return Verdict(frozenset({Reason.NOT_UTF8}))
    try:
        document = _strict(text)
    except _NotJsonError:
        return Verdict(frozenset({Reason.NOT_JSON, Reason.INVALID}) if _typed(text) else frozenset({Reason.NOT_JSON}))
    if _depth(document) > MAX_DEPTH:
        return Verdict(frozenset({Reason.NOT_JSON}))
    is_object = text.lstrip(" \t\r\n").startswith("{")
    fields = _valid(document) if is_object else None
    return Verdict(frozenset({Reason.INVALID})) if fields is None else Verdict(frozenset(), fields)


def _typed(text: str) -> bool:
    """Whether anything in a text that is no JSON could be read as a value before the fault."""
    return text.lstrip(" \t\r\n")[:1] in ("{", "[", '"', "t", "f", "n", "-", *"0123456789")


def _valid(pairs: list[tuple[str, Any]]) -> dict[str, Any] | None:
    """The record's fields by the schema, None where one is wrong: each of a doubled one must be right."""
    out: dict[str, Any] = dict.fromkeys(field.name for field in SCHEMA.fields)
    for name, given in pairs:
        check = _CHECKS.get(name)
        if check is None:
            continue
        ok, read = check(given)
        if not ok:
            return None
        out[name] = read
    return out if all(name in out for name in (SCHEMA.record_id, SCHEMA.key, SCHEMA.event_time)) else None


def _plain_text(value: Any) -> bool:
    return isinstance(value, str) and not isinstance(value, _Integer | _Number)


def _check_id(value: Any) -> tuple[bool, Any]:
    return _plain_text(value) and 1 <= len(value) <= 1_000, value


def _check_time(value: Any) -> tuple[bool, Any]:
    if not isinstance(value, _Integer) or len(value) > 30:
        return False, None
    return 0 <= int(value) <= MAX_EVENT_TIME, int(value)


def _check_category(value: Any) -> tuple[bool, Any]:
    return value is None or _plain_text(value), value


def _check_number(minimum: float, maximum: float) -> Callable[[Any], tuple[bool, Any]]:
    def check(value: Any) -> tuple[bool, Any]:
        if value is None:
            return True, None
        if not isinstance(value, _Integer | _Number):
            return False, None
        number = float(value)
        if isinstance(value, _Integer) and number == 0:
            number = 0.0  # `-0` is an integer, and integers have one zero
        return math.isfinite(number) and minimum <= number <= maximum, number

    return check


def _checks(schema: Schema) -> dict[str, Callable[[Any], tuple[bool, Any]]]:
    checks: dict[str, Callable[[Any], tuple[bool, Any]]] = {
        schema.record_id: _check_id, schema.key: _check_id, schema.event_time: _check_time,
    }  # fmt: skip
    for column in schema.fields:
        low = -math.inf if column.minimum is None else column.minimum
        high = math.inf if column.maximum is None else column.maximum
        checks[column.name] = _check_category if column.kind is Kind.NOMINAL else _check_number(low, high)
    return checks


_CHECKS = _checks(SCHEMA)


def batches(values: Iterator[bytes | None], records: int) -> Iterator[list[bytes | None]]:
    """Large batches, which nearly always hold a bad value, and single values, which the codec may take in one go."""
    sizes = cycle([1] * 20 + [480])
    while batch := list(islice(values, min(next(sizes), records))):
        records -= len(batch)
        yield batch


def small_model() -> ServedModel:
    """Forty trees on every feature, as a trainer would export them."""
    parameters = Parameters(many=replace(MANY_ROWS, max_iter=40), few_below=1_000)
    return ServedModel.load(to_onnx(fit(make_rows(SCHEMA), None, CANDIDATES[0], recipe_for(SCHEMA), parameters)))


def expected_columns(fields: list[dict[str, Any]]) -> tuple[list[str], list[str], list[int], Floats, list[list[Any]]]:
    """What the codec's columns must hold for accepted records."""
    numeric = np.array([[row[f.name] for f in SCHEMA.numeric] for row in fields], dtype=np.float64)
    return (
        [row[SCHEMA.record_id] for row in fields],
        [row[SCHEMA.key] for row in fields],
        [row[SCHEMA.event_time] for row in fields],
        numeric.reshape(len(fields), len(SCHEMA.numeric)),
        [[row[f.name] for row in fields] for f in SCHEMA.nominal],
    )


def check_batch(values: list[bytes | None], codec: Codec, model: Predictor) -> tuple[int, dict[Reason, int]]:
    """Score one batch and compare every position with the oracle; how many were accepted, and rejects by reason."""
    scored = score(values, codec, model)
    positions, rejects = scored.decoded.positions, scored.rejects
    assert sorted(positions + [reject.position for reject in rejects]) == list(range(len(values)))
    assert positions == sorted(positions)
    assert len(scored.predictions) == len(positions) == len(scored.decoded.columns)
    assert np.isfinite(scored.predictions).all()
    counts: dict[Reason, int] = {}
    for reject in rejects:
        counts[reject.reason] = counts.get(reject.reason, 0) + 1
        expected = verdict(values[reject.position])
        right = {Reason.NOT_FINITE} if not expected.reasons else expected.reasons
        assert reject.reason in right, (reject, expected.reasons, values[reject.position])
        assert reject.message
    fields = []
    for position in positions:
        expected = verdict(values[position])
        assert not expected.reasons, (expected.reasons, values[position])
        fields.append(expected.fields)
    _same(scored.decoded.columns, fields, [values[position] for position in positions])
    return len(positions), counts


def _same(columns: Columns, fields: list[dict[str, Any]], values: list[bytes | None]) -> None:
    ids, keys, times, numeric, nominal = expected_columns(fields)
    assert columns.record_ids == ids
    assert columns.keys == keys
    assert columns.event_times.tolist() == times
    assert columns.nominal == nominal
    different = np.argwhere(columns.numeric.view(np.int64) != numeric.view(np.int64))
    # Whatever a NaN's bits are; minus zero and zero differ.
    different = [at for at in different.tolist() if not (np.isnan(columns.numeric[*at]) and np.isnan(numeric[*at]))]
    assert not different, [(columns.numeric[*at], numeric[*at], values[at[0]]) for at in different[:3]]

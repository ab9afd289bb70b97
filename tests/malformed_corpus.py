"""Values as a topic may hold them: `BAD` with the reason each must get, `GOOD_ENOUGH` that look wrong and are right.

What is right, where it could be argued:

- JSON is RFC 8259, whole: a byte order mark, a second value, or anything else that Python's parser lets through on top
  (NaN, lone surrogates) is refused, in fields the schema does not know too, because the bytes are embedded verbatim.
- A number beyond a double's range is refused where the schema reads it; in a field it does not know it is data: the
  grammar allows it, and no reader of the known fields meets it.
- Times are integers: `1.7e12` is refused, because a sender that writes times as floats loses milliseconds one day.
- Doubled keys: the last one counts, as for nearly every reader, and each must have the right type.
- NUL and other control characters in an id are legal when escaped; they are only text.
"""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Iterator

import msgspec

from longshore.codec import MAX_EVENT_TIME, MAX_RECORD_BYTES, Reason

GOOD = {
    "record_id": "r1", "district_id": "d1", "event_time": 1_700_000_000_000, "longitude": -122.2, "latitude": 37.8,
    "housing_median_age": 41.0, "total_rooms": 880.0, "total_bedrooms": 129.0, "population": 322.0,
    "households": 126.0, "median_income": 8.3252, "ocean_proximity": "NEAR BAY",
}  # fmt: skip


def record(**changes: object) -> bytes:
    return json.dumps(GOOD | changes).encode()


def without(*names: str) -> bytes:
    return json.dumps({key: value for key, value in GOOD.items() if key not in names}).encode()


def rooms(literal: bytes) -> bytes:
    """A record whose `total_rooms` is written like this."""
    return record().replace(b"880.0", literal)


def time(literal: bytes) -> bytes:
    return record().replace(b"1700000000000", literal)


def category(literal: bytes) -> bytes:
    return record().replace(b'"NEAR BAY"', literal)


def identity(literal: bytes) -> bytes:
    return record().replace(b'"r1"', literal)


def extra(literal: bytes) -> bytes:
    """A record with a field the schema does not know."""
    return record()[:-1] + b', "x": ' + literal + b"}"


def before(text: bytes, *, past: int = 0) -> bytes:
    """A record that ends where `text` begins (or `past` bytes later)."""
    return record()[: record().index(text) + past]


_NOT_JSON, _INVALID, _UTF8 = Reason.NOT_JSON, Reason.INVALID, Reason.NOT_UTF8

_TRUNCATED: dict[str, tuple[bytes, Reason]] = {
    "truncated": (record()[:-7], _NOT_JSON),
    "truncated after the first bracket": (record()[:1], _NOT_JSON),
    "truncated in a key": (before(b"event_time", past=4), _NOT_JSON),
    "truncated after a key": (before(b": -122.2"), _NOT_JSON),
    "truncated after a colon": (before(b"-122.2"), _NOT_JSON),
    "truncated in a number": (before(b"-122.2", past=1), _NOT_JSON),
    "truncated after a point": (before(b"22.2", past=3), _NOT_JSON),
    "truncated after a value": (before(b', "latitude"'), _NOT_JSON),
    "truncated after a comma": (before(b' "latitude"'), _NOT_JSON),
    "truncated in a text": (before(b"BAY", past=2), _NOT_JSON),
    "truncated in an escape": (before(b"NEAR BAY") + rb"NEAR\u00", _NOT_JSON),
    "truncated before the last bracket": (record()[:-1], _NOT_JSON),
    "truncated in a literal": (record()[:-1] + b', "x": tru', _NOT_JSON),
    "truncated in a character": (before(b"NEAR BAY") + "NEAR é".encode()[:-1], _UTF8),
    "half of a record": (record()[1:], _INVALID),
}

_ENCODINGS: dict[str, tuple[bytes, Reason]] = {
    "byte order mark": (b"\xef\xbb\xbf" + record(), _NOT_JSON),
    "utf-16": (record().decode().encode("utf-16"), _UTF8),
    "utf-16 without a mark": (record().decode().encode("utf-16-le"), _NOT_JSON),
    "utf-32": (record().decode().encode("utf-32"), _UTF8),
    "latin-1 in an unknown field": (extra(b'"caf\xe9"'), _UTF8),
    "latin-1 in a category": (category(b'"caf\xe9"'), _UTF8),
    "overlong utf-8": (extra(b'"\xc0\xaf"'), _UTF8),
    "an overlong NUL": (identity(b'"r\xc0\x80"'), _UTF8),
    "a raw surrogate": (extra(b'"\xed\xa0\x80"'), _UTF8),
    "beyond Unicode": (extra(b'"\xf4\x90\x80\x80"'), _UTF8),
    "a lone continuation byte": (record() + b"\x80", _UTF8),
    "an escaped high surrogate alone": (identity(rb'"\ud800"'), _NOT_JSON),
    "an escaped low surrogate alone": (category(rb'"\udc00"'), _NOT_JSON),
    "a lone surrogate in an unknown field": (extra(rb'"\ud800"'), _NOT_JSON),
    "a lone surrogate in an unknown key": (record()[:-1] + rb', "\udfff": 1}', _NOT_JSON),
    "a high surrogate before a letter": (extra(rb'"\ud800\u0041"'), _NOT_JSON),
}

_OTHER_FORMATS: dict[str, tuple[bytes | None, Reason]] = {
    "tombstone": (None, Reason.EMPTY),
    "empty": (b"", Reason.EMPTY),
    "whitespace": (b" \r\n\t ", _NOT_JSON),
    "one NUL": (b"\x00", _NOT_JSON),
    "text": (b"hello", _NOT_JSON),
    "csv line": (b"-122.2,37.8,41,880,129,322,126,8.3,NEAR BAY", _INVALID),
    "csv line with a text first": (b"NEAR BAY,-122.2,37.8", _NOT_JSON),
    "an HTML error page": (b"<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>", _NOT_JSON),
    "XML": (b'<?xml version="1.0"?><record id="r1"/>', _NOT_JSON),
    "YAML": (b"record_id: r1\ndistrict_id: d1\n", _NOT_JSON),
    "a URL-encoded form": (b"record_id=r1&district_id=d1&event_time=1", _NOT_JSON),
    "a stack trace": (b"Traceback (most recent call last):\n  File", _NOT_JSON),
    "Python's repr": (repr(GOOD | {"x": None}).encode(), _NOT_JSON),
    "single quotes": (record().replace(b'"', b"'"), _NOT_JSON),
    "keys without quotes": (record().replace(b'"record_id"', b"record_id"), _NOT_JSON),
    "base64": (b"eyJyZWNvcmRfaWQiOiAicjEifQ==", _NOT_JSON),
    "a registry's magic byte and schema id": (b"\x00" + struct.pack(">I", 42) + record(), _NOT_JSON),
    "avro": (b"\x00\x00\x00\x00\x2a\x04r1\x04d1\x80\xd0\x95\xff\xbcbR\xb8\x1e\x85\xebQ\xb8^\xc0", _UTF8),
    "gzip": (gzip.compress(record(), mtime=0), _UTF8),
    "protobuf": (b"\x0a\x02r1\x12\x02d1\x18\x80\xd0\x95\xff\xbc\x31\x21\x00\x00\x00\x00\x00\x00^\xc0", _UTF8),
    "msgpack": (msgspec.msgpack.encode(GOOD), _UTF8),
    "a JSON text of JSON": (json.dumps(record().decode()).encode(), _INVALID),
    "a record in an envelope": (b'{"payload": ' + record() + b"}", _INVALID),
}

_STRUCTURE: dict[str, tuple[bytes, Reason]] = {
    "array": (b"[1,2]", _INVALID),
    "a record in an array": (b"[" + record() + b"]", _INVALID),
    "number": (b"17", _INVALID),
    "string": (b'"record"', _INVALID),
    "null": (b"null", _INVALID),
    "true": (b"true", _INVALID),
    "an empty object": (b"{}", _INVALID),
    "two records in one value": (record() + record(), _NOT_JSON),
    "two records on two lines": (record() + b"\n" + record(), _NOT_JSON),
    "trailing comma": (record()[:-1] + b",}", _NOT_JSON),
    "trailing text": (record() + b" end", _NOT_JSON),
    "trailing NUL": (record() + b"\x00", _NOT_JSON),
    "trailing form feed": (record() + b"\x0c", _NOT_JSON),
    "a comment": (b"/* v1 */ " + record(), _NOT_JSON),
    "a comment inside": (record().replace(b"{", b"{ // first\n", 1), _NOT_JSON),
    "a missing comma": (record().replace(b', "latitude"', b' "latitude"'), _NOT_JSON),
    "a missing colon": (record().replace(b'"latitude":', b'"latitude"'), _NOT_JSON),
    "a doubled comma": (record().replace(b", ", b",, ", 1), _NOT_JSON),
    "a key that is a number": (record()[:-1] + b", 1: 2}", _NOT_JSON),
    "brackets that do not match": (extra(b"[1}"), _NOT_JSON),
    "a no-break space": ("\u00a0".encode() + record(), _NOT_JSON),
    "nested too deeply": (extra(b"[" * 50_000 + b"]" * 50_000), _NOT_JSON),
    "100,000 open brackets": (b"[" * 100_000, _NOT_JSON),
    "100,000 open brackets in a field": (record()[:-1] + b', "x": ' + b"[" * 100_000, _NOT_JSON),
    "100,000 open objects": (b'{"a":' * 100_000, _NOT_JSON),
    "a raw control character": (extra(b'"a\x01b"'), _NOT_JSON),
    "a raw line end in a text": (category(b'"NEAR\nBAY"'), _NOT_JSON),
    "a raw tab in an unknown key": (record()[:-1] + b', "a\tb": 1}', _NOT_JSON),
    "a raw NUL in an id": (identity(b'"r\x001"'), _NOT_JSON),
    "an unknown escape": (category(rb'"\x4e"'), _NOT_JSON),
    "an unknown escape in an unknown field": (extra(rb'"\q"'), _NOT_JSON),
    "an escape without digits": (extra(rb'"\u00g0"'), _NOT_JSON),
    "too large": (record(note="x" * MAX_RECORD_BYTES), Reason.TOO_LARGE),
    "too large and not JSON": (b"x" * (MAX_RECORD_BYTES + 1), Reason.TOO_LARGE),
}

_NUMBERS: dict[str, tuple[bytes, Reason]] = {
    "NaN": (record(median_income=float("nan")), _NOT_JSON),
    "Infinity": (record(median_income=float("inf")), _NOT_JSON),
    "-Infinity": (record(median_income=float("-inf")), _NOT_JSON),
    "NaN in an unknown field": (extra(b"NaN"), _NOT_JSON),
    "-Infinity in an unknown list": (extra(b"[1, -Infinity]"), _NOT_JSON),
    "infinite by size": (rooms(b"1e999"), _INVALID),
    "infinite by digits": (rooms(b"9" * 400), _INVALID),
    "minus infinite by size": (rooms(b"-1e400"), _INVALID),
    "a leading zero": (rooms(b"0880"), _NOT_JSON),
    "a leading zero in an unknown field": (extra(b"01"), _NOT_JSON),
    "a plus": (rooms(b"+1"), _NOT_JSON),
    "a minus alone": (rooms(b"-"), _NOT_JSON),
    "a point at the end": (rooms(b"880."), _NOT_JSON),
    "a point first": (rooms(b".5"), _NOT_JSON),
    "an exponent without digits": (rooms(b"88e+"), _NOT_JSON),
    "hexadecimal": (rooms(b"0x370"), _NOT_JSON),
    "digits in groups": (rooms(b"1_000"), _NOT_JSON),
    "a decimal comma": (rooms(b"880,5"), _NOT_JSON),
    "another alphabet's digits": (rooms("٨٨٠".encode()), _NOT_JSON),
    "text for a number": (record(total_rooms="880"), _INVALID),
    "an empty text for a number": (record(total_rooms=""), _INVALID),
    "boolean for a number": (record(total_rooms=True), _INVALID),
    "list for a number": (record(total_rooms=[880]), _INVALID),
    "object for a number": (record(total_rooms={"value": 880}), _INVALID),
    "latitude out of bounds": (record(latitude=90.01), _INVALID),
    "latitude below its bounds": (record(latitude=-90.000001), _INVALID),
    "longitude out of bounds": (record(longitude=-180.5), _INVALID),
    "longitude far out of bounds": (record(longitude=1e300), _INVALID),
}

_FIELDS: dict[str, tuple[bytes, Reason]] = {
    "number for a category": (record(ocean_proximity=3), _INVALID),
    "list for a category": (record(ocean_proximity=["INLAND"]), _INVALID),
    "boolean for a category": (record(ocean_proximity=False), _INVALID),
    "no record_id": (without("record_id"), _INVALID),
    "null record_id": (record(record_id=None), _INVALID),
    "empty record_id": (record(record_id=""), _INVALID),
    "number for record_id": (record(record_id=7), _INVALID),
    "record_id of 1,001 characters": (record(record_id="x" * 1_001), _INVALID),
    "record_id of 1,001 wide characters": (record(record_id="𝄞" * 1_001), _INVALID),
    "no key": (without("district_id"), _INVALID),
    "null key": (record(district_id=None), _INVALID),
    "empty key": (record(district_id=""), _INVALID),
    "object for the key": (record(district_id={}), _INVALID),
    "names in capitals": (record().upper(), _INVALID),
    "no event_time": (without("event_time"), _INVALID),
    "null event_time": (record(event_time=None), _INVALID),
    "event_time as text": (record(event_time="2026-01-01"), _INVALID),
    "event_time as digits in a text": (record(event_time="1700000000000"), _INVALID),
    "event_time with a fraction": (record(event_time=1.5), _INVALID),
    "event_time as a whole float": (time(b"1700000000000.0"), _INVALID),
    "event_time with an exponent": (time(b"1.7e12"), _INVALID),
    "boolean event_time": (record(event_time=True), _INVALID),
    "negative event_time": (record(event_time=-1), _INVALID),
    "event_time beyond all years": (record(event_time=10**18), _INVALID),
    "event_time one after the last": (record(event_time=MAX_EVENT_TIME + 1), _INVALID),
    "event_time beyond 64 bits": (record(event_time=2**64), _INVALID),
    "event_time of a thousand digits": (time(b"1" + b"0" * 1_000), _INVALID),
    "a doubled field, the first one wrong": (b'{"total_rooms": "x", ' + record()[1:], _INVALID),
    "a doubled field, the last one wrong": (record()[:-1] + b', "total_rooms": "x"}', _INVALID),
}

BAD: dict[str, tuple[bytes | None, Reason]] = {
    **_TRUNCATED,
    **_ENCODINGS,
    **_OTHER_FORMATS,
    **_STRUCTURE,
    **_NUMBERS,
    **_FIELDS,
}


def _good_enough() -> Iterator[tuple[str, bytes, dict[str, object]]]:
    """Name, value, and what its decoded fields must be beside `GOOD`'s."""
    yield "an unknown category", record(ocean_proximity="LAKESIDE"), {"ocean_proximity": "LAKESIDE"}
    yield "an empty category", record(ocean_proximity=""), {"ocean_proximity": ""}
    yield "a null category", record(ocean_proximity=None), {"ocean_proximity": None}
    yield "null for a number", record(total_bedrooms=None), {"total_bedrooms": None}
    yield "no features", record(**dict.fromkeys(FEATURES)), dict.fromkeys(FEATURES)
    yield "only what must be there", without(*FEATURES), dict.fromkeys(FEATURES)
    yield "unknown fields", record(a=None, b=[1, {"c": "é"}], c={"": {}}), {}
    yield "a field of the prediction's name", record(prediction=7, source="x"), {}
    yield "a unicode id", record(record_id="räum-Ω-𝄞-東京"), {"record_id": "räum-Ω-𝄞-東京"}
    yield "an escaped pair of surrogates", identity(rb'"\ud834\udd1e"'), {"record_id": "𝄞"}
    yield "an escaped NUL in an id", identity(rb'"r\u00001"'), {"record_id": "r\x001"}
    yield "a DEL in an id", identity(b'"r\x7f"'), {"record_id": "r\x7f"}
    yield "an id of 1,000 wide characters", record(record_id="𝄞" * 1_000), {"record_id": "𝄞" * 1_000}
    yield "all short escapes", category(rb'"\"\\\/\b\f\n\r\t"'), {"ocean_proximity": '"\\/\b\f\n\r\t'}
    yield "an escaped field name", record().replace(b"total_rooms", rb"total\u005frooms"), {}
    yield "line separators of Unicode", extra('"\u2028\u2029\ufeff"'.encode()), {}
    yield "an exponent", rooms(b"8.8e2"), {}
    yield "an exponent in capitals", rooms(b"88E+01"), {}
    yield "an integer for a number", rooms(b"880"), {}
    yield "minus zero", rooms(b"-0.0"), {"total_rooms": -0.0}
    yield "minus zero as an integer", rooms(b"-0"), {"total_rooms": 0.0}
    yield "a huge integer as a float", rooms(b"9" * 30), {"total_rooms": 1e30}
    yield "an integer beyond 53 bits", rooms(b"9007199254740993"), {"total_rooms": 9007199254740992.0}
    yield "an integer beyond 64 bits", rooms(b"18446744073709551617"), {"total_rooms": 2.0**64}
    yield "the largest double", rooms(b"1.7976931348623157e308"), {"total_rooms": 1.7976931348623157e308}
    yield "the smallest double", rooms(b"5e-324"), {"total_rooms": 5e-324}
    yield "smaller than any double", rooms(b"1e-400"), {"total_rooms": 0.0}
    yield "a number of 5,000 digits", rooms(b"880." + b"0" * 5_000), {}
    yield "a number half way between two", rooms(b"1.00000000000000011102230246251565"), {"total_rooms": 1.0}
    yield "an infinite number nobody reads", extra(b"1e400"), {}
    yield "latitude at its bound", record(latitude=90), {"latitude": 90.0}
    yield "longitude at its bound", record(longitude=-180), {"longitude": -180.0}
    yield "time zero", time(b"0"), {"event_time": 0}
    yield "time minus zero", time(b"-0"), {"event_time": 0}
    yield "the last time", time(str(MAX_EVENT_TIME).encode()), {"event_time": MAX_EVENT_TIME}
    yield "a doubled field", record()[:-1] + b', "total_rooms": 5}', {"total_rooms": 5.0}
    yield "a doubled field, the last one null", record()[:-1] + b', "total_rooms": null}', {"total_rooms": None}
    yield "a doubled unknown field", extra(b'{"a": 1, "a": 2}'), {}
    yield "whitespace around", b" \r\n\t" + record() + b"\n \t\r", {}
    yield "whitespace everywhere", json.dumps(GOOD, indent=4).replace('": ', '"\t:\r\n').encode(), {}
    yield "no whitespace", msgspec.json.encode(GOOD), {}
    yield "fields in another order", json.dumps(dict(reversed(GOOD.items()))).encode(), {}
    yield "nested, not too deeply", extra(b"[" * 60 + b"]" * 60), {}
    yield "as large as allowed", _padded(MAX_RECORD_BYTES), {}


def _padded(size: int) -> bytes:
    return extra(b'"' + b"x" * (size - len(extra(b'""'))) + b'"')


FEATURES = [name for name in GOOD if name not in ("record_id", "district_id", "event_time")]

GOOD_ENOUGH: dict[str, tuple[bytes, dict[str, object]]] = {
    name: (value, GOOD | fields) for name, value, fields in _good_enough()
}

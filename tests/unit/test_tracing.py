"""A trace's pure part: what may be asked, how messages are recognised, whose reign and which events are a record's."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from tests.memory_stream import Record

from longshore.cli.trace_text import clean, span, when
from longshore.cli.trace_view import lines
from longshore.config import Settings
from longshore.errors import ConfigurationError
from longshore.partitioner import murmur2, partition_of
from longshore.records import DriftEvent, ModelEventKind, Moved, Source, Window
from longshore.registry import AliasRecord, Registry
from longshore.schema import districts
from longshore.stream import Message
from longshore.tracing import matching
from longshore.tracing.asked import at, coordinates, moment
from longshore.tracing.collect import Collector
from longshore.tracing.drift import Told, drift_of
from longshore.tracing.lineage import generation_at, lineage, reigns
from longshore.tracing.matching import Look, Looker
from longshore.tracing.reading import READ_LIMIT, At, Stretch
from longshore.tracing.trace import Envelope, Searched, Status, trace_context

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
SOURCE = Source("p.districts", 2, 7)
NAMES = {"topic": "p.districts", "prefix": "p."}


def message(
    value: Any = None,
    *,
    topic: str = "t",
    partition: int = 0,
    offset: int = 0,
    key: bytes | None = None,
    headers: list[tuple[str, bytes]] | None = None,
    time: int = 1_000,
) -> Record:
    data = value if isinstance(value, bytes | None) else json.dumps(value).encode()
    return Record(topic, partition, offset, key, data, headers, time)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_keys_lead_where_java_clients_send_them(key: bytes, expected: int) -> None:
    assert murmur2(key) == expected & 0xFFFFFFFF
    assert partition_of(key, 7) == (expected & 0x7FFFFFFF) % 7


@pytest.mark.parametrize("text", ["districts/2/7", "p.districts/2/7", " p.districts:2:7 "])
def test_coordinates_name_the_topic_with_or_without_its_prefix(text: str) -> None:
    assert coordinates(text, **NAMES) == SOURCE
    assert at(None, 2, 7, **NAMES) == SOURCE


@pytest.mark.parametrize(
    "text", ["", "districts/2", "districts/2/-7", "predictions/2/7", "p.p.districts/2/7", "districts/2/7/1"]
)
def test_other_coordinates_are_refused_with_the_mend(text: str) -> None:
    with pytest.raises(ConfigurationError):
        coordinates(text, **NAMES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-23T02:00:00Z", "2026-11-23T02:00"),
        ("2026-11-23T02:00", "2026-11-23T02:00"),
        ("2026-11-23T03:00+01:00", "2026-11-23T02:00"),
        ("2026-11-23", "2026-11-23T00:00"),
        ("1h", "2026-11-23T02:00"),
        ("90m ago", "2026-11-23T01:30"),
        ("1.5h", "2026-11-23T01:30"),
        ("1763863200000", "2025-11-23T02:00"),
    ],
)
def test_times_are_iso_in_utc_or_ms_or_how_long_ago(text: str, expected: str) -> None:
    assert moment(text, now=NOW) == datetime.fromisoformat(expected).replace(tzinfo=UTC).timestamp() * 1_000


@pytest.mark.parametrize("text", ["", "yesterday", "25:00", "1y", "99999999d", "2026-13-01"])
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        moment(text, now=NOW)


def predicted(offset: int, partition: int = 2, topic: str = "p.districts") -> Record:
    return message({"source": {"topic": topic, "partition": partition, "offset": offset}})


def test_a_prediction_is_known_by_its_source_and_the_search_ends_behind_it() -> None:
    look = matching.prediction_of(SOURCE)
    assert look(predicted(7)) is Look.FOUND
    assert look(predicted(6)) is Look.GO_ON
    assert look(predicted(8)) is Look.PASSED
    assert look(predicted(8, partition=1)) is Look.GO_ON
    assert look(predicted(7, topic="districts")) is Look.GO_ON
    assert [look(message(value)) for value in (None, b"", b"{", b"\xff", {"source": 7})] == [Look.GO_ON] * 5


def connect(topic: str = "p.districts", partition: int = 2, offset: int = 7) -> list[tuple[str, bytes]]:
    context = {"topic": topic, "partition": str(partition), "offset": str(offset)}
    return [(f"__connect.errors.{name}", text.encode()) for name, text in context.items()]


def test_a_dead_letter_is_known_by_its_headers() -> None:
    original = message(b"bad", topic="p.districts", partition=2, offset=7)
    look = matching.dead_letter_of(SOURCE, original)
    assert look(message(b"bad", headers=connect())) is Look.FOUND
    assert look(message(b"bad", headers=connect(offset=8))) is Look.GO_ON
    assert look(message(b"bad", headers=connect(partition=1))) is Look.GO_ON
    assert look(message(b"bad", headers=None)) is Look.GO_ON


def test_a_dead_letter_of_a_record_that_brought_such_headers_is_known_by_its_bytes() -> None:
    own = connect(topic="elsewhere", offset=99)
    original = message(b"bad", headers=own, key=b"k", offset=7)
    look = matching.dead_letter_of(SOURCE, original)
    assert look(message(b"bad", headers=[*own, ("more", b"")], key=b"k")) is Look.FOUND
    assert look(message(b"other", headers=own, key=b"k")) is Look.GO_ON
    assert look(message(b"bad", headers=own, key=b"k", time=2_000)) is Look.GO_ON


def test_ids_are_compared_as_json_and_broken_records_by_their_text() -> None:
    look = matching.record_with("ré 1")
    assert look(message(b'{"record_id": "r\\u00e9 1"}')) is Look.FOUND
    assert look(message({"record_id": "ré 10"})) is Look.GO_ON
    assert look(message({"other": "ré 1"})) is Look.FOUND, "a record without its id field is broken too"
    assert look(message('{"record_id":"ré 1",'.encode())) is Look.FOUND
    assert look(message('{"record_id":"ré 10",'.encode())) is Look.GO_ON
    assert matching.labelled("ré 1")(message('{"record_id":"ré 1",'.encode())) is Look.GO_ON


def test_the_identity_is_told_as_far_as_it_can_be_read() -> None:
    whole = {"record_id": "r", "district_id": "d", "event_time": 5}
    assert matching.identity(json.dumps(whole).encode(), districts()).event_time == 5
    odd = matching.identity(json.dumps(whole | {"record_id": 1, "event_time": True}).encode(), districts())
    assert (odd.record_id, odd.entity, odd.event_time) == (None, "d", None)
    for value in (None, b"", b"[1]", b"{", b"\xff", b"[" * 100_000):
        assert matching.identity(value, districts()).record_id is None


def history(*steps: tuple[str, int]) -> list[AliasRecord]:
    return [
        AliasRecord(
            alias="champion", model="m", version=version, generation=number, trigger_id=f"t{number}", actor="a",
            kind=ModelEventKind.PROMOTED, reason=f"r{number}", time=time,
        )
        for number, (version, time) in enumerate(steps, 1)
    ]  # fmt: skip


MOVES = history(("v1", 100), ("v2", 200), ("v1", 300))


def test_a_version_may_reign_twice() -> None:
    first, second = reigns(MOVES, "v1")
    assert (first.since, first.until, first.generation) == (100, 200, 1)
    assert first.ended_by is not None
    assert (first.ended_by["version"], first.ended_by["reason"]) == ("v2", "r2")
    assert (second.since, second.until, second.ended_by) == (300, None, None)
    assert reigns(MOVES, "v9") == []


@pytest.mark.parametrize(
    ("version", "time", "expected"), [("v1", 150, 1), ("v1", 250, 1), ("v1", 300, 3), ("v2", 199, 2), ("v9", 1, None)]
)
def test_the_generation_is_the_versions_own_at_that_time(version: str, time: int, expected: int | None) -> None:
    """v1 at 250 had not heard of v2 yet; v2 at 199 scored by a clock that is behind."""
    assert generation_at(MOVES, version, time) == expected


def test_a_scorer_behind_the_registry_is_told() -> None:
    model = lineage("m", "v1", {"files": {"model.onnx": {"sha256": "ab"}}}, MOVES, scored_at=250)
    assert (model.generation, model.champion_then) == (1, {"version": "v2", "generation": 2})
    assert (model.sha256, model.dataset, model.request) == ("ab", {}, None)


def event(kind: str, start: int, end: int, *, version: str = "v1", state: str = "ok") -> DriftEvent:
    return DriftEvent(
        kind=kind, cause="", stream_set="default", model_version=version, generation=1, window=Window(start, end, 9),
        window_index=start, status="final", state=state, episode="", p_value=0.5, thresholds={},
        streams=[Moved("x", "numeric", False, 0.5, 0, 0, 0, 0, None, 0)],
    )  # fmt: skip


def test_what_was_known_then_is_not_what_was_found_out_later() -> None:
    told = [
        Told(event("verdict", 0, 10), 1_000),
        Told(event("verdict", 10, 20, state="warning"), 2_000),
        Told(event("verdict", 20, 30, state="alarm"), 3_000),
        Told(event("alert", 20, 30, state="alarm"), 3_000),
        Told(event("verdict", 30, 40, state="retraining"), 4_000),
    ]
    found = drift_of(told, scored_at=2_500, event_time=25, version="v1")
    assert found is not None and found.known is not None and found.verdict is not None
    assert (found.known.state, found.known_at) == ("warning", 2_000)
    assert (found.verdict.state, found.covers, found.alert) == ("alarm", True, told[3].event)
    late = drift_of(told, scored_at=9_000, event_time=95, version="v1")
    assert late is not None and late.verdict is not None
    assert (late.verdict.state, late.covers, late.alert) == ("retraining", False, None)
    early = drift_of(told, scored_at=500, event_time=5, version="v1")
    assert early is not None and early.known is None
    assert drift_of([], scored_at=1, event_time=1, version="v1") is None


def test_the_window_of_the_version_that_scored_is_preferred() -> None:
    told = [Told(event("verdict", 0, 10, version=version), 1) for version in ("v1", "v2")]
    found = drift_of(told, scored_at=1, event_time=5, version="v2")
    assert found is not None and found.verdict is not None
    assert found.verdict.model_version == "v2"


@pytest.mark.parametrize(
    ("header", "valid"),
    [
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", True),
        ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", True),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", False),
        ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", False),
        ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", False),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", False),
        ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", False),
        ("nonsense", False),
    ],
)
def test_a_traceparent_is_valid_by_the_recommendations_rules(header: str, valid: bool) -> None:
    found = trace_context([("other", b"x"), ("traceparent", header.encode())])
    assert found is not None
    assert (found.header, found.trace_id is not None, found.sampled) == (header, valid, True if valid else None)


def test_no_traceparent_is_none() -> None:
    assert trace_context(None) is trace_context([("other", b"x")]) is None


class Memory:
    """A finder over lists of records; notes every stretch it was asked for."""

    def __init__(self, topics: dict[str, list[Record]], *, partitions: int = 1, committed: int | None = None) -> None:
        self.topics, self.count = topics, partitions
        self.committed_to = committed
        self.stretches: list[Stretch] = []

    def partitions(self, topic: str) -> int:
        return self.count if topic in self.topics else 0

    def at(self, source: Source) -> At:
        found = [
            r for r in self.topics[source.topic] if (r.partition(), r.offset()) == (source.partition, source.offset)
        ]
        return At(None if found else Status.EXPIRED, found[0] if found else None, 0, 100)

    def offset_at(self, topic: str, partition: int, time_ms: int) -> int:
        return next((r.offset() for r in self._of(topic, partition) if r.timestamp()[1] >= time_ms), 100)

    def search(self, stretch: Stretch, look: Looker) -> tuple[list[Message], Searched]:
        self.stretches.append(stretch)
        found: list[Message] = []
        for record in self._of(stretch.topic, stretch.partition):
            state = look(record)
            found += [record] if state is Look.FOUND else []
            if state is Look.PASSED:
                break
        return found[: stretch.matches], Searched(
            what=stretch.what, topic=stretch.topic, partition=stretch.partition, start=0, stop=1, records=1,
            complete=stretch.limit is None,
        )  # fmt: skip

    def committed(self, group: str, topic: str) -> dict[int, int]:
        return {} if self.committed_to is None else dict.fromkeys(range(self.count), self.committed_to)

    def _of(self, topic: str, partition: int) -> list[Record]:
        return [record for record in self.topics.get(topic, []) if record.partition() == partition]


@pytest.fixture
def collector(tmp_path: Any) -> Callable[..., Collector]:
    def make(finder: Memory, *, everything: bool = False) -> Collector:
        registry = Registry.open(str(tmp_path / "registry"), "m")
        return Collector(Settings(topic_prefix="p."), districts(), finder, registry, everything)

    return make


def test_before_the_group_has_passed_only_the_likely_partition_is_searched(collector: Callable[..., Collector]) -> None:
    record = message({"record_id": "r"}, topic="p.districts", partition=2, offset=7, key=b"k", time=900_000)
    topics = {"p.districts": [record], "p.predictions": [], "p.districts.dlq": []}
    for committed, status, everywhere in ((7, Status.NOT_SCORED_YET, 1), (8, Status.NO_OUTCOME_FOUND, 1 + 4)):
        finder = Memory(topics, partitions=4, committed=committed)
        assert collector(finder).trace(SOURCE).status is status
        searched = [s.partition for s in finder.stretches if s.topic == "p.predictions"]
        assert (searched[0], len(searched)) == (partition_of(b"k", 4), everywhere)
        assert [s.since_ms for s in finder.stretches if s.topic == "p.predictions"][:2] == [895_000, 300_000][
            :everywhere
        ]
        assert {s.limit for s in finder.stretches} == {READ_LIMIT}


def test_everything_lifts_the_bounds(collector: Callable[..., Collector]) -> None:
    record = message({"record_id": "r"}, topic="p.districts", partition=0, offset=7, key=b"k")
    finder = Memory({"p.districts": [record], "p.predictions": [], "p.districts.dlq": []}, committed=9)
    found = collector(finder, everything=True).trace(replace_source(partition=0))
    assert found.status is Status.NO_OUTCOME_FOUND
    assert {(s.since_ms, s.limit) for s in finder.stretches} == {(None, None)}


def replace_source(**given: Any) -> Source:
    return msgspec.structs.replace(SOURCE, **given)


def test_a_search_cut_short_is_told(collector: Callable[..., Collector]) -> None:
    record = message({"record_id": "r"}, topic="p.districts", partition=0, offset=7, key=b"k")
    finder = Memory({"p.districts": [record], "p.predictions": [], "p.districts.dlq": []}, committed=9)
    found = collector(finder).trace(replace_source(partition=0))
    assert any("--everything" in note for note in found.notes)


def test_a_version_the_registry_does_not_have_is_told_and_the_rest_is_there(
    collector: Callable[..., Collector],
) -> None:
    value = {
        "record_id": "r", "district_id": "d", "event_time": 5, "scored_at": 2_000, "prediction": 1.5,
        "model_version": "v9", "route": "champion", "source": {"topic": "p.districts", "partition": 0, "offset": 7},
        "record": {"record_id": "r"},
    }  # fmt: skip
    finder = Memory({"p.districts": [], "p.predictions": [message(value, topic="p.predictions", key=b"k")]})
    found = collector(finder).trace(replace_source(partition=0))
    assert found.status is Status.SCORED, "the record is gone, its prediction is not"
    assert found.input is not None and found.input.value is not None
    assert (found.input.value.data, found.input.timestamp) == ('{"record_id": "r"}', None)
    assert found.model is not None
    assert "v9" in found.model.problem
    assert "unknown" in "\n".join(lines(found))


def test_the_topic_must_be_there(collector: Callable[..., Collector]) -> None:
    with pytest.raises(ConfigurationError, match=r"p\.districts"):
        collector(Memory({})).trace(SOURCE)


def test_bytes_that_are_no_text_stay_what_they_are() -> None:
    envelope = Envelope.of(message(b"\xff\x00", headers=[("h", b"\xfe")]))
    assert envelope.value is not None
    assert (envelope.value.encoding, envelope.value.data, envelope.value.size) == ("base64", "/wA=", 2)


def test_nothing_that_a_terminal_acts_upon_is_shown(collector: Callable[..., Collector]) -> None:
    evil = "\x1b[2J\r\n\x07\x9b31m\u202e\u2028"
    headers = [(evil, evil.encode())]
    record = message({"record_id": evil}, topic="p.districts", offset=7, key=evil.encode(), headers=headers)
    finder = Memory({"p.districts": [record], "p.predictions": [], "p.districts.dlq": []})
    shown = list(lines(collector(finder).trace(replace_source(partition=0)), 80))
    plain = "\n".join(shown).replace("\x1b[1m", "").replace("\x1b[0m", "").replace("\x1b[31m", "")
    assert not [c for c in plain if c in evil and c not in "[2J\n31m"]
    assert clean("a\x1bé") == "a\\x1bé"


def test_a_record_of_a_megabyte_takes_four_lines() -> None:
    from longshore.cli.trace_text import wrapped

    assert len(list(wrapped("value", "x" * 1_000_000, 100))) == 4


@pytest.mark.parametrize(
    ("ms", "text"),
    [(12, "12 ms"), (-3_400, "-3.4 s"), (125_000, "2 min 5 s"), (7_500_000, "2 h 5 min"), (273_600_000, "3 d 4 h")],
)
def test_spans_read_well(ms: int, text: str) -> None:
    assert span(ms) == text


def test_times_are_utc_with_milliseconds() -> None:
    assert when(1_795_403_655_926) == "2026-11-23 03:14:15.926 UTC"
    assert when(10**18) == f"{10**18} ms"
    assert when(None) == "-"

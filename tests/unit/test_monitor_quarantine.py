"""While data have faults no request goes out, for any cause; afterwards all goes on; a restart changes nothing."""

import msgspec
import pytest
from msgspec.structs import replace
from tests.drift_stream import LATENESS_MS, PANE_MS, STEP_MS, counted, decider, model_event, predictions, rows
from tests.quality_stream import FAULTS, FROM, LABELS, UPTO, story

from longshore.config import Settings
from longshore.errors import ConfigurationError
from longshore.monitor.decide import decide_all
from longshore.monitor.episodes import Phase
from longshore.monitor.messages import Counted, decode, encode
from longshore.monitor.panes import FUTURE_MS
from longshore.monitor.quality.faults import ALL
from longshore.monitor.service_decide import decider_settings
from longshore.monitor.snapshots import load_snapshot
from longshore.schema import districts


def decided(messages, one=None):
    return decide_all(one or decider(), enumerate(messages))


def kinds(events, *left_out):
    return [event.kind for event in events if event.kind not in {"verdict", "era", *left_out}]


@pytest.mark.parametrize("name", FAULTS, ids=lambda name: name[0])
def test_a_fault_is_told_and_over_and_asks_for_nothing(name):
    outputs = decided(story(name))
    assert outputs.requests == []
    told = [event for event in outputs.events if event.kind in ("quality", "quality_over")]
    first, last = told[0], told[-1]
    assert kinds(outputs.events) == [event.kind for event in told], "no alert, no request, nothing else"
    assert [event.kind for event in told].count("quality_over") == 1 and last.kind == "quality_over"
    assert [(fault["kind"], fault["stream"]) for fault in first.detail["faults"]] == [name]
    assert (first.cause, first.status, first.detail["quarantine"]) == ("quality", "final", True)
    assert {event.episode for event in told} == {first.episode} and first.episode
    assert first.window.start <= FROM * STEP_MS + 500 * STEP_MS
    assert UPTO * STEP_MS < last.window.end <= (UPTO + 2_000) * STEP_MS
    alarming = [event for event in outputs.events if event.kind == "verdict" and event.detail["alert"]]
    assert {event.cause for event in alarming} <= {"quality", "covariate"}
    assert "quality" in {event.cause for event in alarming} or name[0] == "duplicates"


def test_without_a_fault_the_same_stream_tells_nothing():
    assert kinds(decided(story(("none", ""))).events) == []


def test_a_drift_that_was_there_before_waits_for_the_end_of_the_fault():
    messages = [story(("typo", "flag"), drift_at=500)[0], *story(("typo", "flag"), drift_at=500)[2:]]
    one = decider()
    events, requests, asked_at = [], [], None
    for offset, message in enumerate(messages):
        outputs = one.apply(2 * offset, message)
        events += outputs.events
        requests += outputs.requests
        if one.quarantine.holds and asked_at is None:
            asked_at = offset
            late = one.apply(2 * offset + 1, LABELS)
            assert late.requests == [] and late.events == [], "labels alone bring no request out of a quarantine"
            assert one.phase is Phase.AWAITING_LABELS
    assert kinds(events) == ["alert", "awaiting_labels", "quality", "quarantined", "quality_over", "retraining"]
    (request,) = requests
    (waiting,) = [event for event in events if event.kind == "quarantined"]
    assert (waiting.cause, waiting.episode, waiting.state) == ("covariate", request.episode, "awaiting_labels")
    assert waiting.detail["faults"][0]["kind"] == "typo"


def test_drift_of_another_stream_is_believed_and_alerts_but_asks_only_afterwards():
    outputs = decided(story(("typo", "flag"), drift_at=2_500))
    assert kinds(outputs.events) == ["quality", "alert", "awaiting_labels", "quarantined", "quality_over", "retraining"]
    (request,) = outputs.requests
    (alert,) = [event for event in outputs.events if event.kind == "alert"]
    assert [stream.name for stream in alert.streams if stream.alert] == ["crew"]
    assert request.episode == alert.episode


@pytest.mark.parametrize("name", [("unit", "cargo"), ("duplicates", ALL)], ids=lambda name: name[0])
def test_a_restart_at_any_point_tells_the_same_and_nothing_twice(name):
    values = story(name, drift_at=1_000)
    expected = decided(values)
    assert "quality_over" in kinds(expected.events)
    for at in range(0, len(values), 3):
        before = decider()
        told = decide_all(before, enumerate(values[:at]))
        snapshot = load_snapshot(before.snapshot())
        after = decider(snapshot)
        for offset in range(snapshot.replay_from, snapshot.offset):
            after.rebuild(offset, values[offset])
        rest = decide_all(after, list(enumerate(values)))
        assert told.events + rest.events == expected.events
        assert told.requests + rest.requests == expected.requests


def test_a_snapshot_from_before_is_read():
    one = decider()
    decided(story(("none", ""))[:8], one)
    older = msgspec.json.decode(one.snapshot()) | {"format": 3}
    del older["quarantine"]
    for name in ("ids", "aside", "pending"):
        del older["windows"][name]
    decided(story(("none", "")), decider(load_snapshot(msgspec.json.encode(older))))


def test_panes_without_ids_are_read_and_duplicates_are_then_not_known():
    def without(value):
        message = decode(value)
        if not isinstance(message, Counted):
            return value
        return encode(replace(message, panes=[replace(delta, ids="") for delta in message.panes]))

    whole = story(("duplicates", ALL))
    assert kinds(decided(list(map(without, whole))).events) == []


def test_records_set_aside_are_told_with_the_window_they_came_in_however_they_were_counted():
    frame = rows(3_000, 5)
    values = predictions(frame)
    odd = []
    for i, value in enumerate(values):
        odd.append(value)
        if 1_000 <= i < 2_000 and i % 20 == 0:
            ahead = msgspec.json.decode(value)
            ahead["event_time"] = ahead["scored_at"] + FUTURE_MS + 1
            late = msgspec.json.decode(value)
            late["event_time"] -= 2 * (PANE_MS + LATENESS_MS)
            odd += [msgspec.json.encode(ahead), msgspec.json.encode(late)]
    told = []
    for size in (13, 97, len(odd)):
        outputs = decided([model_event("promoted"), *counted(odd, size)])
        told.append([event for event in outputs.events if event.kind.startswith("quality")])
    assert told[0] == told[1] == told[2]
    assert [(fault["kind"], fault["stream"]) for fault in told[0][0].detail["faults"]] == [("future", ALL)]
    assert told[0][0].detail["quarantine"] is False
    (message,) = [decode(value) for value in counted(odd, len(odd))]
    assert sum(late for _, late, _, _ in message.aside) == message.late == 50
    assert sum(future for _, _, future, _ in message.aside) == message.future == 50


def test_what_is_no_kind_of_fault_cannot_be_ignored():
    monitor = {"quality_ignore": ["duplicates", "median_income.unit"], "quality_run_length_records": 5_000}
    given = decider_settings(Settings(monitor=monitor), districts()).quality
    assert given.run_length == 5_000
    assert given.ignored == {"duplicates", "median_income.unit"}
    assert given.sources["people_per_household"] == ("population", "households")
    with pytest.raises(ConfigurationError, match="quality_ignore has 'dupes'"):
        decider_settings(Settings(monitor={"quality_ignore": ["dupes"]}), districts())

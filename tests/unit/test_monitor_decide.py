"""The decider: same panes, same verdicts bit for bit; one alert and one request an episode; restarts repeat nothing."""

import functools
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.drift_stream import PANE_MS, STEP_MS, counter, decider, model_event, predictions, rows

from longshore.errors import FormatError
from longshore.monitor.decide import decide_all
from longshore.monitor.messages import Counted, Idle, LabelsSeen, decode, encode
from longshore.monitor.panes import Tally
from longshore.monitor.snapshots import load_snapshot

SHIFT_AT, TOTAL = 2_000, 5_200


@functools.cache
def partitioned(partitions=3):
    """A stream with a shift at record 2,000, dealt out to partitions; (partition, value) in order."""
    calm, moved = rows(SHIFT_AT, 11), rows(TOTAL - SHIFT_AT, 12, factor=1.4)
    values = predictions(calm) + predictions(moved, first_ms=SHIFT_AT * STEP_MS)
    dealt = [[] for _ in range(partitions)]
    for i, value in enumerate(values):
        dealt[(i * 7 + i // 11) % partitions].append(value)
    return dealt


def deltas(cuts, order):
    """Every partition's values counted in pieces cut at `cuts`; `order` decides which partition comes next."""
    queues = []
    for partition, values in enumerate(partitioned()):
        tally, pane_counter, queue = Tally(), counter(), []
        bounds = sorted({0, len(values), *(cut % len(values) for cut in cuts)})
        for start, end in itertools.pairwise(bounds):
            pane_counter.count(tally, values[start:end], list(range(start, end)))
            queue.append(encode(tally.message(partition, 3)))
            tally = tally.after_commit()
        queues.append(queue)
    messages, turn = [], 0
    while any(queues):
        waiting = [queue for queue in queues if queue]
        messages.append(waiting[order[turn % len(order)] % len(waiting)].pop(0))
        turn += 1
    return messages


def story(cuts=tuple(range(0, 2_000, 97)), order=(0, 1, 2)):
    """Promotion, the shifted stream in pieces, and labels towards the end."""
    panes = deltas(cuts, order)
    labels = encode(LabelsSeen(0, [(pane, 40) for pane in range(SHIFT_AT * STEP_MS // PANE_MS, 45)]))
    return [model_event("promoted"), *panes[:-2], labels, *panes[-2:]]


def replay(values, one=None):
    return decide_all(one or decider(), enumerate(values))


def verdicts(outputs):
    return [(e.window, e.window_index, e.p_value, e.streams) for e in outputs.events if e.kind == "verdict"]


def kinds(outputs, *left_out):
    return [event.kind for event in outputs.events if event.kind not in {"verdict", *left_out}]


@functools.cache
def undisturbed():
    return replay(story())


def test_one_alert_and_one_request_for_a_shift():
    outputs = undisturbed()
    assert kinds(outputs) == ["era", "alert", "awaiting_labels", "retraining"]
    (alert,) = [event for event in outputs.events if event.kind == "alert"]
    (request,) = outputs.requests
    assert alert.streams[0].name == "cargo"
    assert alert.detail["stream"] == "cargo"
    assert sum(alert.detail["current"]) == pytest.approx(1)
    assert alert.cause == request.cause == "covariate"
    assert request.episode == alert.episode
    assert alert.window.start <= SHIFT_AT * STEP_MS + 500 * STEP_MS
    assert outputs.events[-1].state == "retraining"


def test_alerts_and_the_verdicts_of_an_episode_say_where():
    frame = rows(3_000, 33)
    moved = (frame.index >= 1_000) & (frame["flag"] == "PA")
    frame.loc[moved, "cargo"] *= 1.6
    one, tally = decider(), Tally()
    one.apply(0, model_event("promoted"))
    counter().count(tally, predictions(frame), list(range(len(frame))))
    events = one.apply(1, encode(tally.message(0, 1))).events
    (alert,) = [event for event in events if event.kind == "alert"]
    first = alert.detail["segments"][0]
    assert (first["segmentation"], first["segment"], first["stream"]) == ("flag", "PA", "cargo")
    assert first["p_value"] < 1e-6
    told = [bool(event.detail.get("segments")) for event in events if event.kind == "verdict"]
    assert told[0] is False, "nothing drifted yet"
    assert told[-1] is True


def test_panes_without_segments_tell_none_and_change_no_verdict():
    def without(value):
        message = decode(value)
        if not isinstance(message, Counted):
            return value
        return encode(replace(message, panes=[replace(delta, segments="") for delta in message.panes]))

    outputs = replay([without(value) if at % 2 else value for at, value in enumerate(story())])
    assert verdicts(outputs) == verdicts(undisturbed())
    assert not any("segments" in event.detail for event in outputs.events)


def test_windows_are_whole_panes_without_gap_or_overlap():
    windows = [window for window, *_ in verdicts(undisturbed())]
    assert len(windows) >= 9
    assert all(window.records >= 500 for window in windows)
    assert all(a.end == b.start for a, b in itertools.pairwise(windows))


@given(
    st.lists(st.integers(1, 1_700), max_size=12).map(tuple),
    st.lists(st.integers(0, 2), min_size=1, max_size=9).map(tuple),
)
@settings(deadline=None, max_examples=25)
def test_any_split_and_order_of_deltas_gives_the_same_final_verdicts(cuts, order):
    assert verdicts(replay(story(cuts, order))) == verdicts(undisturbed())


@pytest.mark.parametrize("provisional", [False, True])
def test_a_restart_at_every_point_tells_the_same_and_nothing_twice(provisional):
    values = story()
    expected = replay(values, decider(provisional=provisional))
    assert any(event.provisional for event in expected.events) is provisional
    for at in range(len(values)):
        before = decider(provisional=provisional)
        told = decide_all(before, enumerate(values[:at]))
        snapshot = load_snapshot(before.snapshot())
        after = decider(snapshot, provisional=provisional)
        for offset in range(snapshot.replay_from, snapshot.offset):
            after.rebuild(offset, values[offset])
        rest = decide_all(after, list(enumerate(values)))
        assert told.events + rest.events == expected.events
        assert told.requests + rest.requests == expected.requests


def test_the_same_panes_give_the_same_snapshot_bytes():
    first, second = decider(), decider()
    replay(story(), first)
    replay(story(), second)
    assert first.snapshot() == second.snapshot()


def test_nothing_is_judged_before_a_promotion_is_known_and_then_everything_is():
    values = story()
    late = replay([*values[1:], values[0]])
    assert verdicts(late) == verdicts(undisturbed())


def test_a_partition_that_is_not_heard_of_holds_everything_back():
    values = [value for value in story() if b'"partition":2' not in value or b'"counts"' not in value]
    assert verdicts(replay(values)) == []
    assert verdicts(replay([*values, encode(Idle(2, 3))])) != []


def test_a_newer_model_resolves_the_episode_and_its_first_windows_only_cool_down():
    values = story()
    start = TOTAL * STEP_MS
    moved = predictions(rows(3_000, 13, factor=1.4), first_ms=start, version="v2")
    tally = Tally(watermark=start)
    counter().count(tally, moved, list(range(5_000, 8_000)))
    values += [model_event("promoted", "v2", 2), encode(tally.message(0, 3)), encode(Idle(1, 3)), encode(Idle(2, 3))]
    outputs = replay(values)
    assert kinds(outputs)[:6] == ["era", "alert", "awaiting_labels", "retraining", "resolved", "era"]
    (resolved,) = [event for event in outputs.events if event.kind == "resolved"]
    after = [e for e in outputs.events if e.kind == "verdict" and e.model_version == "v2"]
    assert resolved.model_version == "v1"
    assert [event.state for event in after[:3]] == ["cooldown", "ok", "warning"]
    assert after[0].window.start >= start - PANE_MS


def test_a_rejected_challenger_closes_the_attempt_and_the_next_waits_for_labels():
    values = story()
    (request,) = undisturbed().requests
    one = decider()
    replay(values, one)
    at = len(values)
    outputs = one.apply(at, model_event("rejected", "v2", 0, trigger_id=request.trigger_id))
    assert [event.kind for event in outputs.events] == ["attempt_closed"]
    assert one.phase == "awaiting_labels"
    assert one.apply(at + 1, encode(LabelsSeen(0, [(50, 1_000)]))).requests == [], "the back-off is not over"
    more = predictions(rows(4_000, 14, factor=1.4), first_ms=TOTAL * STEP_MS)
    tally = Tally(watermark=TOTAL * STEP_MS)
    counter().count(tally, more, list(range(9_000, 13_000)))
    later = decide_all(
        one, [(at + 2, encode(tally.message(0, 3))), (at + 3, encode(Idle(1, 3))), (at + 4, encode(Idle(2, 3)))]
    )
    (second,) = later.requests
    assert second.attempt == 2
    assert second.trigger_id != request.trigger_id


def test_other_models_events_are_not_ours():
    values = [model_event("promoted").replace(b'"model":"default"', b'"model":"other"'), *story()[1:]]
    assert replay(values).events == []


def test_a_drift_that_goes_is_resolved():
    calm = rows(11_000, 21)  # the longest scale looks back at 16 windows
    parts = [(rows(1_500, 20, factor=1.4), 0), (calm, 1_500 * STEP_MS)]
    one, tally, pane_counter = decider(min_fresh_labels=10_000), Tally(), counter()
    events = one.apply(0, model_event("promoted")).events
    for number, (frame, start) in enumerate(parts):
        offsets = list(range(10_000 * number, 10_000 * number + len(frame)))
        pane_counter.count(tally, predictions(frame, first_ms=start), offsets)
        events += one.apply(number + 1, encode(tally.message(0, 1))).events
        tally = tally.after_commit()
    told = [event.kind for event in events if event.kind not in ("verdict", "era")]
    assert told == ["alert", "awaiting_labels", "resolved"]
    assert one.phase == "ok"


def test_an_undrifted_stream_is_left_alone():
    alerts = 0
    for seed in range(4):
        one, tally = decider(), Tally()
        one.apply(0, model_event("promoted"))
        counter().count(tally, predictions(rows(10_300, 100 + seed)), list(range(10_300)))
        outputs = one.apply(1, encode(tally.message(0, 1)))
        assert sum(event.kind == "verdict" for event in outputs.events) >= 20
        alerts += sum(event.kind == "alert" for event in outputs.events)
    assert alerts == 0


def test_a_damaged_snapshot_is_refused():
    with pytest.raises(FormatError, match="damaged"):
        load_snapshot(b"{")
    with pytest.raises(FormatError, match="format 9"):
        load_snapshot(b'{"format":9}')

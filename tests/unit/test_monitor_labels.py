"""Labels as such: drift of their own distribution, faults of their own, and what neither may ask for."""

import dataclasses
from collections import Counter

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.drift_stream import PANE_MS
from tests.error_stream import batch, joined, labelled_decider, profiles, story, watched

from longshore.monitor.decide import decide_all
from longshore.monitor.errors import count_errors, merge
from longshore.monitor.label_bins import count_labels, labels_together, target_stream
from longshore.monitor.label_drift import judge_labels, window_level
from longshore.monitor.label_faults import label_faults
from longshore.monitor.label_reader import LabelReader, Wrong
from longshore.monitor.label_watch import LabelSettings, LabelWatch
from longshore.monitor.messages import Errors, decode, encode, unpack
from longshore.monitor.quality.judge import QualityRules
from longshore.monitor.snapshots import load_snapshot
from longshore.profile import Profile
from longshore.schema import districts

QUIET = {"verdict", "performance", "labels", "era"}


def run(messages, **given):
    return decide_all(labelled_decider(window_labels=100, **given), enumerate(messages))


def kinds(outputs):
    return [event.kind for event in outputs.events if event.kind not in QUIET]


def sums_of(values):
    return unpack(count_labels(watched().profile.target, values, np.zeros(len(values), np.int64), 1)[0])


def reference_like(count, seed):
    return joined([1], seed, a_pane=count).labels


@pytest.mark.parametrize(
    ("policy", "expected"), [("drift", ["alert", "awaiting_labels", "retraining"]), ("harm", ["alert"])]
)
def test_labels_that_moved_alert_and_ask_as_the_policy_says(policy, expected):
    outputs = run(story(0.0, 1.0, level=1.6), policy=policy)
    assert kinds(outputs)[: len(expected)] == expected
    alert = next(event for event in outputs.events if event.kind == "alert")
    assert alert.cause == "label" and [stream.name for stream in alert.streams] == ["delay"]
    assert alert.window.start >= 14 * PANE_MS and alert.streams[0].wasserstein_sigma > 0.3
    assert [request.cause for request in outputs.requests] == (["label"] if policy == "drift" else [])


def test_a_changed_relation_moves_labels_too_and_is_told_as_what_it_is():
    outputs = run(story(1.5, 1.0))
    alerts = [event for event in outputs.events if event.kind == "alert"]
    assert [event.cause for event in alerts] == ["concept"]


def test_nothing_changed_nothing_is_told_but_the_windows():
    outputs = run(story(0.0, 1.0))
    told = [event for event in outputs.events if event.kind == "labels"]
    assert kinds(outputs) == [] and len(told) == 12
    assert [event.window_index for event in told] == list(range(12))
    figures = told[0].detail["figures"]
    assert figures["n"] == 100 and figures["mean"] == pytest.approx(figures["mean_then"], rel=0.2)
    assert all(not event.detail["alarm"] and event.detail["level"] == pytest.approx(2 * 100 / 1e6) for event in told)


@pytest.mark.parametrize(
    ("moved", "name"),
    [
        ({"times": 1_000.0}, "unit"),
        ({"times": 0.0}, "frozen"),
        ({"unreadable": 30}, "unreadable"),
        ({"times": 1e7}, "unit"),
    ],
)
def test_broken_labels_are_a_fault_of_the_target_that_holds_requests_and_is_over(moved, name):
    outputs = run(story(0.0, 1.0, until=20, **moved))
    assert outputs.requests == []
    assert set(kinds(outputs)) == {"quality", "quality_over"} and kinds(outputs)[-1] == "quality_over"
    first = next(event for event in outputs.events if event.kind == "quality")
    (fault,) = first.detail["faults"]
    assert (fault["kind"], fault["stream"], first.cause) == (name, "delay", "quality")
    assert first.detail["quarantine"] and first.window.start >= 12 * PANE_MS


def test_an_open_episode_waits_while_labels_are_broken_and_those_are_not_fresh():
    moved, broken = story(0.0, 1.0, level=1.6), story(0.0, 1.0, level=1.6, unreadable=30)
    one = labelled_decider(window_labels=100, min_fresh_labels=900)
    at = next(i for i in range(len(moved)) if one.apply(i, moved[i]).events and one._episodes.state.episode)
    outputs = decide_all(one, list(enumerate(broken))[at + 1 :])
    assert "quality" in kinds(outputs) and "quarantined" in kinds(outputs) and not outputs.requests
    assert one.quarantine.labels_broken and one._episodes.held
    for _ in range(2):
        changes = one.quarantine.on_labels([], 0, "v1", one._episodes)
    assert [change.kind for change in changes] == ["quality_over"] and not one._episodes.held
    assert one._episodes.state.labels == {}


def test_faults_of_labels_do_not_taint_inputs():
    one = labelled_decider()
    one.quarantine.on_labels(_faults({"not_json": 60}), 0, "v1", one._episodes)
    assert one.quarantine.labels_broken and not one.quarantine.inputs_hold
    assert one.quarantine.state.tainted == [] and not one.quarantine.held


def _faults(unreadable, values=None, **rules):
    window = sums_of(reference_like(100, 3) if values is None else values)
    return label_faults(watched().profile, "delay", window, unreadable, QualityRules(**rules))


def test_faults_are_named_and_may_be_ignored():
    assert _faults({}) == []
    assert _faults({"wrong_type": 3}) == []
    (fault,) = _faults({"wrong_type": 60, "not_json": 2})
    assert (fault.kind, fault.about, fault.stream) == ("unreadable", "wrong_type", "delay")
    assert "a field is of another type" in fault.text
    assert _faults({"wrong_type": 60}, ignored=frozenset({"delay.unreadable"})) == []
    values = reference_like(1_000, 5)
    assert [fault.kind for fault in _faults({}, values * 1.8)] == [], "prices may well nearly double"
    far = np.where(np.arange(1_000) % 10, values, 900.0 + values)
    assert [fault.kind for fault in _faults({}, far)] == ["out_of_range"]


def test_as_the_loss_test_alarms_the_newest_labels_are_asked_whether_they_are_broken():
    """Of 990 labels the 10 newest are broken: together no fault, by themselves one."""
    watch = LabelWatch(LabelSettings(1_000, target="delay"), profiles(), PANE_MS)
    watch.begin("v1")
    assert list(watch.add(decode(batch([1], a_pane=980)))) == []
    assert watch.broken_lately() == []
    assert list(watch.add(decode(batch([2], a_pane=10, times=1_000.0)))) == []
    assert [fault.kind for fault in watch.broken_lately()] == ["out_of_range"]


def test_a_restart_anywhere_decides_the_same():
    messages = list(enumerate(story(0.0, 1.0, times=1_000.0, until=20)))
    whole = run([value for _, value in messages])
    for cut in range(3, len(messages), 11):
        before = labelled_decider(window_labels=100)
        first = decide_all(before, messages[:cut])
        saved = before.snapshot()
        after = labelled_decider(load_snapshot(saved), window_labels=100)
        for offset, value in messages[load_snapshot(saved).replay_from : cut]:
            after.rebuild(offset, value)
        second = decide_all(after, messages[cut:])
        assert first.events + second.events == whole.events, cut


def test_a_snapshot_of_the_format_before_goes_on():
    one = labelled_decider(window_labels=100)
    decide_all(one, list(enumerate(story(0.0, 1.0, level=1.6)))[:30])
    plain = msgspec.json.decode(one.snapshot())
    plain.pop("labels")
    plain["episodes"].pop("recent_labels")
    again = labelled_decider(load_snapshot(msgspec.json.encode(plain | {"format": 4})), window_labels=100)
    outputs = decide_all(again, list(enumerate(story(0.0, 1.0, level=1.6)))[30:])
    assert "alert" in kinds(outputs)


def test_messages_and_profiles_from_before_labels_were_binned_are_read():
    errors = decode(batch([1, 2]))
    plain = msgspec.json.decode(encode(errors))
    plain.pop("unreadable")
    plain["panes"] = [{key: value for key, value in pane.items() if key != "labels"} for pane in plain["panes"]]
    older = decode(msgspec.json.encode(plain | {"format": 3}))
    assert older.panes[0].labels == "" and older.unreadable == {}
    watch = LabelWatch(LabelSettings(100), profiles(), PANE_MS)
    watch.begin("v1")
    (seen,) = watch.add(older)
    assert seen.detail["figures"] is None and not seen.judged.alarm and not seen.faults
    profile = dataclasses.replace(watched().profile, target=None)
    assert Profile.from_bytes(profile.to_bytes()).target is None
    assert Profile.from_bytes(watched().profile.to_bytes()).target.counts.sum() == 5_000
    assert count_labels(None, np.ones(3), np.zeros(3, np.int64), 2) == ["", ""]


def test_only_rubbish_is_judged_too():
    watch = LabelWatch(LabelSettings(100, target="delay"), profiles(), PANE_MS)
    watch.begin("v1")
    (seen,) = watch.add(Errors(0, 1, 0, 0, [], unreadable={"not_json": 120}))
    assert [fault.kind for fault in seen.faults] == ["unreadable"] and seen.detail["figures"] is None
    assert list(watch.add(Errors(0, 1, 0, 0, [], unreadable={"not_json": 20}))) == []


LABEL = '{"record_id":"r","event_time":1,"observed_at":1,"label":%s}'


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        (b"", Wrong.NOT_JSON),
        (b"{", Wrong.NOT_JSON),
        (LABEL % '"12"', Wrong.WRONG_TYPE),
        (LABEL % "null", Wrong.WRONG_TYPE),
        (LABEL % "NaN", Wrong.NOT_FINITE),
        (LABEL % "-Infinity", Wrong.NOT_FINITE),
        (LABEL % "1e999", Wrong.NOT_FINITE),
        (b'{"record_id":"r","event_time":1,"observed_at":1}', Wrong.MISSING_FIELD),
        (b'{"record_id":"r","observed_at":1,"label":1}', Wrong.MISSING_FIELD),
        (b"[1]", Wrong.WRONG_TYPE),
    ],
)
def test_what_is_wrong_with_a_label_is_told_by_kind(value, wrong):
    read = LabelReader(districts()).read([value if isinstance(value, bytes) else value.encode(), None])
    assert read.wrong == Counter([wrong.value, Wrong.NOT_JSON.value])
    assert not read.ids


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 3), st.floats(-1e9, 1e9)), min_size=1, max_size=60), st.integers(0, 60))
def test_counted_in_any_pieces_labels_add_up_to_the_same(rows, cut):
    target = watched().profile.target
    panes, labels = np.array([pane for pane, _ in rows]), np.array([label for _, label in rows])
    whole = count_labels(target, labels, panes, 4)
    parts = [count_labels(target, labels[part], panes[part], 4) for part in (slice(cut), slice(cut, None))]
    for pane in range(4):
        counts, sums = unpack(whole[pane])
        found, found_sums = unpack(labels_together(parts[1][pane], parts[0][pane]))
        assert counts.tolist() == found.tolist() and sums.tolist() == found_sums.tolist()
        assert counts.sum() == (panes == pane).sum()


def test_deltas_carry_labels_through_a_merge():
    (one,) = count_errors(watched(), joined([1], 1, a_pane=70))
    (other,) = count_errors(watched(), joined([1], 2, a_pane=30))
    (both,) = merge([one, other])
    assert unpack(both.labels)[0].sum() == 100


def test_windows_of_the_references_own_labels_alarm_no_oftener_than_stated():
    """450 windows at a level of 5 %; references are drawn anew, as the statement is over both."""
    random, alarms = np.random.default_rng(11), 0
    for _ in range(15):
        target = target_stream(np.round(random.lognormal(1, 0.5, 1_000), 2))
        profile = dataclasses.replace(watched().profile, target=target)
        for _ in range(30):
            values = np.round(random.lognormal(1, 0.5, 200), 2)
            counts, sums = unpack(count_labels(target, values, np.zeros(200, np.int64), 1)[0])
            alarms += judge_labels(profile, counts, sums, 0.05).alarm
    assert alarms <= 0.05 * 450 + 3 * np.sqrt(0.05 * 450 * 2), "windows share references: a wider bound"
    assert window_level(1_000, 1_000_000, 2) == 0.002 and window_level(1_000, 1_000, 2) == 0.05


def test_the_same_labels_have_no_distance_and_a_shift_is_its_wasserstein_distance():
    values = reference_like(5_000, 9)
    profile = dataclasses.replace(watched().profile, target=target_stream(values))
    same = judge_labels(profile, profile.target.counts, profile.target.sums, 0.01)
    assert (same.js, same.wasserstein, same.ks, same.outside, same.alarm) == (0.0, 0.0, 0.0, 0.0, False)
    counts, sums = unpack(count_labels(profile.target, values + 0.5, np.zeros(5_000, np.int64), 1)[0])
    moved = judge_labels(profile, counts, sums, 0.01)
    assert moved.alarm and moved.wasserstein == pytest.approx(0.5, rel=0.02)
    assert moved.mean - moved.mean_then == pytest.approx(0.5, rel=0.01)
    assert moved.std == pytest.approx(values.std(), rel=0.02)

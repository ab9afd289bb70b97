"""What labels move: windows of labels, the loss test's episode, the policy's table, budget, dry run, replay."""

import msgspec
import pytest
from tests.drift_stream import PANE_MS
from tests.error_stream import batch, labelled_decider, profiles, story

from longshore.monitor.decide import decide_all
from longshore.monitor.episode_state import Episode, EpisodeState, Judged, Phase, Rules
from longshore.monitor.episodes import Episodes
from longshore.monitor.harm import ErrorSeen, HarmSettings, HarmState, HarmWatch
from longshore.monitor.messages import decode
from longshore.monitor.policy import Policy
from longshore.monitor.snapshots import load_snapshot
from longshore.records import Moved, Window
from longshore.slots import DAY_MS


def run(messages=None, **given):
    return decide_all(labelled_decider(**given), enumerate(messages or story()))


def kinds(outputs, *left_out):
    return [event.kind for event in outputs.events if event.kind not in {"verdict", "performance", "labels", *left_out}]


def test_grown_errors_open_an_episode_with_its_evidence_under_both_policies():
    for policy in ("drift", "harm"):
        outputs = run(policy=policy)
        assert kinds(outputs) == ["era", "alert", "awaiting_labels", "retraining"], policy
        alert = next(event for event in outputs.events if event.kind == "alert")
        (request,) = outputs.requests
        assert alert.cause == request.cause == "concept"
        assert request.evidence["policy"] == policy and request.evidence["fresh_labels"] >= 300
        assert request.evidence["figures"]["rmse"] > 1.1 * request.evidence["validation"]["rmse"]
        assert request.evidence["moved"] == "predictions have become too high and errors have become wider"
        assert alert.window.start == 15 * PANE_MS and not any(stream.alert for stream in alert.streams)


def test_every_window_of_labels_is_told_of():
    outputs = run()
    told = [event for event in outputs.events if event.kind == "performance"]
    assert [event.window_index for event in told] == list(range(len(told))) and len(told) == 2
    assert all(event.window.records == 500 for event in told)
    first = told[0].detail
    assert first["figures"]["n"] == 500 and not first["alarm"] and not first["grew"]
    assert first["excess"]["rmse_ratio"] == pytest.approx(1.0, abs=0.15)
    assert {each["segmentation"] for each in first["by_segment"]} == {"flag"}
    assert first["loss_test"]["limit"] > 9
    assert told[1].detail["alarm"] and told[1].detail["grew"]


def test_nothing_changed_nothing_is_told_but_figures():
    outputs = run(story(0.0, 1.0))
    assert kinds(outputs) == ["era"] and not outputs.requests


def test_a_restart_anywhere_decides_the_same():
    messages = list(enumerate(story()))
    whole = run()
    for cut in range(3, len(messages), 7):
        before = labelled_decider()
        first = decide_all(before, messages[:cut])
        saved = before.snapshot()
        after = labelled_decider(load_snapshot(saved))
        for offset, value in messages[load_snapshot(saved).replay_from : cut]:
            after.rebuild(offset, value)
        second = decide_all(after, messages[cut:])
        assert first.events + second.events == whole.events, cut
        assert first.requests + second.requests == whole.requests, cut


def test_a_snapshot_from_before_labels_is_read_and_counts_them_from_then_on():
    one = labelled_decider()
    decide_all(one, list(enumerate(story()))[:30])
    plain = msgspec.json.decode(one.snapshot())
    for name in ("harm", "errors_from", "now", "asked"):
        plain["episodes"].pop(name)
    plain.pop("harm")
    again = labelled_decider(load_snapshot(msgspec.json.encode(plain | {"format": 3})))
    assert again.harm.state == HarmState(version="v1")
    outputs = decide_all(again, list(enumerate(story()))[30:])
    assert "alert" in kinds(outputs)


def test_labels_of_another_version_or_profile_do_not_count():
    watch = HarmWatch(HarmSettings(100), profiles(), PANE_MS)
    watch.begin("v1")
    assert list(watch.add(decode(batch([1, 2, 3], version="v2")))) == []
    assert next(iter(watch.add(decode(batch([1, 2]))))).window == Window(PANE_MS, 3 * PANE_MS, 100)


# The state machine by itself, row by row of the policy's table.

STREAM = Moved("cargo", "numeric", True, 1e-9, 0.5, 0.5, 0.5, 1.0, 0.5, 0.5)


def verdict(pane, *, moved=True):
    return Judged("v1", pane, Window(pane * 1_000, pane * 1_000 + 1_000, 500), moved, not moved, [STREAM])


def seen(pane, *, alarm=False, grew=False, complete=True):
    window = Window(pane * 1_000, pane * 1_000 + 1_000, 500)
    evidence = {"figures": {"rmse": 1.2}}
    return ErrorSeen("v1", pane, window, window, complete, alarm, grew, not (alarm or grew), evidence, evidence)


def machine(policy="drift", **given):
    one = Episodes(Rules(2, 3, 100, 1, Policy(policy, **given)))
    one.on_labels([(pane, 100) for pane in range(30)])
    return one


def moves(one, *steps):
    told = []
    for step in steps:
        told += one.on_verdict(step) if isinstance(step, Judged) else one.on_errors(step)
    return [each.kind for each in told]


@pytest.mark.parametrize(
    ("policy", "steps", "expected"),
    [
        ("drift", [verdict(1), verdict(2)], ["alert", "retraining"]),
        ("harm", [verdict(1), verdict(2), seen(1), seen(2)], ["alert"]),
        ("harm", [verdict(1), verdict(2), seen(1, grew=True)], ["alert", "error_grew", "retraining"]),
        ("harm", [seen(1, grew=True), verdict(1), verdict(2)], ["alert", "retraining"]),
        ("harm", [seen(1, grew=True), seen(2), verdict(1), verdict(2)], ["alert"]),
        ("drift", [seen(1, alarm=True, complete=False)], ["alert", "retraining"]),
        ("harm", [seen(1, alarm=True, complete=False)], ["alert", "retraining"]),
        ("harm", [seen(1, grew=True)], []),
        ("drift", [verdict(1), verdict(2), seen(2, grew=True)], ["alert", "retraining", "error_grew"]),
    ],
)
def test_the_policy_row_by_row(policy, steps, expected):
    one = machine(policy)
    assert moves(one, *steps) == expected


def test_the_harm_that_let_a_request_out_is_in_it():
    one = machine("harm")
    told = one.on_verdict(verdict(1)) + one.on_verdict(verdict(2)) + one.on_errors(seen(1, grew=True))
    (request,) = [each.request for each in told if each.request]
    assert request.cause == "covariate" and request.evidence["figures"] == {"rmse": 1.2}


def test_a_concept_episode_lasts_until_the_error_is_back_whatever_inputs_do():
    one = machine(dry_run=True)
    calm = [verdict(pane, moved=False) for pane in range(2, 6)]
    assert moves(one, seen(1, alarm=True), *calm, seen(3), seen(4, grew=True), seen(5), seen(6)) == [
        "alert", "would_request",
    ]  # fmt: skip
    assert moves(one, seen(7)) == ["resolved"] and one.state.phase is Phase.OK


def test_a_dry_run_tells_once_and_sends_nothing():
    one = machine(dry_run=True)
    told = [*one.on_verdict(verdict(1)), *one.on_verdict(verdict(2)), *one.on_verdict(verdict(3))]
    assert [each.kind for each in told] == ["alert", "would_request"] and not any(each.request for each in told)


def test_a_spent_budget_holds_requests_until_days_have_passed():
    one = machine(budget=1, budget_days=2.0)
    assert moves(one, verdict(1), verdict(2)) == ["alert", "retraining"]
    one.on_era(first=True)
    assert moves(one, verdict(5), verdict(6), verdict(7)) == ["alert", "over_budget"]
    later = Judged("v1", 200_000, Window(3 * DAY_MS, 3 * DAY_MS + 1, 500), True, False, [STREAM])
    assert moves(one, later) == ["retraining"]


def test_fresh_labels_of_a_concept_episode_are_those_since_the_evidence():
    one = Episodes(Rules(2, 3, 250, 1))
    one.state.errors_from = 10
    one.on_labels([(pane, 100) for pane in range(13)])
    assert moves(one, seen(10, alarm=True)) == ["alert", "retraining"]
    fewer = Episodes(Rules(2, 3, 350, 1))
    fewer.state.errors_from = 10
    fewer.on_labels([(pane, 100) for pane in range(13)])
    assert moves(fewer, seen(10, alarm=True)) == ["alert", "awaiting_labels"]


def test_labels_from_before_the_harm_are_not_fresh_where_only_harm_lets_an_episode_ask():
    """Else a benign drift's labels, of the old relation, would train the model that is to know the new one."""
    steps = [verdict(1), verdict(2), seen(20, grew=True)]
    one = Episodes(Rules(2, 3, 250, 1, Policy("harm")))
    one.on_labels([(pane, 100) for pane in range(22)])
    assert moves(one, *steps) == ["alert", "error_grew", "awaiting_labels"]
    assert [told.kind for told in one.on_labels([(22, 100)])] == ["retraining"]
    drift = Episodes(Rules(2, 3, 250, 1, Policy("drift")))
    drift.on_labels([(pane, 100) for pane in range(22)])
    assert moves(drift, *steps) == ["alert", "retraining", "error_grew"]


def test_cooldown_opens_nothing_and_the_state_goes_through_json():
    one = Episodes(Rules(2, 3, 0, 2))
    one.on_era(first=False)
    assert moves(one, seen(1, alarm=True)) == [] and one.state.phase is Phase.COOLDOWN
    assert moves(one, verdict(2), verdict(3), seen(2, alarm=True)) == ["alert", "retraining"]
    assert msgspec.json.decode(msgspec.json.encode(one.state), type=EpisodeState) == one.state
    assert isinstance(one.state.episode, Episode)

"""A model's age: one request for each slot of it, from the end of the first on, held back as others are."""

import dataclasses

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.drift_stream import PANE_MS, STEP_MS, counted, decider, model_event, predictions, rows
from tests.quality_stream import story

from longshore.monitor.ageing import AGE, Ageing
from longshore.monitor.decide import decide_all
from longshore.monitor.episodes import EpisodeState, Phase, Rules
from longshore.monitor.messages import LabelsSeen, encode
from longshore.monitor.policy import Policy
from longshore.monitor.snapshots import load_snapshot
from longshore.slots import DAY_MS

A_PANE = PANE_MS // STEP_MS
DAYS = 8 * PANE_MS / DAY_MS
"""Eight panes."""


def ageing(policy=None, *, needed=10, panes=8, state=None):
    return Ageing(Rules(2, 3, needed, 2, policy or Policy()), panes * PANE_MS / DAY_MS, PANE_MS, state)


def told(one, end_pane, *, held=False, episodes=None):
    return [aged.kind for aged in one.on_window("v1", end_pane, episodes or EpisodeState(), held=held)]


def stream(count=4_000, seed=3, *, labels=60, version="v1"):
    """An undrifted stream with labels a pane behind."""
    values, messages = predictions(rows(count, seed), version=version), [model_event("promoted", version)]
    for pane, message in enumerate(counted(values, A_PANE)):
        messages.append(message)
        if labels and pane:
            messages.append(encode(LabelsSeen(0, [(pane - 1, labels)])))
    return messages


def test_a_model_asks_once_for_each_slot_of_its_age():
    outputs = decide_all(decider(max_age_days=DAYS), enumerate(stream()))
    events = [event for event in outputs.events if event.cause == AGE]
    assert [event.kind for event in events] == ["retraining"] * len(outputs.requests)
    assert [request.evidence["slot"] for request in outputs.requests] == [1, 2, 3, 4]
    assert len({request.trigger_id for request in outputs.requests}) == 4
    first = outputs.requests[0]
    assert (first.cause, first.model_version, first.episode, first.window.start) == (AGE, "v1", "age-8", 0)
    assert 8 * PANE_MS <= first.window.end <= 13 * PANE_MS and first.evidence["fresh_labels"] >= 300
    assert all(event.episode == "" and event.state == "ok" for event in events)


def test_off_by_default():
    assert decide_all(decider(), enumerate(stream())).requests == []


@pytest.mark.parametrize("cut", (5, 22, 41, 60))
def test_a_restart_anywhere_asks_with_the_same_ids_and_nothing_twice(cut):
    messages = list(enumerate(stream()))
    whole = decide_all(decider(max_age_days=DAYS), messages)
    one = decider(max_age_days=DAYS)
    before = decide_all(one, messages[:cut])
    snapshot = load_snapshot(one.snapshot())
    other = decider(snapshot, max_age_days=DAYS)
    for offset, value in messages[snapshot.replay_from : cut]:
        other.rebuild(offset, value)
    after = decide_all(other, messages)
    assert before.requests + after.requests == whole.requests
    assert before.events + after.events == whole.events


def test_a_snapshot_from_before_ages_counts_from_then_on():
    messages = list(enumerate(stream()))
    one = decider()
    decide_all(one, messages[:20])
    plain = msgspec.json.decode(one.snapshot())
    del plain["age"]
    again = decider(load_snapshot(msgspec.json.encode(plain | {"format": 4})), max_age_days=DAYS)
    requests = decide_all(again, messages[20:]).requests
    assert requests and requests[0].window.start >= 10 * PANE_MS


def test_a_newer_model_is_young_again():
    values = predictions(rows(1_500, 3)) + predictions(rows(2_500, 4), 1_500 * STEP_MS, "v2")
    messages = [model_event("promoted"), model_event("promoted", "v2", 2)]
    for pane, message in enumerate(counted(values, A_PANE)):
        messages += [message, encode(LabelsSeen(0, [(pane, 40)]))]
    requests = decide_all(decider(max_age_days=12 * PANE_MS / DAY_MS), enumerate(messages)).requests
    assert [(one.model_version, one.window.start) for one in requests] == [("v1", 0), ("v2", 15_000)]


def test_a_fault_of_the_data_holds_it_back_until_it_is_over():
    messages = story(("typo", "flag"))
    outputs = decide_all(decider(max_age_days=DAYS, min_fresh_labels=0), enumerate(messages))
    broken = [event for event in outputs.events if event.kind in ("quality", "quality_over")]
    begun, over = broken[0].window, broken[-1].window
    assert not any(begun.start < request.window.end <= over.end for request in outputs.requests)
    assert "quarantined" in [event.kind for event in outputs.events if event.cause == AGE]
    assert any(request.window.end > over.end for request in outputs.requests)


def test_what_holds_it_back_is_told_once_and_passes():
    one = ageing()
    one.begin("v1", 0)
    assert told(one, 7) == []
    assert told(one, 8, held=True) == ["quarantined"] and told(one, 9, held=True) == []
    assert told(one, 10) == ["awaiting_labels"] and told(one, 10) == []
    one.on_labels([(3, 9), (-5, 100)])
    assert told(one, 11) == []
    one.on_labels([(4, 1)])
    assert told(one, 12) == ["retraining"] and told(one, 13) == []
    assert told(one, 17) == ["awaiting_labels"]  # the last request has used them up


def test_an_episodes_request_that_is_out_is_enough():
    one = ageing(needed=0)
    one.begin("v1", 0)
    assert told(one, 8, episodes=EpisodeState(phase=Phase.RETRAINING)) == []
    assert told(one, 9) == ["retraining"]


def test_the_budget_is_shared_and_a_dry_run_asks_nobody():
    episodes = EpisodeState(now=9 * PANE_MS, asked=[8 * PANE_MS])
    one = ageing(Policy(budget=1, budget_days=30.0), needed=0)
    one.begin("v1", 0)
    assert told(one, 9, episodes=episodes) == ["over_budget"] and told(one, 10, episodes=episodes) == []
    episodes.now += 31 * DAY_MS
    assert told(one, 11, episodes=episodes) == ["retraining"] and episodes.asked == [episodes.now]
    dry = ageing(dataclasses.replace(Policy(), dry_run=True), needed=0)
    dry.begin("v1", 0)
    (would,) = dry.on_window("v1", 8, EpisodeState(), held=False)
    assert (would.kind, would.request) == ("would_request", None) and told(dry, 9) == []


@given(st.lists(st.integers(1, 9), min_size=1, max_size=40), st.integers(1, 12), st.integers(0, 1_000))
def test_each_slot_asks_at_most_once_and_never_before_its_time(steps, panes, first):
    one, asked, at = ageing(needed=0, panes=panes), [], first
    one.begin("v1", first)
    for step in steps:
        at += step
        for aged in one.on_window("v1", at, EpisodeState(), held=False):
            assert aged.request is not None
            asked.append((at - first) // panes)
            assert aged.request.episode == f"age-{first + asked[-1] * panes}"
    assert asked == sorted(set(asked)) and 0 not in asked
    assert len(asked) == len({(at - first) // panes for at in _ends(first, steps)} - {0})


def _ends(first, steps):
    for step in steps:
        first += step
        yield first


def test_labels_count_alike_before_and_after_the_era_is_known_to_have_begun():
    early, late = ageing(), ageing()
    labels = [(pane, 7) for pane in range(20, 26)]
    early.on_labels(labels)
    for one in (early, late):
        one.begin("v1", 21)
    late.on_labels(labels)
    for one in (early, late):
        told(one, 24)
    assert early.state == late.state
    assert (early.state.labels, early.state.ahead) == (21, {24: 7, 25: 7})

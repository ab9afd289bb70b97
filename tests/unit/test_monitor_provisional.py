"""Provisional verdicts: earlier than the final ones, counted by revision, few, of one era, and without consequences."""

import itertools
import math
from dataclasses import dataclass

import msgspec
import pytest
from tests.drift_stream import LATENESS_MS, PANE_MS, SCHEMA, STEP_MS, counted, decider, model_event, predictions, rows

from longshore.config import Settings
from longshore.monitor.ahead import Look, LookAhead
from longshore.monitor.decide import decide_all
from longshore.monitor.service_decide import decider_settings
from longshore.monitor.snapshots import FORMAT, load_snapshot
from longshore.records import FINAL, PROVISIONAL, Window

TOTAL, SHIFT_AT, SWAP_MS = 3_000, 1_500, 14_000
OFF_MS = 350
"""Where the stream begins within a pane: so windows fill in the midst of one."""


def drifting():
    calm, moved = rows(SHIFT_AT, 41), rows(TOTAL - SHIFT_AT, 42, factor=1.5)
    values = predictions(calm, first_ms=OFF_MS) + predictions(moved, first_ms=OFF_MS + SHIFT_AT * STEP_MS)
    return [model_event("promoted"), *counted(values)]


def decided(values, *, provisional=True):
    return decide_all(decider(provisional=provisional), enumerate(values))


def looks(outputs):
    return [event for event in outputs.events if event.provisional]


def by_window(outputs):
    return {
        key: list(group)
        for key, group in itertools.groupby(looks(outputs), key=lambda event: (event.generation, event.window_index))
    }


@pytest.fixture(scope="module")
def told():
    return decided(drifting())


def test_without_them_everything_else_is_the_same_to_the_byte(told):
    plain = decided(drifting(), provisional=False)
    assert looks(plain) == []
    assert len(plain.requests) + len([event for event in plain.events if event.kind == "alert"]) >= 1
    final = [event for event in told.events if event.status == FINAL]
    assert msgspec.json.encode(final) == msgspec.json.encode(plain.events)
    assert msgspec.json.encode(told.requests) == msgspec.json.encode(plain.requests)


def test_a_window_is_told_of_before_its_panes_close():
    one, found, final = decider(provisional=True), 0, set()
    for offset, value in enumerate(drifting()):
        for event in one.apply(offset, value).events:
            if event.provisional:
                assert event.window_index not in final
                assert event.window.end + LATENESS_MS > one.watermark_ms, "its last pane is open"
                assert event.window.records >= 500
                found += 1
            elif event.kind == "verdict":
                final.add(event.window_index)
    assert found >= 5


def test_revisions_count_from_0_and_each_holds_something_new(told):
    for events in by_window(told).values():
        assert [event.detail["revision"] for event in events] == list(range(len(events)))
        assert all(event.status == PROVISIONAL for event in events)
        assert all(earlier.window != later.window for earlier, later in itertools.pairwise(events))
    assert any(len(events) > 1 for events in by_window(told).values())


def test_with_all_of_its_records_there_it_says_what_the_final_one_will(told):
    finals = {event.window_index: event for event in told.events if event.kind == "verdict" and not event.provisional}
    compared = 0
    for (_, index), events in by_window(told).items():
        last, final = events[-1], finals.get(index)
        if final is not None and last.window == final.window:
            detail = {name: value for name, value in last.detail.items() if name not in ("revision", "segments")}
            assert (last.p_value, last.streams) == (final.p_value, final.streams)
            assert detail == {name: value for name, value in final.detail.items() if name != "segments"}
            compared += 1
    assert compared >= 4


def test_they_move_no_state(told):
    """Each says the state and the episode as they are, whatever it found."""
    state, episode = "", ""
    for event in told.events:
        if event.provisional:
            assert (event.state, event.episode) == (state, episode)
        elif event.kind == "resolved":
            state, episode = event.state, ""
        else:
            state, episode = event.state, event.episode
    assert any(event.detail["alert"] for event in looks(told))


@pytest.mark.parametrize("size", [3, 50, 300])
def test_they_are_few_however_small_the_messages(size):
    values = predictions(rows(2_000, 43), first_ms=OFF_MS)
    found = decided([model_event("promoted"), *counted(values, size)])
    assert 1 <= max(len(events) for events in by_window(found).values()) <= 2


@dataclass
class Growing:
    """Windows whose next one holds one record more each time it is asked for."""

    records: int = 500

    def ahead(self):
        self.records += 1
        return self

    def window(self, pane_ms):
        return Window(0, pane_ms, self.records)

    def filled_with(self, ahead):
        return ahead


def test_a_watermark_that_comes_far_makes_their_number_grow_with_its_logarithm():
    look, windows = LookAhead(PANE_MS), Growing()
    panes = [pane for pane in range(101) for _ in range(5) if look.due(windows, pane * PANE_MS)]
    assert panes == [0, 1, 3, 7, 15, 31, 63]
    assert len(panes) == 1 + int(math.log2(101))
    look.over()
    assert look.due(windows, 101 * PANE_MS) and look.last == Look(0, windows.window(PANE_MS), 101)


def test_while_nothing_changes_nothing_is_told_again():
    """In these panes each window is full with the last record of one, and waits two panes to be final."""
    found = decided([model_event("promoted"), *counted(predictions(rows(2_000, 43)))])
    assert [event.window.records for event in looks(found)] == [500] * 4
    assert [event.detail["revision"] for event in looks(found)] == [0] * 4


def swapped(known_first=True):
    """v1 alone until the swap, then both versions in turn. v2's promotion is heard of before all, or after all."""
    old = predictions(rows(SWAP_MS // STEP_MS, 44))
    both = zip(
        predictions(rows(1_200, 45), first_ms=SWAP_MS),
        predictions(rows(1_200, 46), first_ms=SWAP_MS, version="v2"),
        strict=True,
    )
    told = counted([*old, *itertools.chain.from_iterable(both)])
    newer = model_event("promoted", "v2", 2)
    return [model_event("promoted"), *([newer, *told] if known_first else [*told, newer])]


@pytest.mark.parametrize("known_first", [True, False])
def test_no_window_reaches_over_a_change_of_models(known_first):
    found = decided(swapped(known_first))
    of_old = [event.window for event in looks(found) if event.model_version == "v1"]
    assert of_old and all(window.end <= SWAP_MS for window in of_old)
    era, of_new = "", []
    for event in found.events:
        era = event.model_version if event.kind == "era" else era
        assert event.kind != "verdict" or event.model_version == era
        of_new += [event] if event.provisional and era == "v2" else []
    assert all(event.window.start >= SWAP_MS for event in of_new)
    if known_first:  # else all of its windows are closed at once
        assert (of_new[0].generation, of_new[0].window_index, of_new[0].detail["revision"]) == (2, 0, 0)


def test_before_any_promotion_is_known_there_are_none():
    assert decided(drifting()[1:]).events == []


def test_snapshots_of_the_format_before_are_read_and_those_after_refused():
    values = drifting()[:12]
    one = decider(provisional=True)
    decide_all(one, enumerate(values))
    snapshot = msgspec.json.decode(one.snapshot())
    assert snapshot["look"]["revision"] == 0
    del snapshot["look"]
    older = load_snapshot(msgspec.json.encode(snapshot | {"format": FORMAT - 1}))
    again = decider(older, provisional=True)
    for offset in range(older.replay_from, older.offset):
        again.rebuild(offset, values[offset])
    (event,) = again.apply(12, model_event("registered", "v9", 0)).events
    assert event.detail["revision"] == 0, "a window may be told of again, and only then"


def test_the_setting_turns_them_off():
    assert decider_settings(Settings(), SCHEMA).provisional
    assert not decider_settings(Settings(monitor={"provisional": False}), SCHEMA).provisional

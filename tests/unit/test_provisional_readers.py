"""Everybody who reads `drift.events` leaves provisional verdicts out; `drift status` shows the newest, marked."""

import threading
import time
from dataclasses import dataclass

import msgspec
import pytest
from rich.console import Console
from tests.drift_stream import SCHEMA, STEP_MS, counted, decider, model_event, predictions, profile_bytes, rows
from tests.memory_stream import Record

from longshore import telemetry
from longshore.cli.demo import verify, watch
from longshore.cli.drift_status import Board, _line
from longshore.config import Settings
from longshore.monitor.decide import decide_all
from longshore.monitor.pages.of_events import EventsPage
from longshore.monitor.pages.page import html
from longshore.monitor.pages.story import Stories
from longshore.monitor.service_decide import _measure
from longshore.profile import Profile
from longshore.topics import Topics
from longshore.tracing.drift import Told, drift_of, passed

SHIFT_AT, TOTAL, OFF_MS = 1_500, 3_000, 350
TOPICS = Topics.of("p.", SCHEMA)


@pytest.fixture(scope="module")
def told():
    """A decider's events, an alert among them, each written a second after the one before."""
    calm, moved = rows(SHIFT_AT, 41), rows(TOTAL - SHIFT_AT, 42, factor=1.5)
    values = predictions(calm, first_ms=OFF_MS) + predictions(moved, first_ms=OFF_MS + SHIFT_AT * STEP_MS)
    messages = [model_event("promoted"), *counted(values)]
    events = decide_all(decider(provisional=True), enumerate(messages)).events
    assert [event.kind for event in events].count("alert") == 1
    return [Told(event, 1_000 * at) for at, event in enumerate(events)]


@pytest.fixture(scope="module")
def final(told):
    found = [one for one in told if not one.event.provisional]
    assert len(told) - len(found) >= 5
    return found


def test_episodes_have_no_part_of_them(told, final):
    def stories(events):
        gathered = Stories()
        for one in events:
            gathered.add(one)
        return gathered.found

    assert stories(told) == stories(final) != {}


def test_the_page_is_the_same_without_them(told, final):
    profile = Profile.from_bytes(profile_bytes())

    def page(events):
        gathered = EventsPage()
        for one in events:
            gathered.add(one)
        made = gathered.page(lambda _: profile, name="ships", now_ms=10**6)
        return gathered.summary(), html(made)

    assert page(told) == page(final)


def test_a_page_of_nothing_else_has_nothing_to_show(told):
    gathered = EventsPage()
    for one in (one for one in told if one.event.provisional):
        gathered.add(one)
    assert not gathered.judged


@pytest.mark.parametrize("event_time", [5_000, 14_000, 22_000, 10**6])
def test_a_trace_knows_final_verdicts_only(told, final, event_time):
    for at in range(0, 1_000 * len(told), 500):
        asked = {"scored_at": at, "event_time": event_time, "version": "v1"}
        assert drift_of(told, **asked) == drift_of(final, **asked)
    assert not any(passed(one.event, 0) for one in told if one.event.provisional)
    assert any(passed(one.event, 0) for one in final)


def test_the_status_shows_the_newest_until_the_window_is_final(told, final):
    board, plain, shown = Board(), Board(), 0
    for one in told:
        board.add(one)
        if not one.event.provisional:
            plain.add(one)
        mine, theirs = board.to_dict(10**6), plain.to_dict(10**6)
        early, at = (mine.pop(name) for name in ("provisional", "provisional_at"))
        assert mine == {name: value for name, value in theirs.items() if not name.startswith("provisional")}
        newest = one if one.event.provisional else None
        if newest is not None:
            assert (early, at) == (newest.event, newest.written_at)
            assert plain.verdict is None or early.window_index > plain.verdict.event.window_index
            text = printed(board)
            assert f"provisional: window {early.window_index} so far" in text
            assert f"(revision {early.detail['revision']}; it may still change)" in text
            assert f"(provisional, revision {early.detail['revision']})" in _line(one)
            shown += 1
        elif one.event.kind in ("verdict", "era"):
            assert early is None and "provisional" not in printed(board)
    assert shown >= 5 and "provisional" not in _line(final[-1])


def printed(board):
    console = Console(width=200)
    with console.capture() as capture:
        console.print(board.shown(10**6))
    return capture.get()


def test_before_the_first_final_verdict_the_status_has_an_early_one(told):
    board = Board()
    early = next(one for one in told if one.event.provisional)
    board.add(early)
    text = printed(board)
    assert "no window judged yet" in text and "provisional: window 0 so far" in text
    assert board.to_dict(0)["verdict"] is None


def as_messages(told):
    return [Record(TOPICS.events, 0, at, b"ships", msgspec.json.encode(one.event)) for at, one in enumerate(told)]


@dataclass
class Heard:
    """What the demo's watch makes of events."""

    story: watch.Story
    news: list


def heard(told, monkeypatch):
    done = threading.Event()

    def follow(_settings, topic, *, stop):
        if topic == TOPICS.events:
            yield as_messages(told)
            done.set()

    monkeypatch.setattr(watch, "follow", follow)
    news = []
    one = watch.Watch(Settings(), TOPICS, news.append)
    assert done.wait(10)
    one.close()
    return Heard(one.story, news)


def test_the_demo_hears_final_verdicts_only(told, final, monkeypatch):
    mine, theirs = heard(told, monkeypatch), heard(final, monkeypatch)
    assert mine.news == theirs.news == [one.event for one in final]
    assert mine.story == theirs.story
    assert not mine.story.trouble


def test_the_demo_checks_final_verdicts_only(told, final, monkeypatch):
    def read_all(_settings, topic):
        return [as_messages(told)] if topic == TOPICS.events else []

    monkeypatch.setattr(verify, "read_all", read_all)
    assert verify.read_back(Settings(), TOPICS).events == [one.event for one in final]


def test_metrics_count_and_show_final_verdicts_only(told, final):
    def counted():
        return sum(telemetry.VERDICTS.labels(alert)._value.get() for alert in ("true", "false"))

    events, one = [event.event for event in told], decider()
    before, started = counted(), time.time()
    _measure([event for event in events if event.provisional], one)
    assert counted() == before and telemetry.LAST_VERDICT._value.get() < started
    _measure(events, one)
    verdicts = [one.event for one in final if one.event.kind == "verdict"]
    assert counted() == before + len(verdicts)
    shown = telemetry.DRIFT_DISTANCE.labels(verdicts[-1].streams[0].name, "psi")._value.get()
    assert shown == verdicts[-1].streams[0].psi

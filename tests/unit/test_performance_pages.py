"""Realised errors where people look: the page, the terminal, the metrics, an episode's steps."""

import msgspec
import pytest
from rich.console import Console
from tests.error_stream import labelled_decider, story, watched

from longshore import telemetry
from longshore.cli.drift_status import Board
from longshore.monitor.decide import decide_all
from longshore.monitor.pages.errors import POINTS, ErrorHistory, sentence
from longshore.monitor.pages.of_events import EventsPage
from longshore.monitor.pages.page import html
from longshore.monitor.pages.story import Stories
from longshore.monitor.service_decide import _measure
from longshore.tracing.drift import Told


@pytest.fixture(scope="module")
def decided():
    one = labelled_decider()
    return one, decide_all(one, enumerate(story())).events


@pytest.fixture(scope="module")
def told(decided):
    return [Told(event, 1_000 * at) for at, event in enumerate(decided[1])]


def test_the_page_has_the_errors_over_time_then_and_now_and_by_segment(told):
    page = EventsPage()
    for one in told:
        page.add(one)
    text = html(page.page(lambda _: watched().profile, name="ships", now_ms=10_000))
    assert "Realised error" in text and "Loss test, log evidence" in text
    assert "predictions have become too high and errors have become wider" in text
    assert "By segment, most grown first" in text and ">PA<" in text
    assert page.summary()["alerts"] == 1
    assert "NaN" not in text and "None" not in text


def test_a_stream_without_labels_has_no_such_section(told):
    page = EventsPage()
    for one in told:
        if one.event.kind != "performance":
            page.add(one)
    assert "Realised error" not in html(page.page(lambda _: None, name="ships", now_ms=10_000))


def test_the_status_tells_of_the_last_window_of_labels(told):
    board = Board()
    for one in told:
        board.add(one)
    console = Console(width=200, record=True)
    console.print(board.shown(20_000))
    shown = console.export_text()
    assert "labels: 500 labels up to" in shown and "times that of held-out rows" in shown
    assert "The loss test is over its limit" in shown
    assert board.to_dict(20_000)["performance"].window.records == 500
    assert msgspec.json.encode(board.to_dict(20_000))


def test_metrics_follow_the_labels(decided):
    one, events = decided
    before = telemetry.LABELS_JUDGED._value.get()
    _measure(events, one)
    assert telemetry.LABELS_JUDGED._value.get() - before == 1_000
    assert telemetry.ERROR_GREW._value.get() == 1
    assert telemetry.ERROR.labels("rmse")._value.get() > 0.6
    assert telemetry.ERROR_RATIO.labels("rmse")._value.get() > 1.1
    assert telemetry.LOSS_EVIDENCE._value.get() > telemetry.LOSS_LIMIT._value.get() > 9


def test_an_episodes_steps_say_how_far_errors_have_grown(told):
    stories = Stories()
    for one in told:
        stories.add(one)
    (found,) = stories.found.values()
    assert found.cause == "concept" and found.began == 15_000
    assert found.steps[0].text.startswith("Alert: RMSE ")
    assert [step.kind for step in found.steps] == ["alert", "awaiting_labels", "retraining"]


def test_a_long_history_is_thinned_to_its_worst_windows(told):
    event = next(one.event for one in told if one.event.kind == "performance")
    history = ErrorHistory()
    for i in range(5 * POINTS):
        figures = event.detail["figures"] | {"rmse": 9.0 if i == 100 else 0.5}
        history.add(msgspec.structs.replace(event, detail=event.detail | {"figures": figures}, window_index=i))
    assert len(history.windows) < 2 * POINTS
    assert max(window.now["rmse"] for window in history.windows) == 9.0
    assert sentence(event).startswith("500 labels up to")

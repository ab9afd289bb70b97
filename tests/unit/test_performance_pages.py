"""Realised errors where people look: the page, the terminal, the metrics, an episode's steps."""

import msgspec
import pytest
from rich.console import Console
from tests.error_stream import labelled_decider, story, watched

from longshore import telemetry
from longshore.cli.drift_status import Board
from longshore.monitor.decide import decide_all
from longshore.monitor.pages.errors import POINTS, ErrorHistory, sentence
from longshore.monitor.pages.joined import JoinedLabels
from longshore.monitor.pages.of_events import EventsPage
from longshore.monitor.pages.page import html
from longshore.monitor.pages.story import Stories
from longshore.monitor.service_decide import _measure
from longshore.records import ModelEvent, ModelEventKind
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
    assert all(f"<title>{name} over time with its intervals" in text for name in ("RMSE", "MAE", "bias", "R²"))
    assert 'class="interval"' in text
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
    assert "model in use since 1970-01-01 00:00:00 UTC (event time)" in shown and "held-out 0.5" in shown
    assert "RMSE of the last 2 windows" in shown and len(board.to_dict(20_000)["recent_rmse"]) == 2
    assert board.to_dict(20_000)["model_age_ms"] > 20_000
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


def test_the_page_lists_requests_with_reasons_and_outcomes_and_the_versions_in_use(told):
    page = EventsPage()
    for one in told:
        page.add(one)
    (trigger,) = [one.event.detail["trigger_id"] for one in told if one.event.kind == "retraining"]
    given = ("default", "v1", 1, "", "ann", "the first", 500), ("default", "v2", 2, trigger, "t", "better", 900)
    kinds = (ModelEventKind.PROMOTED, ModelEventKind.PROMOTED)
    page.outcomes(ModelEvent(kind, *one) for kind, one in zip(kinds, given, strict=True))
    found = page.summary()
    assert [change["kind"] for change in found["changes"]] == ["alert", "awaiting_labels", "retraining"]
    assert found["changes"][0]["why"].startswith("Alert: RMSE ")
    assert found["changes"][-1]["outcome"] == "Model v2 promoted as generation 2 by t: better"
    (version,) = found["versions"]
    assert (version["version"], version["began_in_range"], version["labels"], version["alerts"]) == (
        "v1",
        True,
        1_000,
        1,
    )
    assert version["how"][0].endswith("by ann: the first")
    assert found["performance"]["windows"] == 2 and found["performance"]["windows_grown"] == 1
    text = html(page.page(lambda _: watched().profile, name="ships", now_ms=10_000))
    assert "Model v2 promoted as generation 2" in text and "Versions in use" in text


def test_what_became_of_labels_is_counted_within_the_range(told):
    """The events say what was left out since the era began; a range that begins later has the differences."""
    event = next(one.event for one in told if one.event.kind == "performance")

    def window(generation, **left_out):
        detail = event.detail | {"left_out": left_out}
        return Told(msgspec.structs.replace(event, detail=detail, generation=generation), 0)

    labels = JoinedLabels()
    for one in (window(1, late=5), window(1, late=9, duplicates=2)):
        labels.add(one)
    assert labels.to_dict() == {"joined": 1_000, "windows": 2, "left_out": {"late": 4, "duplicates": 2}}
    labels.add(Told(msgspec.structs.replace(event, kind="era", generation=2), 0))
    labels.add(window(2, late=1))
    assert labels.left_out == {"late": 5, "duplicates": 2} and labels.labels == 1_507

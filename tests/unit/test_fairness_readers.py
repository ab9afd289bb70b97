"""Groups where people look: the page, the terminal, the metrics, the notice; and no drift story of it."""

import pytest
from rich.console import Console
from tests.error_stream import story, watched
from tests.unit.test_monitor_fairness import COURSE, decider, labels

from longshore import telemetry
from longshore.alert_settings import AlertSettings
from longshore.cli.drift_status import Board
from longshore.monitor.alerts.notice import Notice, is_told
from longshore.monitor.decide import decide_all
from longshore.monitor.messages import encode
from longshore.monitor.pages.of_events import EventsPage
from longshore.monitor.pages.page import html
from longshore.monitor.service_decide import _measure
from longshore.records import Source
from longshore.tracing.drift import Told


@pytest.fixture(scope="module")
def decided():
    one = decider()
    values = [*story(0.0, 1.0), *(encode(labels(at + 5, at, off=off)) for at, off in enumerate(COURSE[:7]))]
    return one, decide_all(one, enumerate(values)).events


@pytest.fixture(scope="module")
def told(decided):
    return [Told(event, 1_000 * at) for at, event in enumerate(decided[1])]


def test_the_page_and_the_terminal_compare_groups_and_make_no_drift_story_of_it(told):
    page, board = EventsPage(), Board()
    for one in told:
        page.add(one)
        board.add(one)
    text = html(page.page(lambda _: watched().profile, name="ships", now_ms=10_000))
    assert "Errors by group" in text and "out of bounds size: 3 to 6 (mae_ratio)" in text
    assert "MAE over that of all" in text and "NaN" not in text and "None" not in text
    console = Console(width=300, record=True)
    console.print(board.shown(20_000))
    assert "groups: 500 labels up to" in console.export_text()
    assert board.to_dict(20_000)["fairness"].kind == "fairness"
    assert {one.cause for one in page.stories} <= {"concept"}


def test_metrics_name_the_groups_and_what_is_out_of_bounds(decided):
    one, events = decided
    _measure(events, one)
    errors = {sample.labels["group"] for sample in telemetry.GROUP_ERROR.collect()[0].samples}
    assert "size: 3 to 6" in errors and "all" in errors
    breaches = {tuple(sample.labels.values()) for sample in telemetry.FAIRNESS_BREACH.collect()[0].samples}
    assert ("size: 3 to 6", "mae_ratio") in breaches and len(breaches) < 4
    one.fairness.begin("v2")
    _measure([], one)
    assert not telemetry.FAIRNESS_BREACH.collect()[0].samples


def test_windows_are_quiet_and_the_alert_says_which_group_and_names_its_page(decided):
    quiet = AlertSettings().quiet_kinds
    kinds = [event.kind for event in decided[1] if event.cause == "fairness" and is_told(event, quiet)]
    assert kinds[0] == "fairness_alert" and "fairness" not in kinds
    alert = next(event for event in decided[1] if event.kind == "fairness_alert")
    notice = Notice(alert, Source("longshore.drift.events", 0, 7), 1_000, "default")
    assert notice.runbook == "docs/operations/fairness.md"
    assert "errors of a group are out of bounds" in notice.subject and "size: 3 to 6: mae_ratio" in notice.text

"""What people and Prometheus are told of faults: status, page, the story of a drift that waits, metrics."""

import pytest
from rich.console import Console
from tests.drift_stream import PROFILES, SCHEMA, decider, profile_bytes
from tests.elements import asks_nobody
from tests.quality_stream import story

from longshore import telemetry
from longshore.cli.drift_status import Board
from longshore.config import Settings
from longshore.monitor.decide import decide_all
from longshore.monitor.pages.of_events import EventsPage
from longshore.monitor.pages.page import html
from longshore.monitor.pages.story import Stories
from longshore.monitor.service_decide import Deciding
from longshore.profile import Profile
from longshore.tracing.drift import Told


@pytest.fixture(scope="module")
def told():
    """A typo while a drift waits, told a second apart."""
    events = decide_all(decider(), enumerate(story(("typo", "flag"), drift_at=2_500))).events
    return [Told(event, 1_000 * at) for at, event in enumerate(events)]


@pytest.fixture(scope="module")
def during(told):
    """The same up to the moment at which the drift waits."""
    last = next(at for at, one in enumerate(told) if one.event.kind == "quarantined")
    return told[: last + 1]


def board_of(told):
    board = Board()
    for one in told:
        board.add(one)
    return board


def shown(board):
    console = Console(width=200, record=True)
    console.print(board.shown(10_000_000))
    return console.export_text()


def page_of(told):
    page = EventsPage()
    for one in told:
        page.add(one)
    profile = Profile.from_bytes(profile_bytes())
    return page, html(page.page(lambda _: profile, name="ships", now_ms=10_000_000))


def test_status_says_what_is_broken_and_what_waits(told, during):
    now = board_of(during)
    text = shown(now)
    assert "faults of the data since" in text and "retraining waits for their end" in text
    assert "typo: flag has an unknown category" in text
    held = now.to_dict(0)["quality"]
    assert held["quarantine"] is True
    assert [(fault["kind"], fault["stream"], fault["about"]) for fault in held["faults"]] == [("typo", "flag", "PA")]
    after = board_of(told)
    assert after.to_dict(0)["quality"] == {"episode": None, "since": None, "quarantine": False, "faults": []}
    assert "faults of the data" not in shown(after)


def test_the_page_has_a_section_while_it_lasts_and_afterwards(told, during):
    summary, page = page_of(during)
    assert "Data quality" in page and "quarantine: no retraining until it is over" in page
    assert "flag has an unknown category" in page
    assert summary.summary()["quality"]["quarantine"] is True
    asks_nobody(page)
    _, page = page_of(told)
    assert "No fault lasts." in page and "Earlier: 1" in page
    assert "<title>typo, flag: 1970-01-01" in page and page.count('class="fault"') == 1


def test_a_fault_that_began_before_the_range_is_on_its_time_line(told):
    later = [one for one in told if one.event.kind == "verdict" and one.event.detail.get("faults")]
    assert later
    _, page = page_of(later)
    assert "Faults that had begun before this range" in page and 'class="fault"' in page


def test_without_a_fault_the_page_has_no_such_section():
    events = decide_all(decider(), enumerate(story(("none", "")))).events
    _, page = page_of([Told(event, 1_000 * at) for at, event in enumerate(events)])
    assert "Data quality" not in page


def test_a_fault_is_no_episode_of_drift_and_a_drift_that_waits_says_so(told):
    stories = Stories()
    for one in told:
        stories.add(one)
    (only,) = stories.found.values()
    assert only.cause == "covariate"
    assert "Quarantined: the data have faults, typo (flag); retraining waits for their end" in [
        step.text for step in only.steps
    ]


def test_a_metric_is_one_while_a_fault_lasts(told):
    deciding = Deciding(Settings(bootstrap_servers="none:1"), SCHEMA, PROFILES)
    one, messages, seen = decider(), story(("typo", "flag")), []
    for offset, message in enumerate(messages):
        one.apply(offset, message)
        deciding._measure_quality(one)
        seen.append((telemetry.QUALITY_FAULT.labels("typo", "flag")._value.get(), telemetry.QUARANTINE._value.get()))
    assert set(seen) == {(0.0, 0.0), (1.0, 1.0)}
    assert seen[0] == seen[-1] == (0.0, 0.0)

"""`longshore drift status`, `report` and `explain` on a real Kafka, with the decider's own events and a registry."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from tests.drift_stream import (
    PANE_MS,
    SCHEMA,
    SCHEMA_TOML,
    STEP_MS,
    counter,
    decider,
    model_event,
    predictions,
    profile_bytes,
    rows,
)
from tests.waiting import eventually

from longshore.cli.app import App
from longshore.cli.drift import drift
from longshore.cli.drift_events import follow_events
from longshore.cli.drift_folder import ReportFolder
from longshore.cli.drift_past import PastEvents, Range
from longshore.cli.drift_schedule import Reporter, StoppedError
from longshore.cli.drift_status import Board
from longshore.config import Settings
from longshore.errors import ConfigurationError, DataError, FormatError
from longshore.kafka.admin import create_topics
from longshore.kafka.client import client_config
from longshore.kafka.writer import Writer
from longshore.monitor.decide import decide_all
from longshore.monitor.messages import LabelsSeen, encode
from longshore.monitor.panes import Tally
from longshore.records import DriftEvent
from longshore.registry import Registry
from longshore.topics import Topics

pytestmark = pytest.mark.integration

START, SHIFT_AT, TOTAL = 1_790_000_000_000, 3_000, 6_500
HOUR_MS = 3_600_000


def decided() -> list[DriftEvent]:
    """The events of a calm stream that shifts: an alert, a request once there are labels."""
    calm, moved = rows(SHIFT_AT, 31), rows(TOTAL - SHIFT_AT, 32, factor=1.4)
    shift_ms = START + SHIFT_AT * STEP_MS
    values = predictions(calm, first_ms=START) + predictions(moved, first_ms=shift_ms)
    tally = Tally()
    counter().count(tally, values, list(range(len(values))))
    labels = LabelsSeen(0, [(shift_ms // PANE_MS + pane, 40) for pane in range(30)])
    messages = [model_event("promoted"), encode(tally.message(0, 1)), encode(labels)]
    return decide_all(decider(), enumerate(messages)).events


@pytest.fixture
def app(settings: Settings, tmp_path: Any) -> App:
    """Topics, a schema file, and a registry that holds v1."""
    schema_file = tmp_path / "ships.toml"
    schema_file.write_text(SCHEMA_TOML)
    settings = settings.model_copy(update={"schema_file": schema_file})
    create_topics(settings, Topics.of(settings.topic_prefix, SCHEMA).specs(settings))
    registry = Registry.open(settings.registry(), settings.model)
    assert registry.register({"profile": profile_bytes()}, {"model": settings.model}) == "v1"
    return App(settings)


@pytest.fixture
def written(app: App) -> list[DriftEvent]:
    """The decider's events, on the topic, with those of another stream set between them."""
    events = decided()
    other = msgspec.structs.replace(events[-1], stream_set="others", state="alarm", kind="alert")
    write(app, [msgspec.json.encode(event) for event in (*events, other)])
    return events


def write(app: App, values: list[bytes]) -> None:
    with Writer(app.settings) as writer:
        for value in values:
            writer.send(app.topics.events, b"ships", value)
        writer.flush()


def run(app: App, *arguments: str) -> Result:
    return CliRunner().invoke(drift, list(arguments), obj=app)


def test_status_tells_the_last_verdict_and_its_own_keys(app: App, written: list[DriftEvent]) -> None:
    result = run(app, "status", "--output", "json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    verdicts = [event for event in written if event.kind == "verdict"]
    assert msgspec.convert(told["verdict"], DriftEvent) == verdicts[-1]
    assert msgspec.convert(told["last"], DriftEvent) == written[-1]
    assert told["state"] == "retraining" and told["alerts"] == 1
    assert 0 <= told["verdict_age_ms"] < 600_000
    assert told["recent_p_values"]["cargo"][-1] == next(s.p_value for s in verdicts[-1].streams if s.name == "cargo")
    shown = run(app, "status").stdout
    for words in ("state retraining", "episode", "one false alert in 1,000,000 records", "cargo", "Wass. σ", "ago"):
        assert words in shown


def test_following_shows_each_event_as_it_comes(app: App, written: list[DriftEvent]) -> None:
    stop, board, heard, written_again = threading.Event(), Board(), [], False
    for batch in follow_events(app, stop):
        for told in batch:
            board.add(told)
            heard.append(told.event)
        if len(heard) == len(written) and not written_again:
            written_again = True
            write(app, [msgspec.json.encode(written[-1])])
        if len(heard) > len(written):
            stop.set()
    assert heard == [*written, written[-1]]
    assert board.last is not None and board.last.event == written[-1]


def test_the_live_table_on_a_terminal_ends_with_an_interrupt(app: App, written: list[DriftEvent]) -> None:
    """Drawn on a pseudo-terminal by the real command; Ctrl-C is how one leaves it, no failure."""
    terminal, end = pty.openpty()
    given = app.settings
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LONGSHORE_")} | {
        "LONGSHORE_BOOTSTRAP_SERVERS": str(given.bootstrap_servers),
        "LONGSHORE_TOPIC_PREFIX": given.topic_prefix,
        "LONGSHORE_SCHEMA_FILE": str(given.schema_file),
        "LONGSHORE_HOME": str(given.home),
        "TERM": "xterm",
        "COLUMNS": "120",
    }
    command = [sys.executable, "-m", "longshore.cli.main", "drift", "status", "--follow"]
    process = subprocess.Popen(command, stdin=end, stdout=end, stderr=end, env=environment)
    os.close(end)
    drawn = b""
    try:
        deadline = time.monotonic() + 60
        while b"last p-values" not in drawn and time.monotonic() < deadline:
            if select.select([terminal], [], [], 0.5)[0]:
                drawn += os.read(terminal, 65_536)
        process.send_signal(signal.SIGINT)
        with suppress(OSError):  # the other end is closed
            while time.monotonic() < deadline + 20 and select.select([terminal], [], [], 10)[0]:
                drawn += os.read(terminal, 65_536)
        assert process.wait(20) == 0, drawn.decode()
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    assert b"last p-values" in drawn and b"cargo" in drawn and b"retraining" in drawn
    assert b"Traceback" not in drawn


def test_report_writes_the_page(app: App, written: list[DriftEvent], tmp_path: Any) -> None:
    to = tmp_path / "drift.html"
    result = run(app, "report", "--to", str(to), "--output", "json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    verdicts = [event for event in written if event.kind == "verdict"]
    assert (told["path"], told["alerts"], told["windows"]) == (str(to), 1, len(verdicts))
    assert told["moved"][0] == "cargo"
    text = to.read_text(encoding="utf-8")
    assert "cargo" in text and "usually ≤" in text and told["episodes"][0] in text
    assert "Retraining requested" in text
    shift = "2026-09-21T14:13:50Z"  # START and SHIFT_AT steps
    before = json.loads(run(app, "report", "--to", str(to), "--until", shift, "--output", "json").stdout)
    after = json.loads(run(app, "report", "--to", str(to), "--since", shift, "--output", "json").stdout)
    assert before["alerts"] == 0 and before["windows"] + after["windows"] == len(verdicts)


def delete_before(app: App, offset: int) -> None:
    """As retention does."""
    admin = AdminClient(client_config(app.settings))
    for future in admin.delete_records([TopicPartition(app.topics.events, 0, offset)]).values():
        future.result(timeout=20)


def test_a_range_is_read_from_where_the_topic_has_it_and_a_cut_is_said(app: App, tmp_path: Any) -> None:
    """Events written at the times of their windows, as those of a live stream are; then retention comes."""
    events = decided()
    topic, key = app.topics.events, b"ships"
    producer = Producer(client_config(app.settings))
    for event in events:
        producer.produce(topic, msgspec.json.encode(event), key, timestamp=event.window.end + HOUR_MS)
    producer.flush()
    since = next(event.window.end for event in events if event.kind == "alert")
    wanted = [event for event in events if event.window.end > since]
    past = PastEvents(app, Range(since))
    assert [told.event for told in past] == wanted and not past.missing
    until = events[len(events) // 3].window.end
    early = PastEvents(app, Range(None, until))
    assert [told.event for told in early] == [event for event in events if event.window.start < until]
    delete_before(app, len(events) - 3)
    cut = PastEvents(app, Range(since))
    assert [told.event for told in cut] == events[-3:]
    assert "holds nothing from before" in cut.missing
    to = tmp_path / "cut.html"
    result = run(app, "report", "--since", "2026-09-21", "--to", str(to), "--output", "json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["range"]["missing"] in to.read_text(encoding="utf-8")


def test_made_up_times_ahead_of_the_clock_are_read_from_the_beginning(app: App) -> None:
    """Written long before their event times: the time index would lead past them."""
    events = decided()
    producer = Producer(client_config(app.settings))
    for event in events:
        producer.produce(app.topics.events, msgspec.json.encode(event), b"ships", timestamp=START - 30 * 24 * HOUR_MS)
    producer.flush()
    since = events[len(events) // 2].window.end
    assert [t.event for t in PastEvents(app, Range(since))] == [e for e in events if e.window.end > since]


def test_reports_by_the_calendar_are_made_once_for_each_slot(
    app: App, written: list[DriftEvent], tmp_path: Any
) -> None:
    """Page and JSON by range, the list of them, the oldest gone; a slot is made once, and a pause costs no second."""
    now = [(START + 2 * 24 * HOUR_MS) / 1_000]
    folder = ReportFolder(tmp_path / "reports", SCHEMA.name, 2)
    folder.prepare()
    reporter = Reporter(app, folder, "daily", 0, 0, clock=lambda: now[0])
    stop, made = threading.Event(), []
    for day in (0, 0, 1, 4):
        now[0] = (START + (day + 1) * 24 * HOUR_MS) / 1_000
        made.append(reporter.tick(stop))
    assert made == [True, False, True, True]
    pages = sorted(path.name for path in folder.folder.glob("ships-*.html"))
    assert pages == [
        f"ships-daily-{day}.html" for day in ("20260922T0000Z-20260923T0000Z", "20260925T0000Z-20260926T0000Z")
    ]
    values = json.loads((folder.folder / pages[0]).with_suffix(".json").read_bytes())
    assert values["alerts"] == 0 and "No window of ships was judged" in values["sentence"]
    index = (folder.folder / "index.html").read_text(encoding="utf-8")
    assert all(name in index for name in pages) and "No window of ships was judged" in index
    assert len(list(folder.folder.iterdir())) == 5
    stop.set()
    now[0] += 24 * 3_600
    with pytest.raises(StoppedError):
        Reporter(app, folder, "daily", 0, 0, clock=lambda: START / 1_000 + 86_400 - 51_000).tick(stop)


def test_the_scheduled_command_writes_and_leaves_on_a_signal(app: App, tmp_path: Any) -> None:
    given, folder = app.settings, tmp_path / "reports"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LONGSHORE_")} | {
        "LONGSHORE_BOOTSTRAP_SERVERS": str(given.bootstrap_servers),
        "LONGSHORE_TOPIC_PREFIX": given.topic_prefix,
        "LONGSHORE_SCHEMA_FILE": str(given.schema_file),
        "LONGSHORE_HOME": str(given.home),
    }
    command = [sys.executable, "-m", "longshore.cli.main", "drift", "report", "--every", "weekly", "--to", str(folder)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    try:
        eventually((folder / "index.html").exists, 60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, process.stderr.read().decode() if process.stderr else ""
    finally:
        process.kill()
        process.wait()
    assert len(list(folder.glob("ships-weekly-*.json"))) == 1


def test_report_needs_no_registry(app: App, written: list[DriftEvent], tmp_path: Any) -> None:
    bare = App(app.settings.model_copy(update={"registry_url": str(tmp_path / "none")}))
    to = tmp_path / "bare.html"
    assert run(bare, "report", "--to", str(to)).exit_code == 0
    assert "no readable profile of v1" in to.read_text(encoding="utf-8")


def test_explain_tells_the_episode(app: App, written: list[DriftEvent]) -> None:
    (alert,) = [event for event in written if event.kind == "alert"]
    last, by_id, by_prefix = (
        json.loads(run(app, "explain", given, "--output", "json").stdout)
        for given in ("last", alert.episode, alert.episode[:5])
    )
    assert last == by_id == by_prefix
    assert last["id"] == alert.episode and last["cause"] == "covariate"
    assert abs(last["began"] - (START + SHIFT_AT * STEP_MS)) <= 500 * STEP_MS
    assert [step["kind"] for step in last["steps"]] == ["alert", "awaiting_labels", "retraining"]
    assert last["streams"][0]["name"] == "cargo"
    assert last["streams"][0]["at_alert"]["psi"] > last["streams"][0]["usual_95"]["psi"]
    assert last["by_scale"]["1"] == pytest.approx(last["p_value"]) and last["limit"] > last["p_value"]
    assert any("above" in each["range"] for each in last["ranges"]["cargo"])
    shown = run(app, "explain", "last").stdout
    for words in (f"Episode {alert.episode}", "What moved", "Where cargo moved", "Evidence by scale", "What was done"):
        assert words in shown


def test_what_is_not_there_is_said_with_what_is(app: App, written: list[DriftEvent]) -> None:
    (alert,) = [event for event in written if event.kind == "alert"]
    error = run(app, "explain", "nope").exception
    assert isinstance(error, ConfigurationError) and alert.episode in str(error)
    error = run(app, "report", "--since", "2027-01-01").exception
    assert isinstance(error, DataError) and "--since" in str(error)
    assert run(app, "report", "--since", "2h", "--until", "2000-01-01").exit_code == 2


def test_an_empty_topic_is_no_traceback(app: App) -> None:
    assert run(app, "status").stdout.strip() == "no drift events yet"
    for arguments in (("report",), ("explain", "last")):
        error = run(app, *arguments).exception
        assert isinstance(error, DataError) and app.topics.events in str(error)


def test_what_is_no_event_is_named(app: App) -> None:
    write(app, [b"{}"])
    error = run(app, "status").exception
    assert isinstance(error, FormatError) and "offset 0" in str(error)

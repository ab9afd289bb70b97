"""The notifying role on a real Kafka and with a real receiver that fails, is slow, hangs up and goes away."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import pytest
from click.testing import CliRunner
from pydantic import SecretStr
from tests.alert_world import SECRET, STEPS, Receiver, committed, episodes, event, write
from tests.waiting import eventually

from longshore import telemetry
from longshore.alert_settings import AlertSettings, WebhookSettings
from longshore.cli.alerts import alerts
from longshore.cli.app import App
from longshore.cli.doctor import _alerts
from longshore.config import Settings
from longshore.errors import UnavailableError
from longshore.kafka.admin import create_topics, end_offsets
from longshore.monitor.alerts.configured import targets_of
from longshore.monitor.service import Pulse, run_notify
from longshore.schema import districts
from longshore.service import Runtime
from longshore.topics import Topics

pytestmark = pytest.mark.integration


def settings_with(settings: Settings, receivers: dict[str, Receiver], **more: object) -> Settings:
    hooks = {
        name: WebhookSettings(url=SecretStr(receiver.url), secret=SecretStr(f"{SECRET} {SECRET}"))
        for name, receiver in receivers.items()
    }
    given = {"webhooks": hooks, "timeout_s": 0.3, "backoff_s": 0.05, "max_backoff_s": 0.2, "log": False} | more
    return settings.model_copy(update={"alerts": AlertSettings.model_validate(given)})


@contextmanager
def notifier(settings: Settings) -> Iterator[None]:
    """What `longshore monitor --role notify` runs, in this process."""
    runtime = Runtime("monitor")
    targets = targets_of(settings.alerts)
    pulse = Pulse(runtime, [f"notify {target.name}" for target in targets])
    with ThreadPoolExecutor(len(targets)) as pool:
        running = [
            pool.submit(run_notify, settings, districts(), runtime, target=target, pulse=pulse) for target in targets
        ]
        try:
            yield
        finally:
            runtime.stop.set()
        for each in running:
            each.result(30)


@pytest.fixture
def topic(settings: Settings) -> str:
    topics = Topics.of(settings.topic_prefix, districts())
    create_topics(settings, topics.specs(settings))
    return topics.events


def tried(target: str, outcome: str) -> float:
    found: float = telemetry.NOTIFICATIONS.labels(target, outcome)._value.get()
    return found


def test_each_state_change_is_taken_once_in_order_signed_whatever_the_receiver_does(
    settings: Settings, topic: str
) -> None:
    """It fails, refuses, is too slow, hangs up, goes away and comes back; another receiver waits for none of it."""
    expected = [(f"e{number}", kind) for number in range(6) for kind in STEPS]
    write(settings, topic, episodes(0, 4))
    with Receiver() as bad, Receiver() as good:
        bad.act(500, 503, 400, "slow", "cut", 302, 200, "slow", 429)
        settings = settings_with(settings, {"bad": bad, "good": good})
        group = f"{settings.topic_prefix}{settings.monitor.group}.notify.webhook.bad"
        with notifier(settings):
            eventually(lambda: len(good.taken()) == 16, what="all at the good one")
            eventually(bad.acted, what="everything the bad one does")
            eventually(lambda: len(bad.taken()) >= 10, what="half of it")
            bad.stop()
            failed = tried("webhook.bad", "failed")
            write(settings, topic, episodes(4, 6))
            eventually(lambda: tried("webhook.bad", "failed") > failed + 2, what="tries at a closed port")
            assert telemetry.NOTIFICATION_OLDEST.labels("webhook.bad")._value.get() > 1e9
            bad.start()
            eventually(lambda: len(bad.taken()) >= 24, what="all at the bad one")
            end = end_offsets(settings, topic)
            eventually(lambda: committed(settings, group, topic) == end, what="the committed position")
        with notifier(settings):  # nothing is told again by the next one
            write(settings, topic, [event("alert", "e9")])
            eventually(lambda: good.told()[-1] == bad.told()[-1] == ("e9", "alert"), what="the next one")
        assert bad.told() == good.told() == [*expected, ("e9", "alert")]
        assert bad.wrong() == good.wrong() == []
        assert len(good.received) == 25, "the good one got no repeat"


def test_a_first_start_tells_of_the_last_hour_and_not_of_the_past(settings: Settings, topic: str) -> None:
    write(settings, topic, episodes(0, 1))
    with Receiver() as receiver:
        for look_back_s, name in ((0, "none"), (3_600, "hour")):
            with notifier(settings_with(settings, {name: receiver}, look_back_s=look_back_s)):
                group = f"{settings.topic_prefix}{settings.monitor.group}.notify.webhook.{name}"
                eventually(partial(committed, settings, group, topic), what="a position")
                write(settings, topic, [event("alert", name)])
                eventually(lambda name=name: receiver.told()[-1:] == [(name, "alert")], what="the newest")  # type: ignore[misc]
    assert receiver.told() == [("none", "alert"), *[("e0", kind) for kind in STEPS], ("hour", "alert")]


def test_the_command_tells_what_each_answers_and_doctor_whether_it_is_there(settings: Settings) -> None:
    with Receiver() as receiver:
        app = App(settings_with(settings, {"pager": receiver}, log=True))
        receiver.act(200, 404)
        first = CliRunner().invoke(alerts, ["test", "--output", "json"], obj=app)
        assert (first.exit_code, [data["kind"] for data in receiver.taken()]) == (0, ["test"])
        assert '"outcome": "delivered"' in first.stdout and "webhook.pager" in first.stdout
        second = CliRunner().invoke(alerts, ["test", "--target", "webhook.pager"], obj=app)
        assert (second.exit_code, second.stdout.split()) == (1, ["refused", "webhook.pager", "404", "so"])
        assert "webhook.pager can be reached" in _alerts(app)
        assert SECRET not in first.output + second.output
    with pytest.raises(UnavailableError):
        _alerts(app)
    third = CliRunner().invoke(alerts, ["test", "--target", "gone"], obj=app)
    assert "choose from webhook.pager, log" in str(third.exception)

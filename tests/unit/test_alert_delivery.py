"""The notifier against receivers that say no, later or nothing: order, repeats, pauses, positions. No real clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from tests.alert_world import SECRET, STEPS, episodes, event
from tests.memory_stream import MemoryStream, Record

from longshore import telemetry
from longshore.alert_settings import AlertSettings, WebhookSettings
from longshore.config import Settings
from longshore.errors import ConfigurationError
from longshore.monitor.alerts.configured import has_receivers, targets_of
from longshore.monitor.alerts.notice import Notice
from longshore.monitor.alerts.signature import key_of, verify
from longshore.monitor.alerts.targets import Alertmanager, Log, Open, Request, Target, Webhook, alert_of
from longshore.monitor.alerts.tries import Answer, Backoff, Outcome
from longshore.monitor.alerts.waiting import Waiting
from longshore.monitor.service_notify import Notifying
from longshore.records import DriftEvent, Source

EVENTS = "p.drift.events"
YES, NO, LATER = Answer(200), Answer(400, "no"), Answer(503)
TOLD = [(f"e{number}", kind) for number in range(2) for kind in STEPS]


class World:
    """A topic, a target, a receiver that answers as told, and a clock that moves when it is waited for."""

    def __init__(self, target: Target, events: list[DriftEvent], answers: Iterator[Answer], **alerts: Any) -> None:
        self.settings = Settings(alerts=AlertSettings(backoff_s=1, max_backoff_s=8, **alerts))
        records = [
            Record(EVENTS, 0, n, b"ships", msgspec.json.encode(e), None, 1_000 * n) for n, e in enumerate(events)
        ]
        self.stream = MemoryStream({EVENTS: records}, [EVENTS])
        self.target = target
        self.answers = answers
        self.now = 100.0
        self.sent: list[tuple[float, Request]] = []
        self.notifying = self.again()

    def again(self) -> Notifying:
        """Another process in its place."""
        self.notifying = Notifying(
            self.settings,
            self.target,
            send=self._send,
            clock=lambda: self.now,
            wall=lambda: self.now,
            chance=lambda: 1.0,
        )
        return self.notifying

    def run(self, steps: int, tick_s: float = 0.25) -> None:
        for _ in range(steps):
            self.notifying.step(self.stream)
            self.now += tick_s

    def committed(self) -> int:
        return self.stream._committed[EVENTS]

    def told(self) -> list[tuple[str, str]]:
        """Episode and kind of each request in order, repeats included."""
        return [(data["episode"], data["kind"]) for data in map(data_of, self.sent)]

    def _send(self, request: Request) -> Answer:
        self.sent.append((self.now, request))
        return next(self.answers, YES)


def data_of(sent: tuple[float, Request]) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.json.decode(sent[1].body)["data"]
    return data


def webhook(name: str = "webhook.pager") -> Webhook:
    return Webhook(name, "http://receiver/hook", [key_of(SECRET, "secret")])


def without_repeats(told: list[Any]) -> list[Any]:
    return list(dict.fromkeys(told))


# Order and repeats


def test_each_state_change_is_told_once_in_order_and_no_verdict() -> None:
    world = World(webhook(), episodes(0, 2), iter(()))
    world.run(20)
    assert world.told() == TOLD
    assert world.committed() == len(episodes(0, 2))


@given(st.lists(st.sampled_from([YES, NO, LATER, Answer(0), Answer(429)]), max_size=40), st.integers(0, 30))
def test_whatever_it_answers_nothing_is_lost_or_overtaken(answers: list[Answer], restart_at: int) -> None:
    """And a position is never ahead of what was accepted, so a restart at any moment loses nothing either."""
    world = World(webhook(), episodes(0, 2), iter(answers))

    everything = episodes(0, 2)

    def check() -> None:
        good = [sent for sent, answer in zip(world.sent, [*answers, *[YES] * 99], strict=False) if answer == YES]
        offsets = {data_of(sent)["source"]["offset"] for sent in good}
        assert {n for n, one in enumerate(everything[: world.committed()]) if one.kind in STEPS} <= offsets

    for step in range(300):
        if step > restart_at and world.committed() == len(everything):
            break
        before = world.committed()
        world.run(1, 2.0)
        if world.committed() != before:
            check()
        if step == restart_at:
            world.stream._positions = dict(world.stream._committed)
            world.again()
    assert without_repeats(world.told()) == TOLD
    assert world.committed() == len(everything)
    bodies = {(data_of(sent)["id"], sent[1].body) for sent in world.sent}
    assert len(bodies) == len(TOLD), "one id, one body"


def test_every_try_is_signed_at_its_own_time_with_the_same_id() -> None:
    world = World(webhook(), [event("alert", "e0")], iter([LATER, LATER, LATER]))
    world.run(40)
    sent = [(at, request.headers, request.body) for at, request in world.sent]
    assert len(sent) == 4
    assert len({headers["webhook-id"] for _, headers, _ in sent}) == 1
    assert all(headers["webhook-timestamp"] == str(int(at)) for at, headers, _ in sent)
    assert all(verify(SECRET, headers, body, now_s=at) for at, headers, body in sent)


def test_an_abort_reads_again_and_repeats_under_the_same_id() -> None:
    world = World(webhook(), episodes(0, 1), iter(()))
    world.run(1)
    world.stream.fail_next = 1
    world.run(30)
    assert without_repeats(world.told()) == TOLD[:4]
    ids = [data_of(sent)["id"] for sent in world.sent]
    assert len(ids) == 5 and len(set(ids)) == 4


def test_what_is_no_event_holds_nobody_up_and_is_counted() -> None:
    world = World(webhook("webhook.unreadable"), [event("alert", "e0")], iter(()))
    topic = world.stream.topics[EVENTS]
    topic.insert(0, Record(EVENTS, 0, 0, b"ships", b'{"kind": 7}'))
    topic[1] = Record(EVENTS, 0, 1, b"ships", topic[1].value(), None, 1_000)
    world.run(10)
    assert world.told() == [("e0", "alert")]
    assert count("webhook.unreadable", "unreadable") == 1
    assert world.committed() == 2


# Pauses and refusals


def test_pauses_double_up_to_the_cap_and_begin_anew() -> None:
    world = World(webhook(), episodes(0, 1), iter([LATER] * 6 + [YES] + [LATER] * 2))
    world.run(400)
    times = [at for at, _ in world.sent]
    pauses = [after - before for before, after in pairwise(times)]
    assert pauses[:6] == [1, 2, 4, 8, 8, 8]
    assert pauses[7:9] == [1, 2]


@given(st.integers(0, 2_000), st.floats(0, 1, exclude_max=True))
def test_a_pause_is_between_half_and_all_of_it(tries: int, chance: float) -> None:
    backoff = Backoff(0.5, 60, lambda: chance)
    pause = 0.0
    for _ in range(tries + 1):
        pause = backoff.pause_s(LATER)
    full = min(60.0, 0.5 * 2.0 ** min(tries, 30))
    assert full / 2 <= pause <= full
    assert backoff.pause_s(Answer(429, retry_after_s=1e9)) == 60
    backoff.succeeded()
    assert backoff.pause_s(Answer(429, retry_after_s=7)) == 7


@pytest.mark.parametrize("status", [0, 100, 200, 204, 301, 307, 400, 401, 404, 408, 410, 425, 429, 500, 503])
def test_what_a_status_means(status: int) -> None:
    delivered, refused = status in (200, 204), status in (301, 307, 400, 401, 404, 410)
    expected = Outcome.DELIVERED if delivered else Outcome.REFUSED if refused else Outcome.FAILED
    assert Answer(status).outcome is expected


def test_a_refusal_is_tried_for_ever_unless_told_otherwise() -> None:
    world = World(webhook("webhook.stubborn"), episodes(0, 1), iter([NO] * 50))
    world.run(400, 8.0)
    assert world.told()[:51] == [TOLD[0]] * 51
    assert without_repeats(world.told()) == TOLD[:4]
    assert (count("webhook.stubborn", "refused"), count("webhook.stubborn", "passed_over")) == (50, 0)


def test_with_a_limit_a_refused_one_is_passed_over_and_a_failed_one_never() -> None:
    answers = [NO, LATER, NO, LATER, NO] + [LATER] * 20
    world = World(webhook("webhook.limited"), episodes(0, 1), iter(answers), refused_tries=3)
    world.run(400, 8.0)
    assert world.told() == [TOLD[0]] * 5 + [TOLD[1]] * 21 + TOLD[2:4]
    assert (count("webhook.limited", "passed_over"), count("webhook.limited", "delivered")) == (1, 3)
    assert world.committed() == len(episodes(0, 1))


def test_what_waits_is_a_metric_with_its_age() -> None:
    world = World(webhook("webhook.age"), episodes(0, 1), iter([LATER] * 3))
    world.run(3)
    assert telemetry.NOTIFICATIONS_WAITING.labels("webhook.age")._value.get() == 4
    assert telemetry.NOTIFICATION_OLDEST.labels("webhook.age")._value.get() == 2, "the third record, a second each"
    world.run(100)
    assert telemetry.NOTIFICATION_OLDEST.labels("webhook.age")._value.get() == 0


# Alertmanager


def posted(world: World) -> list[list[dict[str, Any]]]:
    return [msgspec.json.decode(request.body) for _, request in world.sent]


def test_an_alertmanager_hears_of_an_open_episode_again_and_again_until_it_is_over() -> None:
    manager = Alertmanager("alertmanager.main", "http://am:9093/")
    world = World(manager, [event("alert", "e0"), event("retraining", "e0")], iter(()), repeat_s=10)
    world.run(200)
    assert {request.url for _, request in world.sent} == {"http://am:9093/api/v2/alerts"}
    assert [len(alerts) for alerts in posted(world)] == [1] * 6, "two state changes, and four times in 50 s"
    labels = {tuple(sorted(alerts[0]["labels"].items())) for alerts in posted(world)}
    assert len(labels) == 1
    assert not any("endsAt" in alerts[0] for alerts in posted(world))
    assert posted(world)[-1][0]["annotations"]["kind"] == "retraining"
    topic = world.stream.topics[EVENTS]
    topic.append(Record(EVENTS, 0, 2, b"ships", msgspec.json.encode(event("resolved", "e0")), None, 90_000))
    count_before = len(world.sent)
    world.run(200)
    assert len(world.sent) == count_before + 1
    (last,) = posted(world)[-1]
    assert (last["startsAt"], last["endsAt"]) == ("1970-01-01T00:00:00.000Z", "1970-01-01T00:01:30.000Z")


def test_a_restart_knows_what_is_open() -> None:
    """Its position stays at the oldest open episode, however much was told since."""
    manager = Alertmanager("alertmanager.main", "http://am:9093")
    opened = [*episodes(0, 1), event("alert", "e7"), *episodes(1, 2)]
    world = World(manager, opened, iter(()), repeat_s=10)
    world.run(60)
    assert world.committed() == opened.index(event("alert", "e7")) == 12
    world.target = Alertmanager("alertmanager.main", "http://am:9093")
    world.stream._positions = dict(world.stream._committed)
    world.sent.clear()
    world.again()
    world.run(20)
    assert [alerts[0]["labels"]["episode"] for alerts in posted(world)] == ["e7"] + ["e1"] * 4
    world.run(60)
    assert posted(world)[-1][0]["labels"]["episode"] == "e7"
    world.stream.topics[EVENTS].append(
        Record(EVENTS, 0, len(opened), b"s", msgspec.json.encode(event("resolved", "e7")))
    )
    world.run(20)
    assert world.committed() == len(opened) + 1


def test_an_alert_never_ends_before_it_began_and_one_without_an_episode_is_told_apart() -> None:
    def at(told: DriftEvent, ms: int) -> Notice:
        return Notice(told, Source(EVENTS, 0, 0), ms, "default")

    first, last = at(event("alert", "e0"), 5_000), at(event("resolved", "e0"), 4_000)
    alert = alert_of(Open(first, last), over=True)
    assert alert["startsAt"] == alert["endsAt"]
    assert alert["labels"] == {
        "alertname": "LongshoreEpisode", "severity": "warn", "cause": "covariate", "episode": "e0", "model": "default",
        "stream_set": "ships",
    }  # fmt: skip
    lone = alert_of(Open(at(event("kpi_low"), 0), at(event("kpi_low"), 0)), over=False)
    assert (lone["labels"]["alertname"], lone["labels"]["kind"]) == ("LongshoreNotice", "kpi_low")


def test_a_repeat_that_fails_is_tried_again_sooner_and_delays_no_state_change() -> None:
    manager = Alertmanager("alertmanager.flaky", "http://am:9093")
    world = World(manager, [event("alert", "e0")], iter([YES, LATER, LATER, YES]), repeat_s=10)
    world.run(80)
    assert [round(at - 100) for at, _ in world.sent] == [0, 10, 11, 13]
    assert count("alertmanager.flaky", "failed") == 2


# Partitions and settings


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=30), st.integers(0, 30))
def test_a_position_covers_nothing_that_waits(read: list[tuple[int, bool]], done: int) -> None:
    waiting, offsets = Waiting(), [0, 0, 0]
    for partition, told in read:
        source = Source("t", partition, offsets[partition])
        waiting.read(("t", partition), offsets[partition], Notice(event("alert"), source, 0, "m") if told else None)
        offsets[partition] += 1
    queue = [(p, o) for (p, told), o in zip(read, _numbered(read), strict=True) if told]
    for _ in range(min(done, len(queue))):
        waiting.done()
    left = queue[min(done, len(queue)) :]
    for (_, partition), at in waiting.positions({}).items():
        assert at == min((o for p, o in left if p == partition), default=offsets[partition])
    waiting.forget({("t", 0)})
    assert ("t", 0) not in waiting.positions({})
    assert len(waiting) == sum(p != 0 for p, _ in left)
    waiting.forget()
    assert waiting.positions({}) == {} and waiting.first() is None


def _numbered(read: list[tuple[int, bool]]) -> Iterator[int]:
    seen = [0, 0, 0]
    for partition, _ in read:
        yield seen[partition]
        seen[partition] += 1


def test_the_settings_name_the_targets(tmp_path: Any) -> None:
    (tmp_path / "secrets").write_text(f"{SECRET}\n{SECRET}\n")
    settings = AlertSettings(
        webhooks={
            "pager": WebhookSettings(url=SecretStr("https://r/x"), secret=SecretStr(SECRET)),
            "chat": WebhookSettings(url=SecretStr("http://r"), secret_file=tmp_path / "secrets"),
        },
        alertmanagers={"main": SecretStr("http://am:9093")},
    )
    assert [target.name for target in targets_of(settings)] == [
        "webhook.pager",
        "webhook.chat",
        "alertmanager.main",
        "log",
    ]
    assert has_receivers(settings) and not has_receivers(AlertSettings())
    assert [type(target) for target in targets_of(AlertSettings())] == [Log]


def _with(**given: Any) -> AlertSettings:
    return AlertSettings(
        webhooks={"pager": WebhookSettings(**{"url": SecretStr("https://r/token"), **given})}, log=False
    )


WRONG: dict[str, Callable[[], AlertSettings]] = {
    "no secret": _with,
    "two secrets": lambda: _with(secret=SecretStr(SECRET), secret_file="x"),  # noqa: S106
    "secret": lambda: _with(secret=SecretStr(" ")),
    "secret_file = /gone": lambda: _with(secret_file="/gone"),  # noqa: S106
    "url is no address": lambda: _with(url=SecretStr("ftp://token"), secret=SecretStr(SECRET)),
    "main is no address": lambda: AlertSettings(alertmanagers={"main": SecretStr("http://")}),
    "nobody": lambda: AlertSettings(log=False),
}


@pytest.mark.parametrize("named", WRONG)
def test_targets_that_cannot_be_are_refused_without_showing_a_secret(named: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        targets_of(WRONG[named]())
    assert named.replace("two secrets", "secret and secret_file") in str(caught.value)
    assert "token" not in str(caught.value) and SECRET not in str(caught.value)


def test_neither_a_request_nor_a_target_shows_a_secret() -> None:
    request = Request("https://user:hunter2@r/token", {"webhook-signature": "v1,secret"}, b"{}")
    assert not any(secret in repr(request) for secret in ("hunter2", "token", "v1,"))


def count(target: str, outcome: str) -> float:
    found: float = telemetry.NOTIFICATIONS.labels(target, outcome)._value.get()
    return found

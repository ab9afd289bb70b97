"""Retraining by the calendar: one request for a slot, whichever trainers ask, whoever dies before sending it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from longshore.cli.app import App
from longshore.cli.train import train
from longshore.config import Settings
from longshore.errors import UnavailableError
from longshore.records import RetrainRequest
from longshore.registry import Registry
from longshore.slots import slot_of
from longshore.trainer.schedule import RESEND_S, Scheduler, trigger_id

MONDAY = datetime(2026, 11, 23, 8, tzinfo=UTC).timestamp()
DAY = 86_400.0
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


class World:
    """A registry whose champion was made on Sunday, the time, and everything that was sent."""

    def __init__(self, folder: Path) -> None:
        self.now = MONDAY - DAY
        self.registry = Registry.open(str(folder), "m", clock=lambda: self.now)
        self.sent: list[RetrainRequest] = []
        self.promote()
        self.now = MONDAY

    def promote(self) -> None:
        version = self.registry.register({"model.onnx": b""}, {})
        current = self.registry.alias()
        generation = current.generation if current else 0
        self.registry.move_alias(
            "champion", version, expected_generation=generation, trigger_id="", actor="t", reason=""
        )

    def scheduler(self, schedule: str = "daily") -> Scheduler:
        return Scheduler(self.registry, schedule, self.sent.append, lambda: self.now)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_replicas_ask_once_a_day(world: World) -> None:
    replicas = [world.scheduler() for _ in range(3)]
    for _ in range(50):
        for replica in replicas:
            replica.tick()
        if world.sent and not world.registry.taken_on(world.sent[-1].trigger_id):
            assert world.registry.claim(world.sent[-1].trigger_id, owner="me", ttl_s=1)
        world.now += DAY / 20
    asked = [(request.episode, request.trigger_id) for request in world.sent]
    days = [f"daily-2026-11-{day}" for day in (23, 24, 25)]
    assert asked == [(day, trigger_id("v1", day)) for day in days]
    assert {request.cause for request in world.sent} == {"schedule"}


def test_a_champion_made_in_the_slot_needs_no_other(world: World) -> None:
    weekly, daily = world.scheduler("weekly"), world.scheduler()
    world.promote()
    weekly.tick()
    daily.tick()
    assert world.sent == []
    world.now += DAY
    daily.tick()
    weekly.tick()
    assert [request.episode for request in world.sent] == ["daily-2026-11-24"]
    assert world.sent[0].model_version == "v2"
    world.now += 6 * DAY
    weekly.tick()
    assert world.sent[-1].episode == "weekly-2026-W49"


def test_what_a_killed_trainer_fixed_and_did_not_send_is_sent_by_another(world: World) -> None:
    def dies(request: RetrainRequest) -> None:
        raise UnavailableError("Kafka is away")

    with pytest.raises(UnavailableError):
        Scheduler(world.registry, "daily", dies, lambda: world.now).tick()
    other = world.scheduler()
    other.tick()
    assert world.sent == []  # its maker may be about to send it
    world.promote()
    world.now += RESEND_S + 1
    other.tick()
    other.tick()
    # It is still the one request of the slot, although another model is champion by now.
    assert [request.trigger_id for request in world.sent] == [trigger_id("v1", "daily-2026-11-23")]


def test_without_a_champion_there_is_nothing_to_ask_for(tmp_path: Path) -> None:
    sent: list[RetrainRequest] = []
    Scheduler(Registry.open(str(tmp_path), "m"), "daily", sent.append, lambda: MONDAY).tick()
    assert sent == []


@given(MOMENTS, st.timedeltas(timedelta(0), timedelta(days=10)))
def test_moments_share_a_slot_exactly_if_they_share_the_day_or_the_week(first: datetime, later: timedelta) -> None:
    second = first + later
    assert (slot_of("daily", first) == slot_of("daily", second)) == (first.date() == second.date())
    weeks = [(at.date() - timedelta(days=at.weekday())) for at in (first, second)]
    assert (slot_of("weekly", first) == slot_of("weekly", second)) == (weeks[0] == weeks[1])


def test_a_schedule_is_for_who_serves_requests(tmp_path: Path) -> None:
    app = App(Settings(home=tmp_path, registry_url=str(tmp_path / "registry"), bootstrap_servers=None, redis_url=None))
    result = CliRunner().invoke(train, ["--schedule", "daily"], obj=app)
    assert result.exit_code == 2
    assert "--schedule goes with --follow" in result.stderr

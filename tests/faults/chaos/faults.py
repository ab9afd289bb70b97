"""The faults, one function a kind: what is done to whom, and what ends it.

Each returns once records flow again (or, where it lasts into the next fault, once they flow in spite of it).
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import suppress

from confluent_kafka import KafkaException
from tests.faults.chaos.clock import Stopwatch
from tests.faults.chaos.plan import CACHES, NETWORK, Fault
from tests.faults.chaos.proxy import CALM, END_TXN, TRANSACTION_KEYS, Weather
from tests.faults.chaos.scorers import CLEAN_END_S
from tests.faults.chaos.world import StuckError, World

LASTING = 0.5
"""Faults that may last do so, into the next one, when their dice show less."""

DOUBLE = 0.3
"""Kills hit a second one as well when their dice show less."""

INSIDE_TIMEOUT_S = 10.0
OPEN_S = 0.25

_moment = threading.Event()  # never set: its wait is the random moment and the length of a fault, not synchronisation


def inject(world: World, fault: Fault) -> None:
    """Wait for progress, then do it."""
    world.begin(fault)
    _moment.wait(fault.moment_s)
    world.note(fault.kind, number=fault.number)
    world.injected[fault.kind] += 1
    world.over(lambda _, lasting: lasting == _what(fault.kind))
    clock = Stopwatch()
    FAULTS[fault.kind](world, fault)
    world.note(f"over: {fault.kind}", number=fault.number, took_s=round(clock(), 2))


def _what(kind: str) -> str:
    """What a fault that lasts holds: two of the same do not overlap."""
    return next((kinds[0] for kinds in (CACHES, NETWORK) if kind in kinds), "")


def _victim(world: World, fault: Fault) -> str:
    """One of those that have partitions, or have had: a fault shall not fall on those that only start."""
    names = world.until(world.scorers.working, "a scorer at work")
    return names[int(fault.victim * len(names))]


def kill(world: World, fault: Fault) -> None:
    """SIGKILL of one scorer, sometimes of two, and a successor under the same name at once."""
    flowing, clock = world.flowing(), Stopwatch()
    victim = _victim(world, fault)
    world.scorers.kill(victim)
    if fault.dice < DOUBLE:
        world.scorers.kill(next(name for name in sorted(world.scorers.living) if name != victim))
    world.recovered(fault.kind, flowing, clock)


def kill_inside(world: World, fault: Fault) -> None:
    """SIGKILL between a transaction's first output and its end: stopped first, until the broker shows it open."""
    victim = world.scorers.living[_victim(world, fault)]

    def stopped_inside() -> bool:
        victim.send(signal.SIGSTOP)
        if _stays_open(world):
            return True
        victim.send(signal.SIGCONT)
        return victim.child.ended() is not None

    with suppress(StuckError):
        world.until(stopped_inside, "a transaction open", INSIDE_TIMEOUT_S)
        world.injected["… of these seen inside"] += 1
    flowing, clock = world.flowing(), Stopwatch()
    if world.scorers.living.get(victim.instance) is victim:
        world.scorers.kill(victim.instance)
    world.recovered(fault.kind, flowing, clock)


def _stays_open(world: World) -> bool:
    """Whether a transaction is open and stays so: its owner is the one that was stopped."""
    with suppress(KafkaException):
        first = world.open_transactions()
        if first:
            _moment.wait(OPEN_S)
            return bool(first & world.open_transactions())
    return False


def pause(world: World, fault: Fault) -> None:
    """SIGSTOP and, before the session is over, SIGCONT."""
    flowing, clock = world.flowing(), Stopwatch()
    victim = world.scorers.living[_victim(world, fault)]
    victim.send(signal.SIGSTOP)
    _moment.wait(fault.length_s)
    victim.send(signal.SIGCONT)
    world.recovered(fault.kind, flowing, clock)


def zombie(world: World, fault: Fault) -> None:
    """SIGSTOP until the others have taken over all it had; then it wakes up, its partitions lost."""
    flowing, clock = world.flowing(), Stopwatch()
    victim = world.scorers.living[_victim(world, fault)]
    victim.send(signal.SIGSTOP)
    world.recovered(fault.kind, flowing, clock)
    victim.send(signal.SIGCONT)
    world.until(world.flowing(), "records flow beside the zombie")


def twin(world: World, fault: Fault) -> None:
    """SIGSTOP, a successor under the same name, and then it wakes up: one of the two must be fenced and end.

    There must be a partition for each: who has none commits nothing, and is not fenced.
    """
    if len(world.scorers.living) >= world.partitions:
        _end_cleanly(world, max(world.scorers.living))
    flowing, clock = world.flowing(), Stopwatch()
    old = world.scorers.living[_victim(world, fault)]
    old.send(signal.SIGSTOP)
    new = world.scorers.start(old.instance)
    world.recovered(fault.kind, flowing, clock)
    old.send(signal.SIGCONT)
    world.until(lambda: any(one.child.ended() is not None for one in (old, new)), "one of the twins is fenced")
    world.until(world.flowing(), "records flow after the fencing")


def join_or_leave(world: World, fault: Fault) -> None:
    """One replica more; or, where there is one more, SIGTERM to it."""
    flowing, clock = world.flowing(), Stopwatch()
    extra = f"s{world.plan.replicas}"
    if extra in world.scorers.living:
        _end_cleanly(world, extra)
    else:
        world.until(world.scorers.start(extra).is_working, f"{extra} has partitions")
    world.recovered(fault.kind, flowing, clock)


def restart(world: World, fault: Fault) -> None:
    """SIGTERM, and a successor when it has ended: a step of a rolling restart."""
    flowing, clock = world.flowing(), Stopwatch()
    victim = _victim(world, fault)
    _end_cleanly(world, victim)
    world.scorers.start(victim)
    world.recovered(fault.kind, flowing, clock)


def _end_cleanly(world: World, instance: str) -> None:
    scorer = world.scorers.ask_to_end(instance)
    world.until(lambda: scorer.child.ended() is not None, f"{instance} ends after SIGTERM", CLEAN_END_S)


def broker_killed(world: World, fault: Fault) -> None:
    """SIGKILL of the broker, sometimes of a scorer as well; it comes back with its data on its port."""
    flowing, clock = world.flowing(), Stopwatch()
    world.kafka.stop(kill=True)
    if fault.dice < DOUBLE:
        world.scorers.kill(_victim(world, fault))
    _moment.wait(fault.length_s)
    _start_once_fenced(world)
    world.note("the broker answers again")
    world.recovered(fault.kind, flowing, clock)


def _start_once_fenced(world: World) -> None:
    world.until(world.kafka.is_fenced, "the controller knows that the broker is gone", CLEAN_END_S)
    world.kafka.start()


def broker_restarted(world: World, fault: Fault) -> None:
    """A clean end of the broker and a new start."""
    flowing, clock = world.flowing(), Stopwatch()
    world.kafka.stop(kill=False)
    _moment.wait(fault.length_s)
    _start_once_fenced(world)
    world.recovered(fault.kind, flowing, clock)


def redis_killed(world: World, fault: Fault) -> None:
    """SIGKILL of Redis; it comes back empty."""
    flowing, clock = world.flowing(), Stopwatch()
    world.redis.stop(kill=True)
    world.recovered(fault.kind, flowing, clock)
    _last(world, fault, world.redis.start)


def redis_flushed(world: World, fault: Fault) -> None:
    """FLUSHALL."""
    flowing, clock = world.flowing(), Stopwatch()
    world.cache.flushall()
    world.recovered(fault.kind, flowing, clock)


def redis_stalled(world: World, fault: Fault) -> None:
    """SIGSTOP of Redis: it accepts connections and says nothing."""
    flowing, clock = world.flowing(), Stopwatch()
    world.redis.signal(signal.SIGSTOP)
    world.recovered(fault.kind, flowing, clock)
    _last(world, fault, lambda: world.redis.signal(signal.SIGCONT))


def _last(world: World, fault: Fault, end: Callable[[], None]) -> None:
    """End it after the next fault, or now."""
    if fault.dice < LASTING:
        world.injected["… lasting into the next fault"] += 1
        world.pending.append((fault.number + 2, _what(fault.kind), end))
    else:
        _moment.wait(fault.length_s)
        end()


def swap(world: World, fault: Fault) -> None:
    """The registry's alias moves; over when predictions of the new version come."""
    clock = Stopwatch()
    version = world.champion(fault.dice)
    world.note("the alias moved", version=version)
    world.until(lambda: world.concurrent.latest_version == version, f"predictions of {version}")
    world.recoveries[fault.kind].append(clock())


def _bad_weather(world: World, fault: Fault, weather: Weather, counted: str, wanted: int) -> None:
    """Records must flow in it, and so many connections or pieces of data must have met it."""
    wanted += world.proxy.counts[counted]
    flowing, clock = world.flowing(), Stopwatch()
    world.proxy.set(weather)
    world.recovered(fault.kind, flowing, clock)
    world.until(lambda: world.proxy.counts[counted] >= wanted, f"{fault.kind}: enough of it")
    _last(world, fault, lambda: world.proxy.set(CALM))


def short_connections(world: World, fault: Fault) -> None:
    """Every connection lives 0.5 to 1.5 s, as under franz-go's tests."""
    _bad_weather(world, fault, Weather(lifetime_s=(0.5, 1.5)), "cut", 10 + int(fault.victim * 20))


def slow(world: World, fault: Fault) -> None:
    """Every piece of data waits up to 40 ms."""
    _bad_weather(world, fault, Weather(delay_s=0.04), "delayed", 200)


def _silence(world: World, fault: Fault, only: frozenset[int]) -> None:
    flowing, clock = world.flowing(), Stopwatch()
    world.proxy.set(Weather(only=only, hold=True))
    _moment.wait(fault.length_s)
    world.proxy.set(CALM)
    world.recovered(fault.kind, flowing, clock)


def coordinator_silent(world: World, fault: Fault) -> None:
    """Nothing passes on the connections to the transaction coordinator; what was held arrives late."""
    _silence(world, fault, TRANSACTION_KEYS)


def all_silent(world: World, fault: Fault) -> None:
    """Nothing passes at all; what was held arrives late."""
    _silence(world, fault, frozenset())


def _commit_cut(world: World, fault: Fault, *, forward: bool) -> None:
    """Cut the line at one to three commits (or aborts)."""
    wanted = world.proxy.counts["requests cut"] + 1 + int(fault.victim * 3)
    flowing, clock = world.flowing(), Stopwatch()
    world.proxy.set(Weather(cut_on=END_TXN, forward=forward))
    world.until(lambda: world.proxy.counts["requests cut"] >= wanted, "a commit to cut")
    world.proxy.set(CALM)
    world.recovered(fault.kind, flowing, clock)


def commit_answer_lost(world: World, fault: Fault) -> None:
    """The commit reaches the coordinator, its answer never comes: nobody knows how it went."""
    _commit_cut(world, fault, forward=True)


def commit_request_lost(world: World, fault: Fault) -> None:
    """The commit never reaches the coordinator."""
    _commit_cut(world, fault, forward=False)


FAULTS: dict[str, Callable[[World, Fault], None]] = {
    "kill": kill,
    "kill in a transaction": kill_inside,
    "pause": pause,
    "zombie": zombie,
    "twin": twin,
    "join or leave": join_or_leave,
    "restart": restart,
    "broker killed": broker_killed,
    "broker restarted": broker_restarted,
    "redis killed": redis_killed,
    "redis flushed": redis_flushed,
    "redis stalled": redis_stalled,
    "swap": swap,
    "short connections": short_connections,
    "slow": slow,
    "coordinator silent": coordinator_silent,
    "all silent": all_silent,
    "commit answer lost": commit_answer_lost,
    "commit request lost": commit_request_lost,
}

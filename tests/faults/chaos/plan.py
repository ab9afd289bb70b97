"""The plan of a run: which faults, in which order, on whom; a function of the seed and the counts, and of nothing else.

When a fault falls is not a time but a share of the records: see `world`. How each is done is `faults`' work.
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass, replace
from itertools import cycle, islice

PROTOCOLS = ("classic", "consumer")

# Each class takes its kinds in turn, so that every kind comes even in a short run.
KILLS = ("kill", "kill in a transaction")
ZOMBIES = ("pause", "zombie", "twin", "pause")
REBALANCES = ("join or leave", "join or leave", "restart")
BROKERS = ("broker killed", "broker restarted")
CACHES = ("redis killed", "redis flushed", "redis stalled")
NETWORK = ("short connections", "commit answer lost", "coordinator silent", "slow", "commit request lost", "all silent")
SWAPS = ("swap",)


@dataclass(frozen=True, slots=True)
class Counts:
    """How much of what. Every second broker kill has a clean restart beside it."""

    records: int = 60_000
    kills: int = 10
    zombies: int = 4
    rebalances: int = 3
    broker_kills: int = 2
    redis: int = 3
    swaps: int = 5
    network: int = 6

    def scaled(self, factor: float) -> Counts:
        """All of it more or less, at least one of each."""
        return Counts(**{name: max(1, round(count * factor)) for name, count in asdict(self).items()})


SHORT = Counts()
LONG = Counts(
    records=1_000_000, kills=100, zombies=16, rebalances=20, broker_kills=10, redis=20, swaps=50, network=24
)  # fmt: skip
SHORT_MINUTES = 3.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `victim` and `dice` are in [0, 1); `moment_s` is waited before it, so that it falls anywhere within
    a transaction; `length_s` is how long it lasts where it has a length.
    """

    number: int
    kind: str
    victim: float
    moment_s: float
    length_s: float
    dice: float


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything chosen in advance."""

    seed: int
    counts: Counts
    protocol: str
    replicas: int
    faults: tuple[Fault, ...]


def make(seed: int, counts: Counts, *, protocol: str | None = None, replicas: int = 3) -> Plan:
    """The plan of a seed; the protocol is the seed's choice where none is given."""
    chance = random.Random(seed)
    chosen = chance.choice(PROTOCOLS)
    kinds = [
        *_take(KILLS, counts.kills),
        *_take(ZOMBIES, counts.zombies),
        *_take(REBALANCES, counts.rebalances),
        *[BROKERS[0]] * counts.broker_kills,
        *[BROKERS[1]] * (counts.broker_kills // 2),
        *_take(CACHES, counts.redis),
        *_take(SWAPS, counts.swaps),
        *_take(NETWORK, counts.network),
    ]
    chance.shuffle(kinds)
    faults = tuple(_fault(number, kind, chance) for number, kind in enumerate(kinds))
    return Plan(seed, counts, protocol or chosen, replicas, faults)


def _take(kinds: tuple[str, ...], count: int) -> list[str]:
    return list(islice(cycle(kinds), count))


def _fault(number: int, kind: str, chance: random.Random) -> Fault:
    return Fault(
        number,
        kind,
        victim=round(chance.random(), 4),
        moment_s=round(chance.uniform(0.0, 0.25), 3),
        length_s=round(chance.uniform(0.3, 3.0), 2),
        dice=round(chance.random(), 4),
    )


def with_counts(counts: Counts, **given: int | None) -> Counts:
    """`counts` with those that were given in their place."""
    return replace(counts, **{name: value for name, value in given.items() if value is not None})

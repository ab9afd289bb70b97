"""From a world to verdicts: the end of a run, the later reader, the log; and the tables that tell it."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from rich.console import Console
from rich.table import Table
from tests.faults.chaos import oracle, transactions
from tests.faults.chaos.history import Seen, Verdict, verdict
from tests.faults.chaos.proxy import CALM
from tests.faults.chaos.readers import Reader, SourceCheck
from tests.faults.chaos.scorers import End
from tests.faults.chaos.world import StuckError, World

DRAIN_S = 120.0
AGREE_S = 20.0


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    seed: int
    took_s: float
    facts: dict[str, Any]
    injected: dict[str, int]
    recoveries: dict[str, list[float]]
    ends: dict[str, int]
    verdicts: list[Verdict]

    @property
    def holds(self) -> bool:
        """Whether every invariant does."""
        return all(found.holds for found in self.verdicts)

    def as_json(self) -> dict[str, Any]:
        """All of it, for a file."""
        return {**asdict(self), "holds": self.holds}


def conclude(world: World, trouble: str) -> Outcome:
    """Let everything drain, end it, read again and judge. `trouble`: why the plan was not done, or empty."""
    troubles = [trouble] if trouble else []
    world.deadline_s = world.clock() + 3 * DRAIN_S
    for step in (_drain, _end):
        if not troubles:
            try:
                step(world)
            except StuckError as error:
                troubles.append(str(error))
    if troubles:
        world.scorers.tell_where()
    _read_again(world, troubles)
    log = transactions.read(world.kafka.data, world.outputs, world.partitions)
    source = _check_source(world)
    verdicts = [
        verdict("the plan was done, all drained and ended", len(world.plan.faults), troubles),
        source,
        verdict("readers were never set back", 1, world.reader.troubles),
        verdict("scorers say why they end", max(1, len(world.scorers.ends)), map(_unclear, _not_clear(world))),
        *oracle.judge(world.written, world.concurrent, world.later),
        *transactions.judge(log, world.outputs, world.later),
        _offsets_at_the_end(world),
    ]
    facts = {
        "records": len(world.written),
        "poison among them": int(world.written.columns()["poison"].sum()),
        "predictions": _count(world.later, 0),
        "dead letters": _count(world.later, 1),
        "transactions committed": log.outcomes()["commit"],
        "transactions aborted": log.outcomes()["abort"],
        "scorers started": world.scorers.starts,
        **{f"proxy: {name}": count for name, count in sorted(world.proxy.counts.items())},
    }
    return Outcome(
        world.plan.seed,
        round(world.clock(), 1),
        facts,
        dict(world.injected),
        {kind: [round(s, 2) for s in found] for kind, found in world.recoveries.items()},
        dict(world.scorers.reasons()),
        verdicts,
    )


def _drain(world: World) -> None:
    """The rest is written, and all of it comes out."""
    world.over()
    world.proxy.set(CALM)
    world.load.quota = world.load.records
    world.load.last.set()
    world.until(lambda: not world.load.is_alive(), "everything is written", DRAIN_S)
    world.until(lambda: _all_out(world), "everything comes out", DRAIN_S)


def _all_out(world: World) -> bool:
    """By number and by the last of each partition: doubled ones could make up the number."""
    last = all(world.concurrent.frontier.get(number, 0) >= end for number, end in world.written.ends.items())
    return last and len(world.concurrent) >= len(world.written)


def _end(world: World) -> None:
    """SIGTERM to all."""
    for instance in list(world.scorers.living):
        world.scorers.ask_to_end(instance)
    world.until(lambda: not world.scorers.others, "the scorers end", DRAIN_S)


def _read_again(world: World, troubles: list[str]) -> None:
    """The later reader; then the concurrent one gets the time to catch up with it."""
    world.load.halt()
    world.scorers.close()
    later = world.reader_of(world.later, world.kafka.bootstrap, to_end=True)
    later.start()
    later.join(DRAIN_S)
    troubles += later.troubles + ([f"the later reader did not end within {DRAIN_S:.0f} s"] if later.is_alive() else [])
    later.halt()
    try:
        world.until(lambda: len(world.concurrent) >= len(world.later), "the concurrent reader catches up", AGREE_S)
    except StuckError as error:
        troubles.append(str(error))
    world.reader.halt()


def _check_source(world: World) -> Verdict:
    check = SourceCheck(world.written)
    reader = Reader(world.kafka.bootstrap, [world.topics.records], world.partitions, check, to_end=True)
    reader.start()
    reader.join(DRAIN_S)
    reader.halt()
    violations = [*world.load.failures, *check.violations()]
    return verdict("the source holds what was acknowledged", len(world.written), violations)


def _not_clear(world: World) -> list[End]:
    return [end for end in world.scorers.ends if not end.is_clear]


def _unclear(end: End) -> str:
    return f"{end.instance} ended with {end.code} and no reason in {end.log}"


def _offsets_at_the_end(world: World) -> Verdict:
    """The group's committed offsets are the source's ends."""
    group = f"{world.settings.topic_prefix}{world.settings.scorer.group}"
    places = [TopicPartition(world.topics.records, number) for number in world.written.ends]
    ends = world.written.ends
    asked = world.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group, places)])
    try:
        found = {place.partition: place.offset for place in asked[group].result(20).topic_partitions}
    except (KafkaException, TimeoutError) as error:
        return verdict("committed offsets stand at the source's end", len(ends), [f"nobody answers: {error!r}"])
    behind = [
        f"partition {n}: {found.get(n)}, not {end}" for n, end in world.written.ends.items() if found.get(n) != end
    ]
    return verdict("committed offsets stand at the source's end", len(world.written.ends), behind)


def _count(seen: Seen, output: int) -> int:
    return int((seen.columns()["output"] == output).sum())


def tell(outcome: Outcome, console: Console) -> None:
    """The tables."""
    console.print(_faults(outcome), _facts(outcome), _verdicts(outcome))
    for found in outcome.verdicts:
        for example in found.examples if not found.holds else ():
            console.print(f"  {found.invariant}: {example}", style="red", highlight=False)


def _faults(outcome: Outcome) -> Table:
    table = Table(title=f"seed {outcome.seed}: faults, and seconds until every partition's records came out again")
    for column in ("fault", "times", "p50", "max"):
        table.add_column(column, justify="left" if column == "fault" else "right")
    for kind, times in sorted(outcome.injected.items()):
        seconds = outcome.recoveries.get(kind, [])
        figures = (f"{statistics.median(seconds):.1f}", f"{max(seconds):.1f}") if seconds else ("", "")
        table.add_row(kind, str(times), *figures)
    return table


def _facts(outcome: Outcome) -> Table:
    table = Table(title=f"{outcome.took_s:.0f} s", show_header=False)
    for name, value in outcome.facts.items():
        table.add_row(name, str(value))
    for reason, count in Counter(outcome.ends).most_common():
        table.add_row(f"scorer's end: {reason}", str(count))
    return table


def _verdicts(outcome: Outcome) -> Table:
    table = Table(title="invariants")
    for column in ("invariant", "checked", "violations", ""):
        table.add_column(column, justify="left" if column in ("invariant", "") else "right")
    for found in outcome.verdicts:
        mark = "[green]holds[/]" if found.holds else "[bold red]VIOLATED[/]"
        table.add_row(found.invariant, str(found.checked), str(found.violations), mark)
    return table

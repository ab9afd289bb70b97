"""The parts of a run. Each fills its place in the results; rounds are interleaved, so a noisy minute spares nobody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from benchmarks._warming import warm_up
from benchmarks.scoring import latency
from benchmarks.scoring.contestants import (
    CONTESTANTS,
    FEW,
    FEW_RECORDS,
    PART,
    PLAIN,
    TRACED,
    Contestant,
    limit,
    streams,
)
from benchmarks.scoring.figures import Spread, rate_between, ratios
from benchmarks.scoring.machine import load
from benchmarks.scoring.peers_setup import prepare
from benchmarks.scoring.plan import MAIN_RATE, Plan
from benchmarks.scoring.run import Run, rate_of_all, throughput
from benchmarks.scoring.tables import TARGETS, whole
from benchmarks.scoring.world import World, tell

Results = dict[str, Any]
BY_NAME = {one.name: one for one in CONTESTANTS}
MILLION = 1_000_000
STREAMS_COMMITS_MS = (100, 50, 20, 10)
"""The first is Kafka Streams' default under exactly once; the best of the others is reported too."""


def missing(one: Contestant) -> str:
    """Why a contestant cannot run here: a setting this Longshore lacks, a peer that cannot be had."""
    return one.missing() or (prepare(one.needs) if one.needs else "")


def measure_throughput(world: World, plan: Plan, results: Results) -> None:
    """Every contestant in every round, each through the whole of its input."""
    sizes = {PLAIN: plan.records, TRACED: plan.records, PART: max(plan.records // 20, 1_000), FEW: FEW_RECORDS}
    wanted = [one for one in CONTESTANTS if plan.wants(one.name)]
    problems = {one.name: missing(one) for one in wanted}
    runs: dict[str, list[Run]] = {one.name: [] for one in wanted}
    for number in range(plan.rounds):
        for one in wanted:
            if problems[one.name]:
                continue
            records = sizes[one.prefix]
            world.load(one.prefix, records, traced=one.prefix == TRACED)
            run = throughput(world, one.start(world, records), at_least=one.guarantee == "at least once")
            runs[one.name].append(run)
            problems[one.name] = run.problem
            told = f"{run.rate:>9,.0f} records/s" if run.rate else run.problem
            tell(f"  round {number + 1}/{plan.rounds}  {one.name:<18} {told}   load {load()}")
            results["throughput"] = {each.name: _summary(each, runs, problems, sizes[each.prefix]) for each in wanted}
    results["throughput"] = {one.name: _summary(one, runs, problems, sizes[one.prefix]) for one in wanted}
    results["comparisons"] = _comparisons(runs)


def _summary(one: Contestant, runs: dict[str, list[Run]], problems: dict[str, str], records: int) -> Results:
    mine = runs[one.name]
    rates = [run.rate for run in mine if run.rate]
    of_limit = ratios([run.rate for run in mine], [run.rate for run in runs.get("limit", [])])
    return {
        "title": one.title,
        "model": one.model,
        "guarantee": one.guarantee,
        "records": records,
        "problem": problems[one.name],
        "rate": Spread.of(rates).to_dict() if rates else None,
        "of_limit": of_limit.to_dict() if of_limit else None,
        "cpu_s_per_million": float(np.median([run.cpu_s for run in mine] or [0.0])) / records * MILLION,
        "rss_mb": max((run.rss_mb for run in mine), default=0.0),
        "runs": [run.to_dict() for run in mine],
    }


def _comparisons(runs: dict[str, list[Run]]) -> list[Results]:
    found = []
    for (what, to), target in TARGETS.items():
        spread = ratios([run.rate for run in runs.get(what, [])], [run.rate for run in runs.get(to, [])])
        if spread:
            found.append({"what": what, "to": to, "ratio": spread.to_dict(), "target": target})
    return found


def measure_latency(world: World, plan: Plan, results: Results) -> None:
    """At `MAIN_RATE` everybody, several rounds; at the other rates Longshore alone."""
    everybody = _latency_contestants(plan)
    found: dict[str, list[latency.Latency]] = {one.name: [] for one in everybody}
    problems = {one.name: missing(one) for one in everybody}
    taking_part = list(everybody)
    warming = replace(BY_NAME["limit"], prefix="late.").start(world, 0)

    def load_for(seconds: float) -> object:
        return latency.measure(world, warming, rate=MAIN_RATE, warm_s=0.0, seconds=seconds)

    tell(f"  broker {warm_up(world.pids['kafka'], load_for, plan.broker_warm_s)}")
    for number in range(plan.latency_rounds):
        for one in taking_part:
            if not problems[one.name]:
                problems[one.name] = _one_latency(world, plan, one, MAIN_RATE, found[one.name])
            results["latency"] = [_latency_row(e, MAIN_RATE, found[e.name], problems[e.name]) for e in everybody]
        if number == 0:
            taking_part = _without_slower_streams(everybody, found)
    for rate in plan.latency_rates:
        if plan.wants("longshore"):
            once: list[latency.Latency] = []
            one = replace(BY_NAME["longshore"], prefix=f"late{rate}.")
            problem = _one_latency(world, plan, one, rate, once)
            results["latency"].append(_latency_row(one, rate, once, problem))


def _latency_contestants(plan: Plan) -> list[Contestant]:
    names = ("limit", "longshore", "longshore-alo")
    chosen = [replace(BY_NAME[name], prefix="late.") for name in names if plan.wants(name)]
    for commit_ms in STREAMS_COMMITS_MS if plan.wants("streams-onnx") else ():
        title = f"Kafka Streams + ONNX, commit every {commit_ms} ms" + (" (its default)" if commit_ms == 100 else "")
        make = streams(with_model=True, commit_ms=commit_ms, linger_ms=0)
        one = replace(BY_NAME["streams-onnx"], name=f"streams-{commit_ms}", title=title, make=make, prefix="late.")
        chosen.append(one)
    return chosen


def _without_slower_streams(
    everybody: Sequence[Contestant], found: dict[str, list[latency.Latency]]
) -> list[Contestant]:
    """Of Kafka Streams' commit intervals the default and the best of the first round go on."""
    tuned = [
        one.name for one in everybody if one.name.startswith("streams-") and not one.title.endswith("(its default)")
    ]
    measured = [name for name in tuned if found[name]]
    best = min(measured, key=lambda name: found[name][0].p99, default="")
    return [one for one in everybody if one.name not in tuned or one.name == best]


def _one_latency(world: World, plan: Plan, one: Contestant, rate: int, found: list[latency.Latency]) -> str:
    measured = latency.measure(world, one.start(world, 0), rate=rate, warm_s=plan.warm_s, seconds=plan.latency_s)
    if isinstance(measured, str):
        tell(f"  latency at {rate:,}/s  {one.name:<18} {measured}")
        return measured
    found.append(measured)
    figures = f"p50 {measured.p50:.1f}  p99 {measured.p99:.1f}  p99.9 {measured.p999:.1f} ms"
    tell(f"  latency at {rate:,}/s  {one.name:<18} {figures}   load {load()}")
    return ""


def _latency_row(one: Contestant, rate: int, found: list[latency.Latency], problem: str) -> Results:
    row: Results = {"name": one.name, "title": one.title, "rate": rate, "problem": problem}
    if found:
        for name in ("p50", "p99", "p999", "largest"):
            row[name] = Spread.of([getattr(each, name) for each in found]).to_dict()
        row["lost"] = sum(each.lost for each in found)
    elif not problem:
        row["problem"] = "not measured yet"
    return row


def measure_intervals(world: World, plan: Plan, results: Results) -> None:
    """What short transactions cost: Longshore's and the client's own throughput at each interval."""
    world.load(PLAIN, plan.records)
    rates: dict[tuple[str, int], list[float | None]] = {}
    for _ in range(max(1, plan.rounds // 2)):
        for interval in plan.intervals_ms:
            seconds = str(interval / 1_000)
            setting = (("LONGSHORE_SCORER__COMMIT_INTERVAL_S", seconds),)
            ours = replace(BY_NAME["longshore"], variables=setting)
            client = replace(BY_NAME["limit"], make=limit("--interval", seconds))
            for one in (ours, client):
                run = throughput(world, one.start(world, plan.records))
                rates.setdefault((one.name, interval), []).append(run.rate)
                tell(f"  every {interval:>3} ms  {one.name:<18} {whole(run.rate)} records/s   load {load()}")
    reference = 100 if 100 in plan.intervals_ms else plan.intervals_ms[-1]
    results["intervals"] = [_interval_row(interval, reference, rates) for interval in plan.intervals_ms]


def _interval_row(interval: int, reference: int, rates: dict[tuple[str, int], list[float | None]]) -> Results:
    of_reference = ratios(rates["longshore", interval], rates["longshore", reference])
    middle = {
        name: float(np.median(kept)) if (kept := [r for r in rates[name, interval] if r]) else None
        for name in ("longshore", "limit")
    }
    return {"interval_ms": interval, "of_100_ms": of_reference.to_dict() if of_reference else None, **middle}


def measure_scaling(world: World, plan: Plan, results: Results) -> None:
    """More partitions with one process, then more processes on the most partitions but one."""
    most = 8 if 8 in plan.partitions else max(plan.partitions)
    cases = [(partitions, 1) for partitions in plan.partitions]
    cases += [(most, processes) for processes in plan.processes if processes > 1]
    results["scaling"] = []
    for partitions, processes in cases:
        prefix, records = f"scale{partitions}.", plan.records * (2 if processes > 1 else 1)
        world.load(prefix, records, partitions=partitions)
        start = replace(BY_NAME["longshore"], prefix=prefix).start(world, records)
        run = throughput(world, replace(start, partitions=partitions, processes=processes), keep=True)
        rate = rate_of_all(run) if processes > 1 else run.rate
        problem = run.problem or ("" if rate else "over before all processes had joined for half a second")
        results["scaling"].append({"partitions": partitions, "processes": processes, "rate": rate, "problem": problem})
        tell(f"  {partitions:>2} partitions, {processes} processes  {whole(rate)} records/s   load {load()}")


def measure_memory(world: World, plan: Plan, results: Results) -> None:
    """A process through a long topic that is there from the beginning, again for each round; memory sampled."""
    unit = min(MILLION, plan.memory_records // 3)
    world.load("long.", plan.memory_records)
    one = replace(BY_NAME["longshore"], prefix="long.")
    rounds: list[Results] = []
    for number in range(1, plan.memory_rounds + 1):
        run = throughput(world, one.start(world, plan.memory_records), keep=True)
        if run.written is None or run.problem:
            results["memory"] = {"problem": run.problem}
            return
        rounds.append(found := memory_figures(run.written.times_ms, run.memory, unit))
        figures = f"memory {found['growth']:+.1%}, last million {found['last_of_second']:.2f} of the second"
        tell(f"  round {number}/{plan.memory_rounds}  {figures}   load {load()}")
    results["memory"] = {
        "records": plan.memory_records,
        "growth": max(found["growth"] for found in rounds),
        "last_of_second": Spread.of([found["last_of_second"] for found in rounds]).to_dict(),
        "rounds": rounds,
    }
    world.drop("long.districts")


def memory_figures(times_ms: Any, samples: Sequence[tuple[float, float]], unit: int) -> Results:
    """Growth after the first `unit` records, the rate of each `unit`, and the last one's against the second's.

    What it has after the first million is the median of the five samples around that moment.
    """
    ordered, count = np.sort(np.asarray(times_ms)), len(times_ms)
    at = np.array([when for when, _ in samples])
    resident = np.array([megabytes for _, megabytes in samples])
    after = min(int(np.searchsorted(at, ordered[unit - 1])), len(at) - 1)
    first = float(np.median(resident[max(after - 2, 0) : after + 3]))
    largest = float(resident[after:].max())
    rates = [rate_between(ordered, begin, begin + unit) for begin in range(0, count - unit + 1, unit)]
    second, last = rates[1], rate_between(ordered, count - unit, count)
    return {
        "rss_after_first_mb": first,
        "rss_largest_mb": largest,
        "growth": largest / first - 1,
        "rates": [round(rate) for rate in rates],
        "last_of_second": last / second,
        "samples": [(round(when - at[0]), round(megabytes, 1)) for when, megabytes in samples],
    }


MEASURES: dict[str, Callable[[World, Plan, Results], None]] = {
    "throughput": measure_throughput,
    "latency": measure_latency,
    "intervals": measure_intervals,
    "scaling": measure_scaling,
    "memory": measure_memory,
}

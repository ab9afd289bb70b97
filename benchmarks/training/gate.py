"""How often the gate errs: challengers of noise, equal ones, better ones, and one that is worse where it hurts.

    python -m benchmarks.training gate                # as in docs/gate.md; about ten minutes on one core
    python -m benchmarks.training gate --scale 0.1    # a tenth of every count

Districts are the generator's, models the trainer's quick ones, each on `--train-rows` rows of its own; predictions are
the exported ONNX's; every repetition has test rows of its own.

- noise: really trained, on labels in a random order. Judged against a champion, and without one.
- equal: really trained pairs, on other rows with another seed.
- better by 10 % (and 5 %): the challenger is a trained model, the champion its blend with one trained on `POOR_ROWS`
  rows; the weight is solved so that the RMSE over all rows of the pool differs by that much exactly. Also with a
  champion that is the challenger plus independent noise.
- worse on one segment: by blends, 20 % worse on INLAND (a third of the rows), 15 % better everywhere else.

History held back is another stretch of the same pool. Intervals of the shares are Clopper and Pearson's, 95 %.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks._results import write
from benchmarks.scoring import machine
from scipy.stats import binomtest

from longshore.columns import Floats
from longshore.config import TrainerSettings
from longshore.producers.generator import districts_frame, history_frame
from longshore.schema import districts
from longshore.served_model import ServedModel
from longshore.trainer.export import to_onnx
from longshore.trainer.figures import figures
from longshore.trainer.fit import CANDIDATES, Parameters, fit, out_of_fold
from longshore.trainer.gate import Decision, Evidence, Verdict, judge
from longshore.trainer.housing import recipe_for
from longshore.trainer.rows import LabelledRows, from_frame
from longshore.trainer.sanity import Status

SCHEMA = districts()
SETTINGS = TrainerSettings()
TEST_ROWS = 2_000
POOR_ROWS = 60
SEGMENT = "INLAND"
HEAD = ("| challenger | champion | `evidence` | promoted | 95 % interval | asked |", "|---|---|---|---|---|---|")


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="of every count of repetitions")
    parser.add_argument("--train-rows", type=int, default=3_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--to", type=Path, help="a folder: write the figures there, as JSON and Markdown")
    args = parser.parse_args(arguments)
    bench, rows, lines = Bench(args.seed, args.train_rows, max(round(200 * args.scale), 2)), [], list(HEAD)
    print("\n".join(HEAD))
    for row in bench.parts():
        rows.append(row)
        lines.append(_line(row))
        print(lines[-1], flush=True)
    cost = bench.cost_ms()
    lines += ["", f"One verdict on 5,000 test rows, besides the models' calls: {cost:.1f} ms."]
    print("\n".join(lines[-2:]))
    if args.to:
        found = {"machine": machine.describe(), "rows": rows, "verdict_ms": cost, "load": machine.load()}
        write("training-gate", found, "\n".join(lines) + "\n", args.to, None)
    missed = [row["challenger"] for row in rows if not row["held"]]
    if missed:
        raise SystemExit(f"not as asked: {'; '.join(missed)}")


def _line(row: dict[str, Any]) -> str:
    low, high = row["interval"]
    cells = (row["challenger"], row["champion"], row["rule"], f"{row['number']} of {row['of']}")
    return f"| {' | '.join(cells)} | {low:.1%} … {high:.1%} | {row['asked']} |"


class Bench:
    """The pool of test rows and the models; `count` is the number of repetitions of the longest part."""

    def __init__(self, seed: int, train_rows: int, count: int) -> None:
        self._seed, self._train_rows, self._count = seed, train_rows, count
        self._pool = from_frame(districts_frame(TEST_ROWS * count, seed), SCHEMA)
        self._training = from_frame(history_frame(train_rows * (count // 2 + 1), seed), SCHEMA)
        self._good = self._over_the_pool(self._trained(0))
        few = self._training.take(np.arange(train_rows - POOR_ROWS, train_rows))
        self._poor = self._over_the_pool(self._fitted(few, 0))

    def parts(self) -> Iterator[dict[str, Any]]:
        half = self._count // 2
        yield from self._noise(half)
        yield from self._equal(half)
        truth = self._pool.target
        scale = float(np.sqrt(np.mean((self._good - truth) ** 2)))
        for gain, asked in ((0.10, 0.9), (0.05, None)):
            blend = _blended(self._good, self._poor, truth, 1 / (1 - gain))
            noise = np.random.default_rng(self._seed).normal(0, scale * np.sqrt(1 / (1 - gain) ** 2 - 1), len(truth))
            for champion, name in ((blend, "blend"), (self._good + noise, "with noise")):
                found = [self._verdict(i, self._good, champion) for i in range(self._count)]
                at_least = None if asked is None else round(asked * self._count)
                yield _row(f"better by {gain:.0%} of the RMSE", name, "better", found, at_least=at_least)
        yield from self._worse_segment(half)

    def cost_ms(self) -> float:
        rows = self._pool.take(np.arange(min(5_000, len(self._pool))))
        count, times = len(rows), []
        for _ in range(9):
            began = time.perf_counter()
            evidence = Evidence.of(rows, self._good[:count], self._poor[:count])
            judge(evidence, MANIFEST, SETTINGS, history=evidence, champion_version="v1", latency_ms=0.02)
            times.append(time.perf_counter() - began)
        return 1_000 * sorted(times)[4]

    def _noise(self, count: int) -> Iterator[dict[str, Any]]:
        against, alone = [], []
        for i in range(count):
            rows = self._stretch(i)
            order = np.random.default_rng([self._seed, i]).permutation(len(rows))
            shuffled = LabelledRows(rows.columns, rows.target[order])
            test, block = self._pool.take(self._block(i)), self._block(i)
            says = self._fitted(shuffled, i).predict(test.columns)
            held_out = out_of_fold(shuffled, None, CANDIDATES[0], recipe_for(SCHEMA), Parameters(seed=i))
            manifest = MANIFEST | {"baseline": figures(shuffled, held_out, test, says, seed=i)["baseline"]}
            for found, champion in ((against, self._good[block]), (alone, None)):
                evidence = Evidence.of(test, says, champion)
                found.append(judge(evidence, manifest, SETTINGS, champion_version="v1", latency_ms=0.02))
        yield _row("trained on shuffled labels", "trained", "better", against, at_most=0)
        yield _row("trained on shuffled labels", "none", "better", alone, at_most=0)
        lucky = sum("training mean" in verdict.of(Status.PASSED) for verdict in alone)
        yield _counted("… *beat the mean on test rows* all the same", "none", lucky, count)

    def _equal(self, count: int) -> Iterator[dict[str, Any]]:
        models = [self._over_the_pool(self._trained(i)) for i in range(count + 1)]
        for rule, many, asked in (("better", 1, 10), ("better", 5, 10), ("not_worse", 1, None), ("not_worse", 5, None)):
            settings = SETTINGS.model_copy(update={"evidence": rule})
            found = []
            for i in range(count):
                blocks = np.concatenate([self._block(i + k * count // 5) for k in range(many)])
                found.append(self._judged(blocks, models[i + 1], models[i], settings, self._block(i + count // 2)))
            at_most = None if asked is None else max(round(asked * count / 100), 1)
            name = f"equal: other rows, other seed ({many * TEST_ROWS:,} test rows)"
            yield _row(name, "trained", rule, found, at_most=at_most)

    def _worse_segment(self, count: int) -> Iterator[dict[str, Any]]:
        inside = np.array([value == SEGMENT for value in self._pool.columns.nominal[0]])
        truth, champion, challenger = self._pool.target, self._good.copy(), self._good.copy()
        challenger[inside] = _blended(self._good[inside], self._poor[inside], truth[inside], 1.2)
        champion[~inside] = _blended(self._good[~inside], self._poor[~inside], truth[~inside], 1 / 0.85)
        overall = np.sqrt(np.mean((challenger - truth) ** 2) / np.mean((champion - truth) ** 2)) - 1
        found = [self._verdict(i, challenger, champion) for i in range(count)]
        name = f"{overall:+.1%} overall, +20 % on {SEGMENT} ({inside.mean():.0%} of rows)"
        yield _row(name, "blend", "better", found, at_most=max(round(0.05 * count), 1))
        named = [v for v in found if v.of(Status.FAILED) == ["segments"] and SEGMENT in v.reason]
        least = round(0.95 * count)
        yield _counted("… *rejected* for that segment alone, by name", "blend", len(named), count, at_least=least)

    def _verdict(self, number: int, challenger: Floats, champion: Floats) -> Verdict:
        return self._judged(self._block(number), challenger, champion, SETTINGS, self._block(number + 1))

    def _judged(
        self, block: Any, challenger: Floats, champion: Floats, settings: TrainerSettings, past: Any
    ) -> Verdict:
        fresh, history = (Evidence.of(self._pool.take(at), challenger[at], champion[at]) for at in (block, past))
        return judge(fresh, MANIFEST, settings, history=history, champion_version="v1", latency_ms=0.02)

    def _block(self, number: int) -> Any:
        start = TEST_ROWS * (number % self._count)
        return np.arange(start, start + TEST_ROWS)

    def _stretch(self, number: int) -> LabelledRows:
        return self._training.take(np.arange(number * self._train_rows, (number + 1) * self._train_rows))

    def _trained(self, number: int) -> ServedModel:
        return self._fitted(self._stretch(number), number)

    def _fitted(self, rows: LabelledRows, seed: int) -> ServedModel:
        pipeline = fit(rows, None, CANDIDATES[0], recipe_for(SCHEMA), Parameters(seed=seed))
        return ServedModel.load(to_onnx(pipeline))

    def _over_the_pool(self, model: ServedModel) -> Floats:
        return model.predict(self._pool.columns)


MANIFEST = {
    "baseline": {"prediction": 207_000.0, "target_range": [14_999.0, 500_001.0]},
    "files": {"model.onnx": {"bytes": 100_000}},
    "parity": {"servable": True},
}
"""Of every challenger that is no noise; the mean is the generator's, about."""


def _blended(good: Floats, poor: Floats, truth: Floats, ratio: float) -> Floats:
    """(1 − w) · good + w · poor, whose RMSE over all these rows is `ratio` times that of `good`, exactly."""
    error, towards = good - truth, poor - good
    a, b, c = np.mean(error**2), np.mean(error * towards), np.mean(towards**2)
    weight = (-b + np.sqrt(b**2 - c * (a - a * ratio**2))) / c
    assert 0 < weight <= 1, f"the poor model is not poor enough: weight {weight:.2f}"
    return np.asarray(good + weight * towards)


def _row(
    challenger: str,
    champion: str,
    rule: str,
    found: list[Verdict],
    *,
    at_most: int | None = None,
    at_least: int | None = None,
) -> dict[str, Any]:
    promoted = sum(verdict.decision is Decision.PROMOTE for verdict in found)
    row = _counted(challenger, champion, promoted, len(found), at_most=at_most, at_least=at_least)
    return {**row, "rule": rule}


def _counted(
    what: str, champion: str, number: int, of: int, *, at_most: int | None = None, at_least: int | None = None
) -> dict[str, Any]:
    held = (at_most is None or number <= at_most) and (at_least is None or number >= at_least)
    asked = f"at most {at_most}" if at_most is not None else f"at least {at_least}" if at_least is not None else ""
    interval = list(binomtest(number, of).proportion_ci(0.95, method="exact"))
    return {
        "challenger": what, "champion": champion, "rule": "", "number": number, "of": of,
        "interval": interval, "asked": asked, "held": held,
    }  # fmt: skip

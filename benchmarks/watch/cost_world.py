"""A stream whose relation of target and inputs changes now and then, models fitted to its last labels, and their costs.

Numpy only: the peers' script runs this file in an environment without Longshore.

    y = a·x + e,    e ~ N(0, 1),    x ~ log-normal,    prediction = â·x

A *concept change* moves a: errors grow, inputs stay. A *benign shift* moves z, which no model uses. Both come at
known places with calm between them. Costs are in units of the noise's variance: *staleness* is (â − a)²·x², summed
over records; a *retraining* costs `RETRAINING`. A model is fitted (least squares) to the latest `FRESH` labels that are
there when it is asked for, and comes into use `TRAINING` records later. Labels come `LATE` records after theirs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

STRETCH, CHANGES = (3_000, 7_000), 6
BENIGN_EVERY = 3
"""Records between two events, how many of these there are; every third is benign."""
FRESH, LATE, TRAINING = 500, 100, 200
RETRAINING = 500.0
STEPS = (0.2, 0.3, -0.2, -0.3)
"""Of a, relative to 1 at the beginning; back and forth, so that it stays near."""
PANE = 100
"""Records of a pane: nothing is acted upon within one."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Columns of all records; `truth`: a for each; `changes`: where a moves; `benign`: where z does."""

    x: Floats
    z: Floats
    y: Floats
    truth: Floats
    changes: list[int]
    benign: list[int]

    def fitted(self, end: int) -> float:
        """A model of the latest labels that are there after `end` records."""
        return self.fit(max(0, end - LATE - FRESH), max(0, end - LATE))

    def fit(self, first: int, last: int) -> float:
        """Least squares on records `first` to `last`."""
        x, y = self.x[first:last], self.y[first:last]
        return float(np.sum(x * y) / np.sum(x * x))

    def staleness(self, model: float, first: int, last: int) -> float:
        """What it costs to score records `first` to `last` with a model."""
        part = slice(first, last)
        return float(np.sum((model - self.truth[part]) ** 2 * self.x[part] ** 2))

    def cost(self, first_model: float, asked: list[int]) -> dict[str, float]:
        """Of retrainings asked for after so many records each."""
        stale, model, at = 0.0, first_model, 0
        for when in asked:
            used = min(when + TRAINING, len(self.x))
            stale += self.staleness(model, at, used)
            model, at = self.fitted(when), used
        stale += self.staleness(model, at, len(self.x))
        return {"staleness": stale, "retrainings": len(asked), "total": stale + RETRAINING * len(asked)}


def inputs(random: np.random.Generator, count: int) -> tuple[Floats, Floats]:
    """x and z before anything has moved."""
    return random.lognormal(1.3, 0.35, count), random.lognormal(0.0, 0.5, count)


def stream(seed: int) -> Stream:
    """One with its events, the last followed by calm."""
    random = np.random.default_rng([seed, 31])
    places = np.cumsum(random.integers(*STRETCH, CHANGES))
    total = int(places[-1] + random.integers(*STRETCH)) // PANE * PANE
    x, z = inputs(random, total)
    truth, changes, benign, steps = np.ones(total), [], [], 0
    for number, place in enumerate(places.tolist()):
        if number % BENIGN_EVERY == 1:
            z[place:] *= 1.5 if len(benign) % 2 == 0 else 1 / 1.5
            benign.append(place)
        else:
            truth[place:] += STEPS[steps % len(STEPS)]
            changes.append(place)
            steps += 1
    return Stream(x, z, truth * x + random.normal(0, 1, total), truth, changes, benign)


def oracle(one: Stream, first_model: float) -> list[int]:
    """The cheapest retrainings of one that knows every change, by dynamic programming.

    After each change it may ask as soon as `FRESH` labels of the new relation are there, or let it be. The cost from
    a change on depends on nothing but the model in use there.
    """
    ready = [place + FRESH + LATE for place in one.changes]
    ready = [-(-place // PANE) * PANE for place in ready]
    starts = [0, *(place + TRAINING for place in ready)]
    models = [first_model, *(one.fitted(place) for place in ready)]
    total = len(one.x)
    best: list[tuple[float, list[int]]] = [(np.inf, [])] * len(models)
    for now in reversed(range(len(models))):
        options = [(one.staleness(models[now], starts[now], total), [])]
        for after in range(now + 1, len(models)):
            if starts[after] <= total:
                stale = one.staleness(models[now], starts[now], starts[after])
                options.append((stale + RETRAINING + best[after][0], [ready[after - 1], *best[after][1]]))
        best[now] = min(options, key=lambda option: option[0])
    return best[0][1]


def scheduled(one: Stream, period: int) -> list[int]:
    """Every `period` records."""
    return list(range(period, len(one.x) - TRAINING, period))

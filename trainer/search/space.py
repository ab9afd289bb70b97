"""What is searched: the shortlist of families, the choices of preparation, and settings drawn at random by a seed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from longshore.trainer.designs import Design, Value
from longshore.trainer.recipe import Preparation

TREES = Preparation()
LINED = ("linear", "k-neighbours")
LINES = Preparation(curves=True, clusters=20, scale="standard")
"""For models that measure distances or add up columns: tails drawn in, everything on one scale."""

Change = dict[str, Any]
"""Fields of a preparation with their new values."""
PREPARING = (
    ("hood",),
    (
        *("derived", "clusters", "curves", "select", "ordinal", "log", "root"),
        *("most frequent", "drop column", "drop row", "min-max"),
    ),
)
"""The names of choices in the order of their steps: neighbourhoods bring most, what else helps is seen upon them."""
MOST_DROPPED = 0.5
"""Where more rows than this miss a feature, rows are not dropped for it."""

START: dict[str, dict[str, Value]] = {
    "linear": {"alpha": 1.0},
    "tree": {"min_samples_leaf": 10},
    "forest": {"n_estimators": 40, "min_samples_leaf": 3, "max_features": 0.33, "max_leaf_nodes": 1_000},
    "extra trees": {"n_estimators": 40, "min_samples_leaf": 2, "max_features": 0.5, "max_leaf_nodes": 1_000},
    "boosting": {
        "learning_rate": 0.1,
        "max_iter": 200,
        "max_leaf_nodes": 31,
        "min_samples_leaf": 20,
        "l2_regularization": 1.0,
        "max_features": 0.3,
    },
    "k-neighbours": {"n_neighbors": 10, "weights": "distance"},
}
"""Each family as it enters the shortlist. Forests are few trees with bounded leaves: they are sent and served whole."""

RANGES: dict[str, dict[str, tuple[Value, ...]]] = {
    "boosting": {
        "learning_rate": (0.04, 0.05, 0.06),
        "max_iter": (350, 450, 550),
        "max_leaf_nodes": (31, 47, 63),
        "min_samples_leaf": (10, 20, 40),
        "l2_regularization": (0.0, 1.0, 5.0, 20.0),
        "max_features": (0.08, 0.1, 0.15),
    },
    "forest": {
        "n_estimators": (40,),
        "min_samples_leaf": (2, 3, 5),
        "max_features": (0.2, 0.33, 0.5),
        "max_leaf_nodes": (1_000,),
    },
    "extra trees": {
        "n_estimators": (40,),
        "min_samples_leaf": (2, 3, 5),
        "max_features": (0.33, 0.5, 0.8),
        "max_leaf_nodes": (1_000,),
    },
    "linear": {"alpha": (0.01, 0.1, 1.0, 10.0, 100.0)},
    "tree": {"min_samples_leaf": (5, 10, 20, 40)},
}
"""Values that settings are drawn from, each as likely as the others."""


def shortlist(seed: int) -> list[Design]:
    """One design of each family."""
    return [
        Design(family, family, LINES if family in LINED else TREES, tuple(settings.items()), seed=seed)
        for family, settings in START.items()
    ]


def changes(design: Design, *, positive: bool, incomplete: float) -> dict[str, Change]:
    """The choices of a preparation by name, each as what changes.

    `positive`: the target has a logarithm; `incomplete`: the share of rows that miss a feature.
    """
    now = design.preparation
    found: dict[str, Change] = {
        "hood": {"hood": not now.hood},
        "derived": {"derived": not now.derived},
        "clusters": {"clusters": 0 if now.clusters else 20},
        "curves": {"curves": not now.curves},
        "select": {"select": not now.select},
        "ordinal": {"ordinal": not now.ordinal},
    }
    if positive:
        found |= {name: {"target": name} for name in ("log", "root")}
    if incomplete:
        found |= {name: {"missing": name} for name in ("most frequent", "drop column")}
    if 0 < incomplete <= MOST_DROPPED:
        found["drop row"] = {"missing": "drop row"}
    if design.family in LINED:
        found["min-max"] = {"scale": "min-max"}
    return found


def changed(design: Design, name: str, change: Change) -> Design:
    """The design with a choice of its preparation changed, named for it: + where something was added, − taken away."""
    sign = "+" if all(value and value != "plain" for value in change.values()) else "-"
    return replace(design, name=f"{design.name} {sign}{name}", preparation=replace(design.preparation, **change))


def together(design: Design, several: list[Change]) -> Design:
    """The design with several choices changed; of two about the same, the first counts."""
    joined = {key: value for change in reversed(several) for key, value in change.items()}
    names = ", ".join(str(key if value in (True, False) else value) for key, value in joined.items())
    return replace(design, name=f"{design.name} +({names})", preparation=replace(design.preparation, **joined))


def drawn(design: Design, count: int) -> list[Design]:
    """`count` different designs of the same family and preparation, their settings drawn at random."""
    chance, ranges = np.random.default_rng([design.seed, *design.family.encode()]), RANGES[design.family]
    most = int(np.prod([len(values) for values in ranges.values()]))
    found: dict[tuple[tuple[str, Value], ...], Design] = {}
    while len(found) < min(count, most):
        settings = tuple((name, values[chance.integers(len(values))]) for name, values in ranges.items())
        found.setdefault(settings, replace(design, name=f"{design.family} {len(found) + 1}", settings=settings))
    return list(found.values())

"""The search in fixed steps: shortlist, preparation, settings, mixtures, choice, bounds. Each goes on with the best.

1. *shortlist*: one design of each family, on half of each fold's training rows.
2. *preparation*: the best family's: neighbourhoods, then every other choice upon what that gave; what brings
   enough stays, of several the best one or, if that brings enough once more, all of them together.
3. *settings*: settings of the leading families drawn at random, successively halved (Jamieson & Talwalkar 2016): many
   on part of the rows, the best of them on all.
4. *mixtures*: the mean, and the least-squares mean, of the best of each family; these cost no fit.
5. The choice: the least cross-validated RMSE among what can be served, fewer trees where that is as good.
6. *bounds*: its predictions kept within the targets it was fitted on, if that lowers its RMSE; no fit either.

Every step is decided by out-of-fold predictions of training rows. With the same rows, seed and budget in fits it is the
same, however many jobs share the work.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from longshore.trainer.designs import Design
from longshore.trainer.recipe import Preparation
from longshore.trainer.search import space
from longshore.trainer.search.running import Runner, Told
from longshore.trainer.search.scoring import Scored, bounded, stacking, voting

SHORTLIST_SHARE = 0.5
BRINGS_ENOUGH = 0.998
"""A preparation must lower the RMSE to this part: less is noise, and every step is served."""
AS_GOOD = 1.001
"""Within this part of the best, the candidate with the fewest trees is chosen."""
RUNGS = ((0.35, 6), (1.0, 3))
"""Boosting's settings: on which share of the rows, how many."""
OTHERS_RUNGS = ((0.35, 3), (1.0, 1))
MIXED = ("boosting", "extra trees", "forest")
"""Families that go into mixtures: their trees add up to one sum."""


@dataclass(frozen=True, slots=True)
class Found:
    """Everything that was scored, best first, the chosen one, and why."""

    candidates: list[Scored]
    chosen: Scored
    why: str


def search(runner: Runner, seed: int, max_trees: int, told: Told) -> Found:
    """Search as far as the runner's budget goes; what is chosen was scored on all rows and has at most `max_trees`."""
    short = runner.score("shortlist", space.shortlist(seed), SHORTLIST_SHARE, told=told, needed=1)
    able = _ranked(one for one in short if one.design.servable)
    prepared, preparation = _prepared(runner, able[0].design, told)
    tuned: list[Scored] = []
    for one in able:
        if one is able[0] or one.design.family in MIXED:
            rungs = RUNGS if one is able[0] else OTHERS_RUNGS
            tuned += _halved(runner, replace(one.design, preparation=preparation), rungs, told)
    whole = [one for one in (*prepared, *tuned) if one.share == 1.0]
    mixed = _mixtures([one for one in whole if one.design.preparation == preparation], runner, max_trees)
    for one in mixed:
        told(one)
    able = [one for one in (*whole, *mixed) if one.design.servable]
    chosen, why = choice([one for one in able if one.design.trees <= max_trees] or able)
    held = bounded(chosen, runner.folds)
    if held.rmse < chosen.rmse:
        told(held)
        mixed, chosen, why = (
            [*mixed, held],
            held,
            f"{why}; within the bounds of the training targets it is better still",
        )
    return Found(_ranked([*short, *tuned, *prepared, *mixed]), chosen, why)


def choice(able: list[Scored]) -> tuple[Scored, str]:
    """The candidate with the fewest trees among those as good as the best (at least one is given)."""
    best = _ranked(able)[0]
    near = [one for one in able if one.rmse <= AS_GOOD * best.rmse]
    chosen = min(near, key=lambda one: (one.design.trees, one.rmse))
    if chosen is best:
        return chosen, "the least cross-validated RMSE among the servable candidates"
    return chosen, f"within {AS_GOOD - 1:.1%} of the least cross-validated RMSE ({best.design.name}), with fewer trees"


def _prepared(runner: Runner, start: Design, told: Told) -> tuple[list[Scored], Preparation]:
    """Every choice of a design's preparation tried, and what was kept of them."""
    scored = runner.score("preparation", [start], told=told, needed=1)
    best = scored[0]
    for step in space.PREPARING:
        changes = _different(runner, best.design, step)
        tried = runner.score("preparation", [design for _, design in changes], told=told)
        better = [
            (one, change)
            for one, (change, _) in zip(tried, changes, strict=False)
            if one.rmse < BRINGS_ENOUGH * best.rmse
        ]
        better.sort(key=lambda each: each[0].rmse)
        if len(better) > 1:
            together = runner.score("preparation", [space.together(best.design, [c for _, c in better])], told=told)
            tried += together
            better = [(one, {}) for one in together if one.rmse < BRINGS_ENOUGH * better[0][0].rmse] + better
        scored += tried
        best = better[0][0] if better else best
    return scored, best.design.preparation


def _different(runner: Runner, design: Design, step: tuple[str, ...]) -> list[tuple[space.Change, Design]]:
    """The changes of a step that come to something with these rows, with the changed design."""
    positive, seen, found = bool((runner.rows.target > 0).all()), {runner.effect(design)}, []
    for name, change in space.changes(design, positive=positive, incomplete=runner.incomplete).items():
        changed = space.changed(design, name, change)
        if name in step and runner.effect(changed) not in seen:
            seen.add(runner.effect(changed))
            found.append((change, changed))
    return found


def _halved(runner: Runner, start: Design, rungs: tuple[tuple[float, int], ...], told: Told) -> list[Scored]:
    """Drawn settings, many on few rows, the best of them on more; `rungs` are shares of the rows and numbers."""
    designs, scored = space.drawn(start, rungs[0][1]), []
    for share, count in rungs:
        found = _ranked(runner.score("settings", designs[:count], share, told=told))
        scored += found
        designs = [one.design for one in found]
    return scored


def _mixtures(whole: list[Scored], runner: Runner, max_trees: int) -> list[Scored]:
    """The mean and the least-squares mean of each family's best, and of as many more as may be served together."""
    able = _ranked(one for one in whole if one.design.family in MIXED and one.design.trees <= max_trees)
    best = {one.design.family: one for one in reversed(able)}
    families = _together(_ranked(best.values()), max_trees)
    if len(families) < 2:
        return []
    made = [voting("voting", families, runner.folds), stacking("stacking", families, runner.folds)]
    more = _together([*families, *(one for one in able if one not in families)], max_trees)
    return made if len(more) == len(families) else [*made, stacking("stacking of more", more, runner.folds)]


def _together(ranked: list[Scored], max_trees: int) -> list[Scored]:
    """The first ones, and then whichever still fits: at most `max_trees` in all."""
    kept: list[Scored] = []
    for one in ranked:
        if one.design.trees + sum(other.design.trees for other in kept) <= max_trees:
            kept.append(one)
    return kept


def _ranked(scored: Iterable[Scored]) -> list[Scored]:
    """Those scored on all rows first, then the better one first."""
    return sorted(scored, key=lambda one: (-one.share, one.rmse))

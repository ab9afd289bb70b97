"""A fold's rows as the models behind see them: made once for all designs that share a preparation.

Features and neighbourhoods take a third of what a fit takes. Where they are kept, and for how long, is
`longshore.trainer.search.running`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from longshore.columns import Floats
from longshore.trainer.designs import Design, front
from longshore.trainer.export_model import NEIGHBOURS
from longshore.trainer.features import Singles
from longshore.trainer.fit import in_turn, one_thread
from longshore.trainer.housing import recipe_for
from longshore.trainer.recipe import Recipe
from longshore.trainer.rows import LabelledRows
from longshore.trainer.split import Indexes, group_codes


@dataclass(frozen=True, slots=True)
class Matrices:
    """float32 matrices of the rows fitted on and of those predicted."""

    learned: Singles
    unseen: Singles


def matrices(rows: LabelledRows, outside: Indexes, inside: Indexes, recipe: Recipe, *, seed: int, key: str) -> Matrices:
    """The rows `outside`, which the preparation is fitted on, and those `inside`; `key` names all that is given."""
    del key
    learned, unseen = rows.take(outside), rows.take(inside)
    known: dict[str, Any] = {f"{NEIGHBOURS}__groups": group_codes(learned.columns.keys)} if recipe.hood else {}
    with one_thread(len(learned)), in_turn():
        steps = Pipeline(front(recipe, seed))
        matrix = steps.fit_transform(learned.columns.frame(), learned.target, **known)
        return Matrices(matrix, steps.transform(unseen.columns.frame()) if len(unseen) else matrix[:0])


def fitted_on(design: Design, made: Matrices, target: Floats) -> tuple[Floats, Floats]:
    """Predictions of a design fitted on matrices: float64 of the unseen rows, and of those fitted on."""
    with one_thread(len(target)), in_turn():
        steps = Pipeline(design.back()).fit(made.learned, target)
        unseen, learned = (
            steps.predict(matrix).astype(np.float64) if len(matrix) else np.empty(0)
            for matrix in (made.unseen, made.learned)
        )
    return unseen, learned


def recipe_of(rows: LabelledRows, design: Design) -> Recipe:
    """The recipe of a design for these rows' schema."""
    return recipe_for(rows.columns.schema, design.preparation)

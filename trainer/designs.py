"""A design: one way to prepare and one model with its settings, as a value that makes an unfitted pipeline.

The families are scikit-learn's. A mixture is the weighted mean of designs that share a preparation. Pure: the same
design and seed make the same pipeline; which one is best is `longshore.trainer.search`'s question.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor, RandomForestRegressor, VotingRegressor
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.tree import DecisionTreeRegressor

from longshore.trainer.export_model import MODEL, NEIGHBOURS, SCALE, SELECT, servable
from longshore.trainer.features import Features
from longshore.trainer.neighbours import Neighbours
from longshore.trainer.recipe import PLAIN, Preparation, Recipe
from longshore.trainer.targets import Target

Value = float | int | str | bool | None
Build = Callable[[dict[str, Any], int], Any]

FAMILIES: dict[str, Build] = {
    "linear": lambda settings, seed: Ridge(**settings, random_state=seed),
    "tree": lambda settings, seed: DecisionTreeRegressor(**settings, random_state=seed),
    "forest": lambda settings, seed: RandomForestRegressor(**settings, random_state=seed),
    "extra trees": lambda settings, seed: ExtraTreesRegressor(**settings, random_state=seed),
    "boosting": lambda settings, seed: HistGradientBoostingRegressor(
        **settings, early_stopping=False, random_state=seed
    ),
    "k-neighbours": lambda settings, seed: KNeighborsRegressor(**settings),
}
SCALERS = {"standard": StandardScaler, "min-max": MinMaxScaler}
SELECTION = {"n_estimators": 20, "min_samples_leaf": 10}
"""The forest whose importances select columns; those below a tenth of the mean importance go."""


def front(recipe: Recipe, seed: int) -> list[tuple[str, Any]]:
    """The unfitted steps from a frame to the float32 matrix; designs with the same recipe and seed share it."""
    steps: list[tuple[str, Any]] = [("features", Features(recipe))]
    if recipe.hood:
        places, around = recipe.places(list(recipe.hood)), recipe.places(list(recipe.around))
        steps.append((NEIGHBOURS, Neighbours(tuple(places), tuple(around), seed=seed)))
    return steps


@dataclass(frozen=True, slots=True)
class Design:
    """`settings` are the model's arguments; a mixture has `members` with their weights instead."""

    name: str
    family: str
    preparation: Preparation = PLAIN
    settings: tuple[tuple[str, Value], ...] = ()
    members: tuple[tuple[Design, float], ...] = ()
    seed: int = 42

    @property
    def servable(self) -> bool:
        """Whether it has an ONNX form."""
        return servable(self._model())

    @property
    def trees(self) -> int:
        """How many trees a call goes through: most of what it costs to serve."""
        if self.members:
            return sum(design.trees for design, _ in self.members)
        settings = dict(self.settings)
        return int(settings.get("n_estimators") or settings.get("max_iter") or self.family == "tree")

    def pipeline(self, rows: int, recipe: Recipe) -> Pipeline:
        """The unfitted pipeline; `recipe` is of the design's preparation."""
        del rows
        return Pipeline([*front(recipe, self.seed), *self.back()])

    def back(self) -> list[tuple[str, Any]]:
        """The unfitted steps behind the matrix."""
        steps: list[tuple[str, Any]] = []
        if self.preparation.select:
            judge = ExtraTreesRegressor(**SELECTION, random_state=self.seed)
            steps.append((SELECT, SelectFromModel(judge, threshold="0.1*mean")))
        if self.preparation.scale != "none":
            steps.append((SCALE, SCALERS[self.preparation.scale]()))
        return [*steps, (MODEL, self._targeted(self._model()))]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the manifest."""
        found: dict[str, Any] = {"family": self.family, "preparation": asdict(self.preparation), "seed": self.seed}
        if self.members:
            return found | {"members": [{"weight": weight, **design.to_dict()} for design, weight in self.members]}
        return found | {"settings": dict(self.settings)}

    def _model(self) -> Any:
        if not self.members:
            return FAMILIES[self.family](dict(self.settings), self.seed)
        members = [(f"{i}", design._model()) for i, (design, _) in enumerate(self.members)]
        return VotingRegressor(members, weights=[weight for _, weight in self.members])

    def _targeted(self, model: Any) -> Any:
        curve, bounded = self.preparation.target, self.preparation.bounded
        if curve == "plain" and not bounded:
            return model
        return TransformedTargetRegressor(model, transformer=Target(curve, bounded), check_inverse=False)

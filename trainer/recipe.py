"""Which columns come in, which are derived from them and what stands for what is missing: values, no arithmetic.

The arithmetic is twice: `longshore.trainer.features` for fitting, `longshore.trainer.export` for serving.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Ratio:
    """The derived column `numerator / denominator`; imputed where that is not a finite float32."""

    name: str
    numerator: str
    denominator: str


@dataclass(frozen=True, slots=True)
class Turn:
    """The derived column `x · cos + y · sin`: an axis at an angle, along which trees may cut."""

    name: str
    x: str
    y: str
    cos: float
    sin: float


@dataclass(frozen=True, slots=True)
class Curve:
    """A heavy tail drawn in: `log` is ln(1 + |x|), `root` is √|x|. Trees do not need it, lines and distances do."""

    name: str
    column: str
    kind: Literal["log", "root"]


@dataclass(frozen=True, slots=True)
class Radial:
    """Likeness to one value: exp(−((x − centre) / width)²), 1 at the centre, 0 far from it."""

    name: str
    column: str
    centre: float
    width: float


@dataclass(frozen=True, slots=True)
class Buckets:
    """The ordinal number of the interval (−∞, e₁], (e₁, e₂], … that a value is in."""

    name: str
    column: str
    edges: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Clusters:
    """Likeness to each of `count` learned k-means centres of the places: exp(−(distance / width)²)."""

    x: str
    y: str
    count: int
    width: float
    seed: int


Missing = Literal["median", "most frequent", "drop column", "drop row"]
"""What stands for a value that is missing, or no finite float32: its column's median, or its most frequent value (for
categories, too). Or nothing does: a column that had such values is a constant, which tells a model nothing; or rows
with missing features are not fitted on (and answered with the median, as every record is)."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Which columns come in, in order, and which are derived from them.

    Ratios and turns are of raw columns and imputed with them. The others are of imputed columns, ratios and turns among
    them. Categories become a column each, or (`ordinal`) one column of their number in alphabetical order.
    """

    numeric: tuple[str, ...]
    nominal: tuple[str, ...]
    ratios: tuple[Ratio, ...] = ()
    turns: tuple[Turn, ...] = ()
    curves: tuple[Curve, ...] = ()
    radials: tuple[Radial, ...] = ()
    buckets: tuple[Buckets, ...] = ()
    clusters: Clusters | None = None
    hood: tuple[str, ...] = ()
    """The columns that say where a row is, where prices of the neighbourhood are wanted: the place and its turns."""
    around: tuple[str, ...] = ()
    """The columns whose means in the neighbourhood are wanted with the prices."""
    missing: Missing = "median"
    ordinal: bool = False

    @property
    def imputed(self) -> tuple[str, ...]:
        """Names of the numeric columns, the ratios and the turns: what is imputed."""
        return (*self.numeric, *(ratio.name for ratio in self.ratios), *(turn.name for turn in self.turns))

    def places(self, names: list[str]) -> list[int]:
        """Where raw or imputed columns stand (raw ones come first)."""
        return [self.imputed.index(name) for name in names]


@dataclass(frozen=True, slots=True)
class Preparation:
    """What is done between the raw frame and the model: every field is a choice of the search.

    `derived`: ratios and turned axes; `curves`: heavy tails drawn in, likeness to typical values, ordinal buckets;
    `clusters`: how many centres on the map; `hood`: prices of the neighbourhood (`longshore.trainer.neighbours`);
    `missing`, `ordinal`: as in `Recipe`; `select`: only columns that matter to a small forest; `target`: what the model
    predicts, turned back afterwards, and `bounded`: kept within what targets were seen. What a schema has no columns
    for is left out.
    """

    derived: bool = True
    curves: bool = False
    clusters: int = 0
    hood: bool = False
    select: bool = False
    scale: Literal["none", "standard", "min-max"] = "none"
    target: Literal["plain", "log", "root"] = "plain"
    missing: Missing = "median"
    ordinal: bool = False
    bounded: bool = False


PLAIN = Preparation()

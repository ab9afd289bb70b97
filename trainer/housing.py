"""What is known of housing beyond its columns: ratios, turned coordinates and the income strata. No other schema's.

The only module of the trainer that names a column of housing. A schema gets these where it has the columns, by name;
otherwise it has no derived columns and its strata are quantiles of the target (`longshore.trainer.strata`).
"""

from __future__ import annotations

import math
from dataclasses import replace

from longshore.schema import Schema
from longshore.trainer.recipe import PLAIN, Buckets, Clusters, Curve, Preparation, Radial, Ratio, Recipe, Turn

SCHEMA = "districts"

RATIOS = (
    Ratio("rooms_per_household", "total_rooms", "households"),
    Ratio("bedrooms_per_room", "total_bedrooms", "total_rooms"),
    Ratio("people_per_household", "population", "households"),
)
ANGLES_DEGREES = (15, 30, 45, 60, 75, 105, 120, 135, 150, 165)
"""California lies aslant: a coast is a straight cut on an axis turned towards it.

Cross-validated RMSE on the training rows of the 1990 census: 44,050 with the turns, 47,000 without, 48,400 without the
ratios too (three seeds).
"""
TURNS = tuple(
    Turn(f"axis_{angle}", "longitude", "latitude", math.cos(math.radians(angle)), math.sin(math.radians(angle)))
    for angle in ANGLES_DEGREES
)
CURVES = (
    *(Curve(f"log_{name}", name, "log") for name in ("total_rooms", "total_bedrooms", "population", "households")),
    *(Curve(f"log_{ratio.name}", ratio.name, "log") for ratio in RATIOS),
    Curve("root_median_income", "median_income", "root"),
)
"""Counts of people and rooms have heavy tails."""
RADIALS = tuple(Radial(f"age_near_{age}", "housing_median_age", age, 8.0) for age in (17.0, 35.0, 52.0))
"""Likeness to the peaks of the districts' ages; 52 is where the census capped them."""
STRATUM_COLUMN = "median_income"
STRATUM_EDGES = (1.5, 3.0, 4.5, 6.0)
"""Income categories, 10,000 US dollars, as in the handbook's stratified split."""
AROUND = (
    "housing_median_age",
    "population",
    "median_income",
    "rooms_per_household",
    "bedrooms_per_room",
    "people_per_household",
)
"""Who lives in the neighbourhood, and how."""
SIZE_COLUMN = "population"
"""How large a district is: the size of its point on a map."""


BUCKETS = (Buckets("income_class", STRATUM_COLUMN, STRATUM_EDGES),)
CLUSTER_WIDTH = 0.7
"""Degrees: some 70 km."""


def recipe_for(schema: Schema, preparation: Preparation = PLAIN) -> Recipe:
    """The recipe of a schema: with the derived columns for housing, without any for others (but clusters of places)."""
    numeric = tuple(field.name for field in schema.numeric)
    nominal = tuple(field.name for field in schema.nominal)
    clusters = None
    if schema.place is not None and preparation.clusters:
        clusters = Clusters(*schema.place, count=preparation.clusters, width=CLUSTER_WIDTH, seed=0)
    hood = schema.place if schema.place is not None and preparation.hood else ()
    around = tuple(name for name in numeric if name not in hood) if hood else ()
    ordinal = preparation.ordinal and bool(nominal)
    recipe = Recipe(
        numeric, nominal, clusters=clusters, hood=hood, around=around, missing=preparation.missing, ordinal=ordinal
    )
    if schema.name != SCHEMA:
        return recipe
    if preparation.derived:
        turned = tuple(turn.name for turn in TURNS) if hood else ()
        recipe = replace(recipe, ratios=RATIOS, turns=TURNS, hood=hood + turned)
    if hood:
        recipe = replace(recipe, around=tuple(name for name in AROUND if name in recipe.imputed))
    if preparation.curves:
        curves = CURVES if preparation.derived else tuple(curve for curve in CURVES if curve.column in numeric)
        recipe = replace(recipe, curves=curves, radials=RADIALS, buckets=BUCKETS)
    return recipe


def stratum_column(schema: Schema) -> str | None:
    """The column whose categories are the strata, None where the target's quantiles are."""
    return STRATUM_COLUMN if schema.name == SCHEMA else None


def size_column(schema: Schema) -> str | None:
    """The column that is a point's size on a map, None where no such one is known."""
    return SIZE_COLUMN if schema.name == SCHEMA else None

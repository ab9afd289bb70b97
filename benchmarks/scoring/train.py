"""`longshore train` with a given number of trees: `python -m benchmarks.scoring.train TREES LEAVES FOLDER`.

On generated rows the product's own training ends at 150 small trees, or by early stopping at some 80 large ones. The
benchmark needs a given number, so it replaces those parameters and nothing else: split, export, parity, registration
and promotion are the product's. A pipeline of scikit-learn's own classes, for peers without Longshore, is fitted on
the same rows.
"""

from __future__ import annotations

import functools
import sys
from dataclasses import replace
from pathlib import Path

import joblib
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from longshore.cli.main import main as longshore
from longshore.producers.generator import history_frame
from longshore.schema import districts
from longshore.trainer import fit, making

ROWS, SEED = 5_000, 42
LEARNING_RATE = 0.1


def main() -> None:
    trees, leaves, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    boosting = replace(
        fit.MANY_ROWS, learning_rate=LEARNING_RATE, max_iter=trees, max_leaf_nodes=leaves, early_stopping=False
    )
    making.Parameters = functools.partial(fit.Parameters, few=boosting, many=boosting)  # type: ignore[misc]
    _sklearn_only(boosting, folder / "peer.joblib")
    sys.argv = ["longshore", "train", "--quick", "--rows", str(ROWS), "--seed", str(SEED)]
    longshore()


def _sklearn_only(boosting: fit.Boosting, path: Path) -> None:
    schema, frame = districts(), history_frame(ROWS, SEED)
    nominal = [field.name for field in schema.nominal]
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), nominal), remainder="passthrough"
    )
    trees = HistGradientBoostingRegressor(
        learning_rate=boosting.learning_rate,
        max_iter=boosting.max_iter,
        max_leaf_nodes=boosting.max_leaf_nodes,
        early_stopping=False,
        random_state=SEED,
    )
    pipeline = make_pipeline(encode, trees).fit(frame[list(schema.feature_names)], frame[schema.target])
    joblib.dump(pipeline, path)


if __name__ == "__main__":
    main()

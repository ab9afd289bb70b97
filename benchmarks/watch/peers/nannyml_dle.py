"""NannyML's Direct Loss Estimation, as its documentation fits it: a regressor of |error| on the reference's rows.

    python nannyml_dle.py FOLDER

`FOLDER/<seed>.npz` hold the columns of `reference-…` and `analysis-…`, with `prediction` and, for the reference,
`label`. `FOLDER/out.json` gets the estimated MAE of every chunk of the analysis by seed. Runs in an environment of its
own.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"

import numpy as np
import pandas as pd
from nannyml import DLE

CHUNK = 500


def frame(held: Any, period: str) -> pd.DataFrame:
    names = [name for name in held.files if name.startswith(f"{period}-")]
    columns = {name.removeprefix(f"{period}-"): held[name] for name in names}
    # Texts as objects: its encoder does not take the strings of pandas 3.
    return pd.DataFrame(
        {
            name: pd.Series(values.tolist(), dtype=object) if values.dtype.kind == "U" else values
            for name, values in columns.items()
        }
    )


def estimated(path: Path) -> list[float]:
    held = np.load(path)
    reference, analysis = frame(held, "reference"), frame(held, "analysis")
    features = [name for name in analysis if name != "prediction"]
    estimator = DLE(
        feature_column_names=features, y_pred="prediction", y_true="label", metrics=["mae"], chunk_size=CHUNK,
        tune_hyperparameters=False,
    )  # fmt: skip
    estimator.fit(reference)
    table = estimator.estimate(analysis).filter(period="analysis").to_df()
    return [float(value) for value in table["mae", "value"]]


def main(folder: Path) -> None:
    warnings.simplefilter("ignore")
    pd.set_option("future.infer_string", False)
    found = {path.stem: estimated(path) for path in sorted(folder.glob("*.npz"))}
    (folder / "out.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

#!/usr/bin/env bash
# The same dataset, lock file, seed and budget in two new environments: the same hash, ONNX, metrics and predictions.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
scratch="${REPEAT_SCRATCH:-$root/.repeat}"
rm -rf "$scratch"
mkdir -p "$scratch"
trap 'rm -rf "$scratch"' EXIT
longshore="$root/.venv/bin/longshore"
"$root/.venv/bin/python" -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$scratch" .
"$longshore" data generate --rows 4000 --seed 11 --to "$scratch/rows.csv" >/dev/null
"$longshore" data generate --rows 2000 --seed 12 --start 0 --to "$scratch/unseen.csv" >/dev/null

train() {  # NAME, then variables: a new environment, a new home, a search within the least budget in fits
  local folder="$scratch/$1"
  "$(bash .ci/python.sh)" -m venv "$folder/venv"
  "$folder/venv/bin/python" -m pip install --quiet --require-hashes --requirement requirements.lock
  "$folder/venv/bin/python" -m pip install --quiet --no-deps "$scratch"/longshore-*.whl
  (
    cd "$folder"
    export LONGSHORE_HOME="$folder/home" LONGSHORE_TRAINER__SEARCH_FITS=30 "${@:2}"
    venv/bin/longshore train --data "$scratch/rows.csv" --seed 7 --output json >trained.json 2>train.log ||
      { tail -n 5 train.log >&2; exit 1; }
    venv/bin/longshore score --input "$scratch/unseen.csv" --to scored.csv >/dev/null 2>&1
    rm -rf venv
  )
}

train first PYTHONHASHSEED=1 TZ=UTC LONGSHORE_TRAINER__JOBS=1
train second PYTHONHASHSEED=2 TZ=Asia/Kathmandu OMP_NUM_THREADS=2 LONGSHORE_TRAINER__JOBS=2
"$root/.venv/bin/python" - "$scratch" <<'PYTHON'
import hashlib
import json
import sys
from pathlib import Path

folders = [Path(sys.argv[1], name) for name in ("first", "second")]
found = []
for folder in folders:
    version = folder / "home/registry/default/versions/v1"
    manifest = json.loads((version / "manifest.json").read_text())
    found.append(
        {
            "dataset": manifest["dataset"]["sha256"],
            "model.onnx": hashlib.sha256((version / "model.onnx").read_bytes()).hexdigest(),
            "metrics": manifest["metrics"],
            "parameters": manifest["parameters"],
            "predictions": hashlib.sha256((folder / "scored.csv").read_bytes()).hexdigest(),
        }
    )
different = [name for name in found[0] if found[0][name] != found[1][name]]
print("different:" if different else "the same in both:", ", ".join(different or found[0]))
print("dataset", found[0]["dataset"][:16], "model", found[0]["model.onnx"][:16], "RMSE", found[0]["metrics"]["rmse"])
sys.exit(bool(different))
PYTHON

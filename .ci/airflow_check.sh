#!/usr/bin/env bash
# Loads deploy/airflow with a real Airflow in an environment of its own, and runs the DAG on a local stack.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
scratch="${AIRFLOW_SCRATCH:-$root/.airflow}"
longshore="${LONGSHORE_COMMAND:-$root/.venv/bin/longshore}"
mkdir -p "$scratch"
python="$scratch/venv/bin/python"
if ! "$scratch/venv/bin/airflow" version >/dev/null 2>&1; then
  "$(bash .ci/python.sh)" -m venv --clear "$scratch/venv"
  echo "installing Airflow into $scratch/venv"
  "$python" -m pip install --quiet 'apache-airflow>=3,<4' 'apache-airflow-providers-standard'
fi

export AIRFLOW_HOME="$scratch/home" AIRFLOW__CORE__DAGS_FOLDER="$root/deploy/airflow" AIRFLOW__CORE__LOAD_EXAMPLES=False
export AIRFLOW__LOGGING__LOGGING_LEVEL=WARNING
run="$(mktemp -d "$scratch/run.XXXXXX")"
export LONGSHORE_HOME="$run" LONGSHORE_COMMAND="$longshore" LONGSHORE_AIRFLOW_TRAIN="--rows 1000 --quick"
trap '"$longshore" local down >/dev/null 2>&1 || true; rm -rf "$run"' EXIT

rm -rf "$AIRFLOW_HOME"
"$scratch/venv/bin/airflow" db migrate >/dev/null
"$python" - <<'PYTHON'
from airflow.dag_processing.dagbag import DagBag
import os

bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
assert not bag.import_errors, bag.import_errors
dag = bag.dags["longshore_retraining"]
assert [task.task_id for task in dag.topological_sort()] == ["check", "train", "verify"], dag.tasks
print("the DAG is loaded:", ", ".join(task.task_id for task in dag.topological_sort()))
PYTHON

"$longshore" local up --output json >/dev/null
"$longshore" topics create >/dev/null
"$longshore" train --rows 1000 --quick --trigger-id first --output json >/dev/null
"$scratch/venv/bin/airflow" dags test longshore_retraining >"$run/airflow.log" 2>&1 || { tail -n 60 "$run/airflow.log"; exit 1; }
"$root/.venv/bin/python" - "$("$longshore" model list --output json)" <<'PYTHON'
import json
import sys

first, second = json.loads(sys.argv[1])
assert second["trigger_id"].startswith("airflow-manual__"), second
print("the DAG ran and made", second["version"], "for", second["trigger_id"])
PYTHON

#!/usr/bin/env bash
# Runs the tests of the optional extras in an environment of their own, which sees .venv; none of them is skipped.
# PMML is evaluated by JPMML, which needs a java on PATH.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch="${EXTRAS_SCRATCH:-$PWD/.extras}"
python="$scratch/bin/python"
modules='mlflow, wandb, s3fs, moto.server, distributed, jpmml_evaluator, jpype'
if ! "$python" -c "import longshore, $modules" 2>/dev/null; then
  .venv/bin/python -m venv --clear "$scratch"
  site=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  echo "import site; site.addsitedir('$site')" > "$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/longshore.pth"
  echo "installing the extras into $scratch"
  "$python" -m pip install --quiet 'mlflow>=3' 'wandb>=0.19' 's3fs>=2025.2' 'moto[server]' distributed jpmml_evaluator jpype1
  "$python" -c "import longshore, $modules"
fi
export LONGSHORE_EXTRAS=1
exec "$python" -m pytest -q tests/conformance/test_registry_stores.py tests/integration/test_search_dask.py \
  tests/unit/test_model_mlflow.py tests/unit/test_model_wandb.py tests/unit/test_model_pmml.py "$@"

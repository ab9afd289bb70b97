#!/usr/bin/env bash
# Prints a Python >= 3.11 that can make a virtual environment: $PYTHON if set, else the first that runs on PATH.
# A candidate is run, not only looked up: a version manager's shim may exist for a Python that does not.
set -euo pipefail
probe='import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))'
candidates=(${PYTHON:-python3.13 python3.12 python3.11 python3 python})
for candidate in "${candidates[@]}"; do
  while read -r path; do
    if "$path" -c "$probe" >/dev/null 2>&1; then echo "$path"; exit 0; fi
  done < <(type -aP "$candidate" 2>/dev/null)
done
echo "no Python >= 3.11 with venv and ensurepip among: ${candidates[*]}; install one (Debian: python3 and python3-venv)" \
  "or name it: make PYTHON=/path/to/python3" >&2
exit 1

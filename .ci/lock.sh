#!/usr/bin/env bash
# Writes requirements.lock from pyproject.toml: everything the library, the local stack, the tests and the build need,
# for every Python and platform we support, with the hash of each file a package index may hand out; and from it
# requirements-runtime.lock, the part that the services' image needs.
# Usage: bash .ci/lock.sh [--upgrade | --upgrade-package NAME]   (versions already locked stay unless told otherwise)
set -euo pipefail
cd "$(dirname "$0")/.."

tool=$(mktemp -d "${TMPDIR:-/tmp}/longshore-lock.XXXXXX")
trap 'rm -rf "$tool"' EXIT
"${PYTHON:-python3}" -m venv "$tool/venv"
"$tool/venv/bin/python" -m pip install --quiet "uv==0.13.9"

# A machine's own index or wheel folder must not decide what the lock says, nor be named in it.
compile() {
  env -u PIP_FIND_LINKS -u PIP_INDEX_URL -u PIP_EXTRA_INDEX_URL -u UV_FIND_LINKS "$tool/venv/bin/uv" pip compile \
    --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-emit-find-links --no-annotate --no-config \
    --custom-compile-command "bash .ci/lock.sh" "$@" pyproject.toml .ci/build-requirements.in
}
compile --extra local --extra dev --output-file requirements.lock "$@"
# The image runs the services alone: the same versions without the local stack and the tools of development.
compile --constraint requirements.lock --output-file requirements-runtime.lock

if grep -nE '^-|://' requirements.lock requirements-runtime.lock; then
  echo "lock.sh: a lock names an address or an option; a lock holds names, versions and hashes only" >&2
  exit 1
fi
echo "requirements.lock: $(grep -cE '^[a-z0-9A-Z].*==' requirements.lock) packages"

#!/usr/bin/env bash
# Links src/longshore and the four service folders into one tree (.tree/longshore), as they are once installed.
# mypy needs it: it does not run the import hook through which an editable install maps the folders.
set -euo pipefail
cd "$(dirname "$0")/.."
rm -rf .tree
mkdir -p .tree/longshore
for entry in src/longshore/*; do ln -s "../../$entry" ".tree/longshore/${entry##*/}"; done
for service in producers scorer monitor trainer; do ln -s "../../$service" ".tree/longshore/$service"; done

#!/usr/bin/env bash
# The programs that tests/system needs, as Debian packages: installed where they are absent and we may, else named.
# No service is started by that (Debian's prometheus would be).
set -euo pipefail

declare -A package_of=([chromium]=chromium [prometheus]=prometheus [promtool]=prometheus [prometheus-alertmanager]=prometheus-alertmanager [kcat]=kcat [haproxy]=haproxy)
PATH="$PATH:/usr/sbin"
missing=()
for program in "${!package_of[@]}"; do
  command -v "$program" >/dev/null || missing+=("${package_of[$program]}")
done
[ ${#missing[@]} -gt 0 ] || exit 0
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)

as_root=()
if [ "$(id -u)" != 0 ]; then
  if ! sudo -n true 2>/dev/null; then as_root=(none); else as_root=(sudo -n); fi
fi
if ! command -v apt-get >/dev/null || [ "${as_root[*]}" = none ]; then
  echo "make test-system needs ${missing[*]}. As root on Debian: apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 1
fi

echo "installing ${missing[*]}"
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod +x "$policy"
  trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null

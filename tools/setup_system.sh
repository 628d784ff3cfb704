#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian or Ubuntu packages named in the given lists (tools/apt-*.txt) that are not there yet: as root, or
# with sudo if it asks for no password. Otherwise it says what to install and fails. A line may name alternatives, a|b;
# packages that the distribution does not have are left out (CMake downloads header-only libraries it does not find).
set -eu

if ! command -v dpkg-query >/dev/null; then
  echo "setup: no Debian or Ubuntu: install the equivalents of these yourself:" $(cat "$@")
  exit 0
fi

installed() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q '^install ok installed'; }

missing=""
for entry in $(cat "$@"); do
  found=""
  for package in $(echo "$entry" | tr '|' ' '); do
    if installed "$package"; then found=1; fi
  done
  if [ -z "$found" ]; then missing="$missing $entry"; fi
done
if [ -z "$missing" ]; then
  echo "setup: all system packages are there"
  exit 0
fi

if [ "$(id -u)" = 0 ]; then sudo=""
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo="sudo"
else
  echo "setup: these packages are missing and installing them needs root:" >&2
  echo "  sudo apt-get install$(echo "$missing" | sed 's/|[^ ]*//g')" >&2
  exit 1
fi

$sudo apt-get update -q
packages=""
for entry in $missing; do
  for package in $(echo "$entry" | tr '|' ' '); do
    if [ -n "$(apt-cache policy "$package" | grep 'Candidate: [^(]')" ]; then packages="$packages $package"; break; fi
  done
done
echo "setup: installing$packages"
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $packages

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The NEON kernels on a machine without NEON: a cross build, a look at the compiled tiles, and the backend's tests under
# qemu-user. Installs what is missing where that is allowed; otherwise says why nothing was checked, and passes.
# Usage: check_aarch64.sh [CMAKE ARGUMENTS...]
set -eu

if [ "$(uname -m)" = aarch64 ]; then
  echo "aarch64: skipped: this machine is one, its own tests have run the NEON kernels"
  exit 0
fi
tools/setup_system.sh tools/apt-aarch64.txt || true
for program in aarch64-linux-gnu-g++ aarch64-linux-gnu-objdump qemu-aarch64; do
  if ! command -v $program >/dev/null; then
    echo "aarch64: SKIPPED, nothing was checked: $program is missing and could not be installed (see above)"
    exit 0
  fi
done

cmake --preset aarch64 "$@"
cmake --build --preset aarch64 --target test_backend
python3 tests/build/check_neon.py build/aarch64/libbit.a aarch64-linux-gnu-objdump
# Left out: two long cases, and those that start this program anew, which an emulated program cannot do.
qemu-aarch64 -L /usr/aarch64-linux-gnu build/aarch64/tests/cpp/backend/test_backend \
  -tce="two models*,random arch*,one processor*,OpenMP's*,a process that forks*"

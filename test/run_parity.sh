#!/usr/bin/env bash
# Makes an environment that has PyTorch and MMSegmentation beside TensorFlow, and compares this project with them.
#
#   bash test/run_parity.sh                             everything: a quarter of an hour on two cores
#   bash test/run_parity.sh test/parity/test_losses.py  the comparisons named, by pytest's own arguments
#
# PYTHON names the interpreter to use, PARITY_VENV the environment (.venv-parity), PARITY_REPORT a file for the figures
# (docs/parity.md holds those of the whole suite).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=${PARITY_VENV:-.venv-parity}
bin=$venv/bin

fail() { printf 'run_parity.sh: %s\n' "$*" >&2; exit 1; }
step() { printf '\n== %s\n' "$*"; }

find_python() {
  local candidate candidates=(python3.11 python3)
  [[ -z ${PYTHON:-} ]] || candidates=("$PYTHON")
  for candidate in "${candidates[@]}"; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  fail "no Python 3.11 found; name one: PYTHON=/path/to/python3.11 bash test/run_parity.sh"
}

pip_install() { "$bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }

install() {
  local wanted stamp="$venv/.installed" python
  wanted=$(cat requirements/{base,constraints,cpu,parity,test}.txt | cksum)
  [[ -x $bin/python && -e $stamp && $(cat "$stamp") == "$wanted" ]] && return
  [[ ! -x $bin/python || -e $bin/pip ]] || fail "the environment in $venv has no pip; remove it and repeat"
  if [[ ! -x $bin/python ]]; then
    python=$(find_python)
    "$python" -m venv "$venv"
  fi
  pip_install -r requirements/cpu.txt -r requirements/test.txt
  pip_install --no-deps -r requirements/parity.txt
  "$bin/python" -c 'import torch' ||
    fail "this build of PyTorch does not run here: configure pip to find the one for processors, remove $venv and repeat"
  printf '%s\n' "$wanted" >"$stamp"
}

step "environment ($venv)"
install
step "comparisons"
(($#)) || set -- test/parity test/runtime/checkpoints/foreign
exec "$bin/python" -m pytest --disable-warnings "$@"

#!/usr/bin/env bash
# Makes the test environment (Horovod included, where there is a C++ compiler) and runs every check.
#
#   bash test/run_tests.sh                  everything
#   bash test/run_tests.sh test/model -x    the tests named, by pytest's own arguments
#
# PYTHON names the interpreter to use, TEST_VENV the environment (.venv-test).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=${TEST_VENV:-.venv-test}
bin=$venv/bin

fail() { printf 'run_tests.sh: %s\n' "$*" >&2; exit 1; }
step() { printf '\n== %s\n' "$*"; }

find_python() {
  local candidate candidates=(python3.11 python3.10 python3.9 python3)
  [[ -z ${PYTHON:-} ]] || candidates=("$PYTHON")
  for candidate in "${candidates[@]}"; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, 11))' 2>/dev/null; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  fail "no Python 3.9, 3.10 or 3.11 found; name one: PYTHON=/path/to/python3.11 bash test/run_tests.sh"
}

pip_install() { "$bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }

install() {
  local wanted stamp="$venv/.installed" python
  # A compiler that came later builds Horovod then.
  wanted=$({ cat requirements/{base,constraints,cpu,export,horovod,horovod-build,test}.txt; compiler; } | cksum)
  [[ -x $bin/python && -e $stamp && $(cat "$stamp") == "$wanted" ]] && return
  [[ ! -x $bin/python || -e $bin/pip ]] || fail "the environment in $venv has no pip; remove it and repeat"
  if [[ ! -x $bin/python ]]; then
    python=$(find_python)
    "$python" -m venv "$venv"
  fi
  pip_install -r requirements/cpu.txt -r requirements/export.txt -r requirements/test.txt
  install_horovod
  printf '%s\n' "$wanted" >"$stamp"
}

compiler() { command -v c++ || command -v g++ || true; }

install_horovod() {
  if [[ -z $(compiler) ]]; then
    echo "no C++ compiler: Horovod is not built, the tests of several ranks are skipped"
    return
  fi
  pip_install -r requirements/horovod-build.txt
  PATH="$PWD/$bin:$PATH" HOROVOD_WITH_TENSORFLOW=1 HOROVOD_WITH_GLOO=1 HOROVOD_WITHOUT_MPI=1 \
    HOROVOD_WITHOUT_PYTORCH=1 HOROVOD_WITHOUT_MXNET=1 pip_install --no-build-isolation -r requirements/horovod.txt
}

step "environment ($venv)"
install
if (($#)); then
  exec "$bin/python" -m pytest "$@"
fi
step "lint";             "$bin/ruff" check .
step "types";            "$bin/mypy"
step "import contracts"; "$bin/lint-imports"
step "Python 3.7 syntax"
"$bin/vermin" --quiet --no-tips --eval-annotations --target=3.7- --violations \
  main.py download_dataset.py benchmark datasets dllogger model objectives requirements runtime utils test
step "shell scripts";    "$bin/shellcheck" loop.sh test/*.sh examples/*.sh .ci/run
step "Dockerfiles";      "$bin/hadolint" Dockerfile Dockerfile.ascend
step "tests"
# Tests of one module share what they train, so a module stays with one process. Modules of few tests are those of
# whole runs, the longest: in the order of their names short ones are left to fill up the end.
# The many processes that tests start read compiled modules.
counted=$(mktemp -d)
trap 'rm -rf "$counted"' EXIT
env -u PYTHONDONTWRITEBYTECODE "$bin/python" -m slipcover --json --out "$counted/lines.json" \
  -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder
step "coverage"
"$bin/python" -m slipcover --merge "$counted/lines.json" --out "$counted/all.json" --skip-covered --fail-under 90
echo "all checks passed"

#!/usr/bin/env bash
# Shows that requirements/ascend.txt installs on Python 3.7, on x86-64 and on aarch64, from wheels alone, and that it
# names every package: pip resolves it for both and downloads it into a directory that is removed again.
#
#   bash test/resolve_ascend.sh                        both
#   bash test/resolve_ascend.sh aarch64                one of them
#   PYTHON=/path/to/python3.7 bash test/resolve_ascend.sh
#
# pip must be 20.3 or newer. It answers questions about the Python version by the interpreter that it runs on: of
# another than 3.7 it may ask for less.
set -euo pipefail

requirements=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/requirements/ascend.txt
# Wheels for glibc 2.17 and older, by their new and their old names.
x86_64=(manylinux_2_17 manylinux2014 manylinux_2_12 manylinux2010 manylinux_2_5 manylinux1)
aarch64=(manylinux_2_17 manylinux2014)

fail() { printf 'resolve_ascend.sh: %s\n' "$*" >&2; exit 1; }

find_python() {
  local candidate candidates=(python3.7 python3 python)
  [[ -z ${PYTHON:-} ]] || candidates=("$PYTHON")
  for candidate in "${candidates[@]}"; do
    ! "$candidate" -m pip --version >/dev/null 2>&1 || { printf '%s\n' "$candidate"; return; }
  done
  fail "none of ${candidates[*]} has pip; name one: PYTHON=/path/to/python3.7 bash test/resolve_ascend.sh"
}

named() { # the lines of the file as name==version, in pip's normal form of names
  sed -e 's/[[:space:]]*#.*//' -e '/^$/d' "$requirements" |
    awk -F== '{ name = tolower($1); gsub(/[-_.]+/, "-", name); print name "==" $2 }' | sort
}

downloaded() { # directory: the same of its wheels
  local wheel
  for wheel in "$1"/*.whl; do
    printf '%s\n' "${wheel##*/}"
  done | awk -F- '{ name = tolower($1); gsub(/[_.]+/, "-", name); print name "==" $2 }' | sort
}

resolve() { # machine, platforms ...
  local machine=$1 wheels=$scratch/$1 platform platforms=()
  for platform in "${@:2}"; do platforms+=(--platform "${platform}_$machine"); done
  mkdir "$wheels"
  "$python" -m pip download --quiet --disable-pip-version-check --no-cache-dir --only-binary :all: \
    --implementation cp --python-version 3.7 --abi cp37m --abi abi3 --abi none "${platforms[@]}" \
    --dest "$wheels" --requirement "$requirements" || fail "$machine: pip finds no solution; the lines above say why"
  diff <(named) <(downloaded "$wheels") ||
    fail "$machine: < stands in requirements/ascend.txt, > is what pip resolved it to"
  printf '%s: %s packages, all named, all as wheels\n' "$machine" "$(downloaded "$wheels" | wc -l)"
}

(($#)) || set -- x86_64 aarch64
python=$(find_python)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$python" -c 'import sys; print("Python %d.%d" % sys.version_info[:2])'
"$python" -m pip --version | cut -d ' ' -f 1,2
for machine in "$@"; do
  case $machine in
    x86_64) resolve x86_64 "${x86_64[@]}" ;;
    aarch64) resolve aarch64 "${aarch64[@]}" ;;
    *) fail "$machine: x86_64 or aarch64" ;;
  esac
done

#!/usr/bin/env bash
# Set-up and the one-device run, for a machine that has nothing but Python 3.9 - 3.11, or for an Ascend host with its
# npu_bridge: makes .venv, installs, trains UNet, evaluates fold 0, predicts, and says where everything is.
#
#   bash loop.sh                          the embedded phantom data
#   DATA_DIR=/data bash loop.sh           a real ssTEM set; --data_dir=/data does the same
#   bash loop.sh --max_steps 500 --amp    further arguments go to main.py
#
# PYTHON names the interpreter to use, VENV the environment (.venv; `none`: the interpreter has all that is needed, as in
# a container), RESULTS where numbered runs go (runs). On Ascend JOB_ID, ASCEND_DEVICE_ID and the other variables of
# test/env.sh hold.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=${VENV:-$here/.venv}
results=${RESULTS:-runs}
# shellcheck source=test/env.sh
source "$here/test/env.sh"

fail() { printf 'loop.sh: %s\n' "$*" >&2; exit 2; }
step() { printf '\n== %s\n' "$*"; }

for argument in "$@"; do
  case $argument in
    --model_dir*) fail "runs are numbered under RESULTS ($results); call main.py itself for a --model_dir" ;;
    -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit ;;
  esac
done

ascend_python() { # prints the first interpreter that has npu_bridge
  local candidate candidates=(python3.7 python3 python)
  [[ -z ${PYTHON:-} ]] || candidates=("$PYTHON")
  for candidate in "${candidates[@]}"; do
    ! has_npu "$candidate" || { printf '%s\n' "$candidate"; return; }
  done
}

find_python() {
  local candidate candidates=(python3.11 python3.10 python3.9 python3 python)
  [[ -z ${PYTHON:-} ]] || candidates=("$PYTHON")
  for candidate in "${candidates[@]}"; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, 11))' 2>/dev/null; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  fail "no Python 3.9, 3.10 or 3.11 found; install one, or name it: PYTHON=/path/to/python3.11 bash loop.sh"
}

pip_install() {
  "$python" -m pip install --quiet --disable-pip-version-check "$@" ||
    fail "installation failed; the lines above say why"
}

install() { # requirements file, options of venv ...; sets `python`
  if [[ $venv == none ]]; then
    python=${host_python:-${PYTHON:-python3}}
    return
  fi
  python=$venv/bin/python
  if installed "$1"; then
    echo "using the environment in $venv"
    return
  fi
  require_room "$(dirname "$venv")" VENV
  local lock
  if command -v flock >/dev/null; then # a second one that comes meanwhile waits, and finds it made
    exec {lock}>"$venv.lock"
    flock "$lock" || true # there are file systems without locks
    install_alone "$@"
    exec {lock}>&-
  else
    install_alone "$@"
  fi
}

require_room() { # directory, the variable that names another
  { mkdir -p "$1" && [[ -w $1 ]]; } 2>/dev/null || fail "nothing can be written in $1; name another place with $2=..."
}

stamp_of() { # requirements file; what is written beside an environment that has them
  cat "$here/requirements/base.txt" "$here/requirements/constraints.txt" "$1" | cksum
}

installed() { [[ -x $python && -e $venv/.installed && $(cat "$venv/.installed") == "$(stamp_of "$1")" ]]; }

install_alone() { # as install
  if installed "$1"; then
    echo "using the environment in $venv, which another loop.sh has made meanwhile"
    return
  fi
  [[ ! -x $python || -e $venv/bin/pip ]] || fail "the environment in $venv has no pip; remove it and repeat"
  if [[ ! -x $python ]]; then
    local maker=$host_python
    [[ -n $maker ]] || maker=$(find_python)
    "$maker" -m venv "${@:2}" "$venv" || fail "cannot make $venv (on Debian: apt-get install python3-venv)"
  fi
  # The pip that comes with Python 3.7.5 knows of no wheels for glibc 2.17.
  [[ $1 != */ascend.txt ]] || pip_install pip==24.0
  pip_install -r "$1"
  stamp_of "$1" >"$venv/.installed"
}

check_gpu_is_seen() {
  "$python" - <<'PYTHON' || fail "there is an NVIDIA driver, but TensorFlow sees no GPU; see the lines above"
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "1"
import sys
import tensorflow as tf
sys.exit(not tf.config.list_physical_devices("GPU"))
PYTHON
}

run_main() { # arguments of main.py; its status. A signal is handed on to it, and waited out: it saves what it has
  local child='' told='' code status=127
  # Set before the child is there: it may be told to stop as soon as it is.
  trap 'told=1; [[ -z $child ]] || kill -s TERM "$child" 2>/dev/null || true' HUP INT TERM
  "$python" "$here/main.py" "$@" &
  child=$!
  [[ -z $told ]] || kill -s TERM "$child" 2>/dev/null || true
  while :; do # a signal ends the waiting, and not the child
    told='' code=0
    wait "$child" || code=$?
    ((code == 127)) || status=$code # 127: nothing is left to wait for
    [[ -n $told ]] || break
  done
  trap - HUP INT TERM
  return "$status"
}

chosen() { # arguments; whether they choose what is trained
  local argument
  for argument in "$@"; do
    case ${argument%%=*} in --recipe | --model | --dataset) return ;; esac
  done
  return 1
}

value_of() { # flag, arguments; prints the last value that they give it, nothing without one
  local flag=$1 last='' found='' argument
  for argument in "${@:2}"; do
    if [[ $argument == "$flag="* ]]; then found=${argument#*=}; fi
    if [[ $last == "$flag" ]]; then found=$argument; fi
    last=$argument
  done
  printf '%s\n' "$found"
}

next_run() { # the first free number, taken by making the directory, so that two runs never share one
  local number=1
  until mkdir "$results/run_$number" 2>/dev/null; do
    [[ -d $results/run_$number ]] || fail "cannot make $results/run_$number"
    number=$((number + 1))
  done
  printf '%s\n' "$results/run_$number"
}

# The short one is for two cores; minutes that are given stand in place of either.
long=(--max_steps 1000) short=(--max_steps 90) augment=(--augment) pace=(--learning_rate 0.0003 --log_every 10)
if [[ -n $(value_of --train_minutes "$@") ]]; then long=() short=(); fi
case $(value_of --exec_mode "$@") in '' | train*) ;; *) long=() short=() augment=() pace=() ;; esac # nothing is trained
fold=(--crossvalidation_idx 0)
case "$(value_of --dataset "$@") $(value_of --recipe "$@")" in *dagm2007* | *cityscapes*) fold=() ;; esac # no folds

require_room "$results" RESULTS
step "environment"
host_python=$(ascend_python)
if [[ -n $host_python ]]; then
  ((${RANK_SIZE:-1} == 1)) || fail "RANK_SIZE=$RANK_SIZE, and one device trains here; bash test/train_full_8p.sh uses several"
  # TensorFlow 1.15 and npu_bridge are the host's.
  install "$here/requirements/ascend.txt" --system-site-packages
  defaults=(--device npu --use_amp ${long[@]+"${long[@]}"} ${augment[@]+"${augment[@]}"})
elif has_gpu; then
  install "$here/requirements/gpu.txt"
  check_gpu_is_seen
  defaults=(${long[@]+"${long[@]}"} ${augment[@]+"${augment[@]}"})
else
  install "$here/requirements/cpu.txt"
  defaults=(${short[@]+"${short[@]}"} ${pace[@]+"${pace[@]}"} --use_amp)
  # Without bfloat16 a step of the whole UNet would take several seconds.
  if ! has_bfloat16 && ! chosen "$@"; then
    echo "no bfloat16 on this processor: a UNet of a quarter of the width (--model unet for the whole)"
    defaults=(--recipe sstem-quarter-unet)
  fi
fi
[[ -z ${DATA_DIR:-} ]] || defaults+=(--data_dir "$DATA_DIR")

run=$(next_run)
step "train and evaluate${fold[*]:+ fold 0}, into $run"
run_main --exec_mode train_and_evaluate ${fold[@]+"${fold[@]}"} --model_dir "$run" \
  ${defaults[@]+"${defaults[@]}"} "$@" || { code=$?; rmdir "$run" 2>/dev/null || true; exit "$code"; }

# Nothing to predict with after a benchmark or five folds.
code=0
if [[ -d $run/model_checkpoint ]]; then
  step "predict the test slices"
  run_main --exec_mode predict --model_dir "$run" || code=$? # there may be no test images; what was trained is told
fi

if ((code)); then step "trained, and not predicted"; else step "done"; fi
show() { [[ ! -e $2 ]] || printf '%-12s %s\n' "$1" "$2"; }
show scores "$run/evaluation.json"
show folds "$run/crossvalidation.json"
show masks "$run/predictions/test-masks.tif"
show checkpoints "$run/model_checkpoint"
rmdir "$run" 2>/dev/null || printf '%-12s %s\n' curves "$python -m tensorboard.main --logdir $run"
exit "$code"

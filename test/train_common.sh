# shellcheck shell=bash
# What the training scripts share. Each sources this file and calls `train_and_report`.
#
# An array that may be empty is expanded as ${name[@]+"${name[@]}"}: `set -u` of bash before 4.4 takes it for unset.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
# shellcheck source=test/env.sh
source "$here/env.sh"
python=${PYTHON:-python}
output=${OUTPUT:-$here/output}
running=() locks=() signalled=0

usage() {
  cat <<END
usage: bash $(basename "$0") [--name=value ...] [-- FLAG ...]

  --data_path=DIR        directory of the data (default: what main.py finds without --data_dir)
  --recipe=NAME          recipe of main.py (sstem-unet)
  --device=NAME          cpu, gpu or npu (the best of this host)
  --devices=LIST         devices of this host by rank, as 0-7 or 4,5 (1p: ASCEND_DEVICE_ID, 8p: 0-7); of GPUs those that
                         CUDA may see
  --precision_mode=MODE  allow_mix_precision, as --use_amp on every device (default); must_keep_origin_dtype (float32);
                         others on Ascend alone
  --over_dump            Ascend: write operators whose numbers overflow to OUTPUT/overflow_dump
  --data_dump_flag       Ascend: write what operators take and give to OUTPUT/data_dump
  --data_dump_step=STEPS steps of --data_dump_flag (10)
  --profiling            write traces of steps to OUTPUT/profiling
  -- FLAG ...            further flags of main.py, which beat those of the script; with --resume_training the run that
                         lies in OUTPUT goes on

Switches also take =True and =False. Everything lies in OUTPUT ($output): D/train_D.log, D/ckpt and the
result file D/CASE.log of device D. PYTHON names the interpreter ($python), STOP_SECONDS how long the other processes
of a run may take to end when one has failed (60).
END
}

fail() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 2; }

truth() { # name, value
  case $2 in
    True | true | 1) return 0 ;;
    False | false | 0) return 1 ;;
    *) fail "$1=$2: True or False expected" ;;
  esac
}

parse() {
  recipe=sstem-unet device='' devices='' data_path='' precision_mode=allow_mix_precision flags=()
  local over_dump=False data_dump=False data_dump_step=10 profiling=False word value
  while (($#)) && [[ $1 != -- ]]; do
    word=${1%%=*} value=${1#*=}
    case $1 in
      -h | --help) usage; exit ;;
      --over_dump | --data_dump_flag | --profiling) value=True ;;
      --*= | --data_path | --recipe | --device | --devices | --precision_mode | --data_dump_step)
        fail "$word has no value; $word=VALUE expected, or leave it out" ;;
      --*=*) ;;
      *) fail "$1: one of the options that --help lists expected, as --name=value; flags of main.py go behind --" ;;
    esac
    case $word in
      --data_path) data_path=$value ;;
      --recipe) recipe=$value ;;
      --device) device=$value ;;
      --devices) devices=$value ;;
      --precision_mode) precision_mode=$value ;;
      --over_dump) over_dump=$value ;;
      --data_dump_flag) data_dump=$value ;;
      --data_dump_step) data_dump_step=$value ;;
      --profiling) profiling=$value ;;
      *) fail "$word: no such option; --help lists them, flags of main.py go behind --" ;;
    esac
    shift
  done
  further=("${@:2}")
  check_parsed
  case $precision_mode in
    allow_mix_precision) flags+=(--use_amp) ;;
    must_keep_origin_dtype) flags+=(--no-use_amp) ;;
    *) flags+=(--no-use_amp --precision_mode "$precision_mode") ;;
  esac
  if truth --over_dump "$over_dump"; then flags+=(--over_dump "$output/overflow_dump"); fi
  if truth --data_dump_flag "$data_dump"; then
    flags+=(--data_dump "$output/data_dump" --data_dump_step "$data_dump_step")
  fi
  if truth --profiling "$profiling"; then flags+=(--profiling "$output/profiling"); fi
  if [[ -n $data_path ]]; then
    [[ -d $data_path ]] || fail "--data_path=$data_path: no such directory; name the one with the data, or leave it out"
    flags+=(--data_dir "$data_path")
  fi
}

check_parsed() { # what main.py could only tell after the earlier run was moved
  local word last=''
  command -v "$python" >/dev/null || fail "no interpreter $python; name one: PYTHON=/path/to/python"
  case $device in '' | cpu | gpu | npu) ;; *) fail "--device=$device: cpu, gpu or npu expected" ;; esac
  resumes=''
  for word in ${further[@]+"${further[@]}"}; do
    case $word in
      --model_dir* | --log_dir*) fail "$word: the script has them in OUTPUT ($output); call main.py itself" ;;
      all) [[ $last != --crossvalidation_idx ]] || fail "--crossvalidation_idx all: call main.py itself for five folds" ;;
      --crossvalidation_idx=all) fail "$word: call main.py itself for five folds" ;;
      --resume_training) resumes=yes ;;
    esac
    last=$word
  done
}

choose_devices() { # how many a script of this name has; sets `numbers`
  local parts part number last
  numbers=()
  [[ -n $devices ]] || devices=$([[ $1 == 1 ]] && echo "$ASCEND_DEVICE_ID" || echo "0-$(($1 - 1))")
  IFS=, read -ra parts <<<"$devices"
  for part in "${parts[@]}"; do
    [[ $part =~ ^([0-9]{1,3})(-([0-9]{1,3}))?$ ]] || fail "--devices=$devices: numbers such as 0-7 or 4,5 expected"
    number=$((10#${BASH_REMATCH[1]})) last=$((10#${BASH_REMATCH[3]:-${BASH_REMATCH[1]}}))
    ((number <= last)) || fail "--devices=$devices: the lower number first expected"
    for (( ; number <= last; number++)); do
      [[ " ${numbers[*]-} " != *" $number "* ]] || fail "--devices=$devices: every device once expected"
      numbers+=("$number")
    done
  done
  ((${#numbers[@]})) || fail "--devices=$devices: at least one device expected"
  [[ $1 != 1 || ${#numbers[@]} == 1 ]] || fail "--devices=$devices: this script has one device; use its 8p form"
}

data_set() { # that the recipe trains on, where the interpreter has what training needs
  "$python" - "$root" "$recipe" <<'PYTHON'
import importlib.util, sys
sys.path.insert(0, sys.argv[1])
from utils.commands import exit_code
from utils.installed import require_estimator
def tell():
    require_estimator()
    if importlib.util.find_spec("tensorflow") is None:
        import tensorflow  # told as main.py tells it; where it is there, it takes seconds
    from runtime.settings.recipes import load_recipe
    print(load_recipe(sys.argv[2]).settings.get("dataset", "sstem"))
sys.exit(exit_code(tell, False))
PYTHON
}

own_flags() { # acc or perf
  local data
  data=$(data_set) || exit
  [[ $data != sstem ]] || flags+=(--crossvalidation_idx 0)
  # On a processor this is a smoke test: the published runs would take weeks there.
  [[ $device != cpu ]] || flags+=(--batch_size 2 --no-use_xla)
  case $1/$device in
    acc/cpu) flags+=(--exec_mode train_and_evaluate --max_steps 60 --log_every 10) ;;
    acc/*) flags+=(--exec_mode train_and_evaluate) ;;
    perf/cpu) flags+=(--exec_mode train --benchmark --max_steps 13 --warmup_steps 3) ;;
    perf/npu) flags+=(--exec_mode train --benchmark --max_steps 1000 --warmup_steps 200 --iterations_per_loop 10) ;;
    perf/*) flags+=(--exec_mode train --benchmark --max_steps 1000 --warmup_steps 200) ;;
  esac
}

hold() { # device number: its directory is this script's until all of its processes have ended
  local lock
  mkdir -p "$output"
  exec {lock}>"$output/.$1.lock"
  locks+=("$lock")
  flock -n "$lock" || fail "a run is going on in $output/$1; wait for it, or name another place: OUTPUT=..."
  [[ $resumes != yes || -d $output/$1 ]] || fail "--resume_training: no run in $output/$1"
}

make_room() { # device number
  local directory=$output/$1 number=1
  [[ $resumes != yes ]] || return 0
  if [[ -e $directory ]]; then
    while [[ -e $directory.$number ]]; do number=$((number + 1)); done
    mv "$directory" "$directory.$number"
    echo "the earlier run is now in $directory.$number"
  fi
  mkdir "$directory"
}

listen() { # from before the first process on, a signal to the script is one to all of them
  trap 'signalled=1; tell_all TERM' HUP
  trap 'signalled=2; tell_all TERM' INT
  trap 'signalled=15; tell_all TERM' TERM
}

tell_all() { ((! ${#running[@]})) || kill -s "$1" "${running[@]}" 2>/dev/null || true; } # signal

start() { # log file, command ...; the log of the first is shown too
  local log=$1
  shift
  ((! signalled)) || return 0
  if ((${#running[@]})); then
    "$@" >>"$log" 2>&1 &
  else
    "$@" > >(shown_in "$log") 2>&1 &
  fi
  running+=($!)
}

shown_in() { # log file; outlives the signals that end what it shows, but not by its locks
  local lock
  trap '' HUP INT TERM
  for lock in "${locks[@]}"; do exec {lock}>&-; done
  exec tee -a "$1"
}

# One status for all processes: the first that is not 0. One that fails takes the others with it: they save what they
# can, and may wait for it for ever, so their time for that is limited. `wait -n` is not used: a signal that comes with
# the end of a process makes it lose the status.
finish() {
  local code=0 failed_at='' told='' status pid alive
  while ((${#running[@]})); do
    sleep 1 &
    wait $! || true
    alive=()
    for pid in "${running[@]}"; do
      if kill -0 "$pid" 2>/dev/null; then
        alive+=("$pid")
        continue
      fi
      if wait "$pid"; then status=0; else status=$?; fi
      if ((status && ! code)); then code=$status failed_at=$SECONDS; fi
    done
    running=(${alive[@]+"${alive[@]}"})
    if [[ -n $failed_at && -z $told ]]; then
      told=yes
      tell_all TERM
    fi
    if [[ -n $failed_at ]] && ((SECONDS - failed_at >= ${STOP_SECONDS:-60})); then tell_all KILL; fi
  done
  trap - HUP INT TERM
  ((code || ! signalled)) || code=$((128 + signalled))
  return "$code"
}

rank_table() { # for the ranks of this host, where nobody else tells them
  [[ -z ${RANK_TABLE_FILE:-}${CM_CHIEF_IP:-} ]] || return 0
  "$python" "$root/main.py" --exec_mode rank_table --devices "$devices" --output "$output/hccl.json" --overwrite \
    --server_ip "${SERVER_IP:-$(hostname -I | cut -d ' ' -f 1)}"
  export RANK_TABLE_FILE=$output/hccl.json
}

start_ascend() { # one process for each device
  local rank number told
  if ((${#numbers[@]} == 1)); then
    told=(-u RANK_TABLE_FILE -u CM_CHIEF_IP -u CM_CHIEF_PORT -u CM_CHIEF_DEVICE -u CM_WORKER_SIZE -u CM_WORKER_IP)
  fi
  for rank in "${!numbers[@]}"; do
    number=${numbers[rank]}
    ((${#numbers[@]} == 1)) || told=(-u RANK_ID -u RANK_SIZE)
    [[ ${#numbers[@]} -gt 1 && -n ${CM_CHIEF_IP:-} ]] || told+=("RANK_ID=$rank" "RANK_SIZE=${#numbers[@]}")
    start "$output/$number/train_$number.log" env "${told[@]}" "ASCEND_DEVICE_ID=$number" "${command[@]}"
  done
}

require_launcher() { # of several ranks, but for Ascend's
  [[ $device == npu || ${#numbers[@]} == 1 ]] || command -v horovodrun >/dev/null ||
    fail "horovodrun is not on PATH; install Horovod as requirements/horovod.txt says"
}

start_others() {
  local launcher=() seen=()
  if ((${#numbers[@]} > 1)); then
    launcher=(horovodrun -np "${#numbers[@]}")
  fi
  [[ $device != gpu || $chosen != yes ]] || seen=("CUDA_VISIBLE_DEVICES=$(IFS=,; echo "${numbers[*]}")")
  # The variables that are taken away are Ascend's; main.py takes them for its ranks.
  start "$output/${numbers[0]}/train_${numbers[0]}.log" env -u RANK_ID -u RANK_SIZE \
    ${seen[@]+"${seen[@]}"} ${launcher[@]+"${launcher[@]}"} "${command[@]}"
}

train_and_report() { # acc or perf, devices, arguments of the script ...
  local kind=$1 count=$2 first begun=$SECONDS number chosen=''
  shift 2
  parse "$@"
  [[ -z $devices ]] || chosen=yes
  choose_devices "$count"
  [[ -n $device ]] || device=$(device_here "$python")
  require_launcher
  own_flags "$kind"
  listen
  for number in "${numbers[@]}"; do hold "$number"; done
  [[ $device != npu || ${#numbers[@]} == 1 ]] || rank_table
  for number in "${numbers[@]}"; do make_room "$number"; done
  first=$output/${numbers[0]}
  command=("$python" "$root/main.py" --device "$device" --recipe "$recipe" --model_dir "$first/ckpt" --log_dir "$first")
  command+=("${flags[@]}" ${further[@]+"${further[@]}"})
  if [[ $device == npu ]]; then start_ascend; else start_others; fi
  finish
  "$python" "$here/result_file.py" "$kind" --log "$first/log.json" --output "$first" --seconds $((SECONDS - begun))
}

# shellcheck shell=bash
# What the training scripts share. Each sources this file and calls `train_and_report`.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=test/env.sh
source "$here/env.sh"
python=${PYTHON:-python}
output=${OUTPUT:-$here/output}
main=$here/../main.py

usage() {
  cat <<END
usage: bash $(basename "$0") [--name=value ...] [-- FLAG ...]

  --data_path=DIR        directory of the data (default: what main.py finds without --data_dir)
  --recipe=NAME          recipe of main.py (sstem-unet)
  --device=NAME          cpu, gpu or npu (the best of this host)
  --devices=LIST         8p: devices of this host by rank, 0-7 or 4,5 (0-7; RANK_SIZE changes how many)
  --precision_mode=MODE  allow_mix_precision, as --use_amp on every device (default); must_keep_origin_dtype, float32;
                         others on Ascend alone
  --over_dump            Ascend: write operators whose numbers overflow to OUTPUT/overflow_dump
  --data_dump_flag       Ascend: write what operators take and give to OUTPUT/data_dump
  --data_dump_step=STEPS steps of --data_dump_flag (10)
  --profiling            write traces of steps to OUTPUT/profiling
  -- FLAG ...            further flags of main.py, which beat those of the script

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

choose_devices() { # how many a script of this name has; sets `numbers`
  local parts part number
  numbers=()
  [[ -n $devices ]] || devices=$([[ $1 == 1 ]] && echo "$ASCEND_DEVICE_ID" || echo "0-$((${RANK_SIZE:-$1} - 1))")
  IFS=, read -ra parts <<<"$devices"
  for part in "${parts[@]}"; do
    [[ $part =~ ^([0-9]+)(-([0-9]+))?$ ]] || fail "--devices=$devices: numbers such as 0-7 or 4,5 expected"
    for ((number = BASH_REMATCH[1]; number <= ${BASH_REMATCH[3]:-${BASH_REMATCH[1]}}; number++)); do
      numbers+=("$number")
    done
  done
  [[ $1 != 1 || ${#numbers[@]} == 1 ]] || fail "--devices=$devices: this script has one device; use its 8p form"
}

own_flags() { # acc or perf
  [[ $recipe != sstem* ]] || flags+=(--crossvalidation_idx 0)
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

fresh() { # directory; what an earlier run left there stays, under another name
  local number=1
  if [[ -e $1 ]]; then
    while [[ -e $1.$number ]]; do number=$((number + 1)); done
    mv "$1" "$1.$number"
    echo "the earlier run is now in $1.$number"
  fi
  mkdir -p "$1"
}

start() { # log file, command ...; the log of the first is shown too
  local log=$1
  shift
  if ((${#running[@]})); then "$@" >"$log" 2>&1 & else "$@" > >(tee -i "$log") 2>&1 & fi
  running+=($!)
}

# One status for all processes: the first that is not 0. A signal to the script reaches all of them. One that fails
# takes the others with it: they save what they can, and may wait for it for ever, so their time for that is limited.
finish() {
  local code=0 left=${#running[@]} signalled='' status timer=''
  trap 'signalled=yes; tell_all TERM' INT TERM
  while ((left)); do
    if wait -n; then status=0; else status=$?; fi
    if [[ $signalled == yes ]]; then # the wait was interrupted, nothing ended
      signalled=told
      continue
    fi
    left=$((left - 1))
    if ((status && ! code)); then
      code=$status
      ((! left)) || end_all
    fi
  done
  trap - INT TERM
  [[ -z $timer ]] || kill "$timer" 2>/dev/null || true # before their numbers are those of other processes
  return "$code"
}

tell_all() { kill -s "$1" "${running[@]}" 2>/dev/null || true; } # signal

end_all() {
  tell_all TERM
  { sleep "${STOP_SECONDS:-60}"; tell_all KILL; } >/dev/null 2>&1 &
  timer=$!
  disown
}

rank_table() { # for the ranks of this host, where nobody else tells them
  [[ -z ${RANK_TABLE_FILE:-}${CM_CHIEF_IP:-} ]] || return 0
  "$python" "$main" --exec_mode rank_table --devices "$devices" --output "$output/hccl.json" \
    --server_ip "${SERVER_IP:-$(hostname -I | cut -d ' ' -f 1)}"
  export RANK_TABLE_FILE=$output/hccl.json
}

start_ascend() { # one process for each device
  local rank told=()
  ((${#numbers[@]} == 1)) || rank_table
  for rank in "${!numbers[@]}"; do
    local number=${numbers[rank]}
    ((rank == 0)) || fresh "$output/$number"
    [[ -n ${CM_CHIEF_IP:-} ]] || told=("RANK_ID=$rank" "RANK_SIZE=${#numbers[@]}")
    start "$output/$number/train_$number.log" env "${told[@]}" "ASCEND_DEVICE_ID=$number" "${command[@]}"
  done
}

start_others() {
  local launcher=()
  if ((${#numbers[@]} > 1)); then
    command -v horovodrun >/dev/null || fail "horovodrun is not on PATH; install Horovod as requirements/horovod.txt says"
    launcher=(horovodrun -np "${#numbers[@]}")
  fi
  # These variables are Ascend's; main.py takes them for its ranks.
  start "$output/${numbers[0]}/train_${numbers[0]}.log" env -u RANK_ID -u RANK_SIZE "${launcher[@]}" "${command[@]}"
}

train_and_report() { # acc or perf, devices, arguments of the script ...
  local kind=$1 count=$2 first begun=$SECONDS
  shift 2
  parse "$@"
  choose_devices "$count"
  [[ -n $device ]] || device=$(device_here "$python")
  own_flags "$kind"
  first=$output/${numbers[0]}
  fresh "$first"
  command=("$python" "$main" --device "$device" --recipe "$recipe" --model_dir "$first/ckpt" --log_dir "$first")
  command+=("${flags[@]}" "${further[@]}")
  running=()
  if [[ $device == npu ]]; then start_ascend; else start_others; fi
  finish
  "$python" "$here/result_file.py" "$kind" --log "$first/log.json" --output "$first" --seconds $((SECONDS - begun))
}

# shellcheck shell=bash
# What the launch scripts share. Each script sources this file and calls `launch` with what is its own.

# How the published scores were reached: the recipe's settings, on the authors' overlapping folds.
# shellcheck disable=SC2034  # the scripts use it
published=(--recipe sstem-unet --exec_mode train_and_evaluate --split_rule nvidia)

usage() {
  cat <<END
usage: $(basename "$0") DATA_DIR MODEL_DIR [BATCH] [FLAG ...]

  DATA_DIR   directory of the ssTEM volumes
  MODEL_DIR  directory of the run
  BATCH      images a step on each device (default: what the published run had)
  FLAG ...   further flags of main.py, which beat those of the script

PYTHON names the interpreter (python), NP the number of processes of an 8GPU script (8).
END
}

no_horovodrun() {
  echo "$(basename "$0"): horovodrun is not on PATH; install Horovod as requirements/horovod.txt says" >&2
  exit 2
}

launch() { # devices, flags of the script ..., --, arguments of the script ...
  local devices=$1 flags=() command
  shift
  while [[ $1 != -- ]]; do
    flags+=("$1")
    shift
  done
  shift
  case ${1:-} in -h | --help) usage; exit ;; esac
  if [[ ${1:--} == -* || ${2:--} == -* ]]; then
    usage >&2
    exit 2
  fi
  command=("${PYTHON:-python}" "$(dirname "${BASH_SOURCE[0]}")/../main.py" "${flags[@]}")
  # Without one, its steps would take days on a processor.
  case $0 in *GPU.sh) command+=(--device gpu) ;; esac
  command+=(--data_dir "$1" --model_dir "$2")
  shift 2
  if [[ ${1:-} =~ ^[0-9]+$ ]]; then
    command+=(--batch_size "$1")
    shift
  fi
  if ((devices > 1)); then
    command -v horovodrun >/dev/null || no_horovodrun
    command=(horovodrun -np "${NP:-$devices}" "${command[@]}")
  fi
  exec "${command[@]}" "$@"
}

# shellcheck shell=bash
# What the training scripts and loop.sh know of their host. Source it; what is set already stays.
#
#   JOB_ID, ASCEND_DEVICE_ID, HCCL_CONNECT_TIMEOUT (seconds), ASCEND_GLOBAL_LOG_LEVEL (0 debug - 3 errors)
#   ASCEND_INSTALL_PATH   where CANN is installed (/usr/local/Ascend); its paths are set where it is there

ascend_home=${ASCEND_INSTALL_PATH:-/usr/local/Ascend}
export JOB_ID=${JOB_ID:-10087} ASCEND_DEVICE_ID=${ASCEND_DEVICE_ID:-${DEVICE_ID:-0}}
export HCCL_CONNECT_TIMEOUT=${HCCL_CONNECT_TIMEOUT:-600} ASCEND_GLOBAL_LOG_LEVEL=${ASCEND_GLOBAL_LOG_LEVEL:-3}

source_foreign() { # file; CANN's scripts read variables that may not be set, and end with any status
  local options=$-
  set +eu
  # shellcheck disable=SC1090  # it belongs to the host
  source "$1"
  [[ $options != *u* ]] || set -u
  [[ $options != *e* ]] || set -e
}

set_ascend_paths() {
  local script kit=$ascend_home/fwkacllib plugin=$ascend_home/tfplugin/python/site-packages
  for script in "$ascend_home"/{cann,ascend-toolkit}/set_env.sh "$ascend_home"/{tfplugin,tfplugin/latest}/set_env.sh; do
    [[ ! -e $script ]] || source_foreign "$script"
  done
  [[ -d $kit ]] || return 0
  # Releases of 2020 and 2021 have no such script.
  export LD_LIBRARY_PATH=$ascend_home/driver/lib64/common:$ascend_home/driver/lib64/driver:$kit/lib64${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  export PATH=$kit/ccec_compiler/bin:$kit/bin:$PATH
  export PYTHONPATH=$kit/python/site-packages:$ascend_home/toolkit/python/site-packages:$plugin${PYTHONPATH:+:$PYTHONPATH}
  export ASCEND_OPP_PATH=${ASCEND_OPP_PATH:-$ascend_home/opp} ASCEND_AICPU_PATH=${ASCEND_AICPU_PATH:-$ascend_home}
}

has_gpu() { command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; }

has_npu() { # interpreter
  [[ $("$1" -c 'import importlib.util; print(importlib.util.find_spec("npu_bridge") is not None)' 2>/dev/null) == True ]]
}

has_bfloat16() { # the instructions that main.py computes in bfloat16 with, by oneDNN
  [[ ! ${TF_ENABLE_ONEDNN_OPTS:-} =~ ^(0|[Ff]alse)$ && $(cat /proc/cpuinfo 2>/dev/null) =~ avx512_bf16|amx_bf16 ]]
}

device_here() { # interpreter; prints npu, gpu or cpu
  if has_npu "$1"; then echo npu; elif has_gpu; then echo gpu; else echo cpu; fi
}

[[ ! -d $ascend_home ]] || set_ascend_paths

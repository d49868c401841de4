#!/usr/bin/env bash
# Executes a Dockerfile of the project where there is no Docker engine: its instructions, in order, in a clean Debian
# tree; then, in what they made, a training of five steps as the image's user, and one step as a user unknown to it.
#
#   bash test/try_dockerfile.sh                             Dockerfile, on a stand-in for python:3.11-slim
#   BRINGS="tensorflow-cpu==2.15.0 numpy==1.24.4" bash test/try_dockerfile.sh
#                                                           on a base image that brings its own TensorFlow
#   PYTHON_PREFIX=/opt/python3.7 bash test/try_dockerfile.sh Dockerfile.ascend
#                                                           on a stand-in for Huawei's image
#   bash test/try_dockerfile.sh Dockerfile TREE             the tree at TREE, which must not be there yet
#
# The stand-ins: Debian bookworm with its own Python 3.11 and pip; for Dockerfile.ascend the Python 3.7 installed at
# PYTHON_PREFIX, TensorFlow 1.15.0 for processors, and the double of npu_bridge in test/ascend/adapter.
#
# BRINGS         what pip installs before the first instruction; its versions must be the same after the last
# PYTHON_PREFIX  where the Python to be copied into the tree is installed; its packages are not copied
# MIRROR         where debootstrap fetches packages (its own default)
# LEND           files and directories of this machine, separated by colons, that are seen in the tree too, unchanged:
#                what pip's settings name. RUN steps also get PIP_*, *_proxy and SSL_CERT_FILE of the environment.
#
# Needs root, debootstrap, a network, about 3 GB and a quarter of an hour. The tree is removed at the end, whatever the end is;
# mounts are made in a namespace of their own, and end with it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
suite=bookworm
inside=/mnt # in the script's own namespace; debootstrap wants a path without spaces
packages=ca-certificates,python3,python3-pip
libraries=libbz2-1.0,libffi8,liblzma5,libncursesw6,libnsl2,libreadline8,libsqlite3-0,libssl3,libuuid1,zlib1g

fail() { printf 'try_dockerfile.sh: %s\n' "$*" >&2; exit 1; }
misused() { printf 'try_dockerfile.sh: %s\nusage: bash test/try_dockerfile.sh [DOCKERFILE [TREE]]\n' "$*" >&2; exit 2; }
step() { printf '\n== %s\n' "$*"; }

# In the tree --------------------------------------------------------------------------------------------------------

in_tree() {
  chroot "$inside" env -i HOME=/root PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin ${lent[@]+"${lent[@]}"} "$@"
}

debian() {
  local log=$inside/debootstrap.out
  debootstrap --variant=minbase --include="$packages,$libraries" "$suite" "$inside" ${MIRROR:+"$MIRROR"} >"$log" 2>&1 ||
    { tail -n 20 "$log" >&2; fail "debootstrap failed; the lines above say why"; }
  mount -t proc proc "$inside/proc"
  mount -t tmpfs tmpfs "$inside/dev/shm"
}

lend() {
  local path paths
  IFS=: read -ra paths <<<"${LEND:-}"
  for path in ${paths[@]+"${paths[@]}"}; do
    if [[ -d $path ]]; then
      mkdir -p "$inside$path"
    else
      mkdir -p "$inside$(dirname "$path")"
      [[ -e $inside$path ]] || : >"$inside$path"
    fi
    mount --bind "$path" "$inside$path"
    mount -o remount,bind,ro "$inside$path"
  done
}

# python:3.11-slim calls its Python `python`, and lets pip install beside it.
debian_python() {
  rm -f "$inside"/usr/lib/python3.11/EXTERNALLY-MANAGED
  ln -s /usr/bin/python3 "$inside/usr/local/bin/python"
  python=python
}

copied_python() {
  local home=/usr/local/python3.7
  mkdir "$inside$home"
  tar -C "$PYTHON_PREFIX" --exclude=site-packages --exclude=__pycache__ --exclude=test -cf - . |
    tar -C "$inside$home" --no-same-owner -xf -
  mkdir "$inside$home/lib/python3.7/site-packages"
  echo "$home/lib" >"$inside/etc/ld.so.conf.d/python3.7.conf"
  in_tree ldconfig
  ln -s "$home/bin/python3.7" "$inside/usr/local/bin/python3.7"
  in_tree python3.7 -m ensurepip >/dev/null
  python=python3.7
}

brought() { # the versions of what the base image brings
  local names=()
  read -ra names <<<"$brings"
  in_tree "$python" -m pip list --format=freeze --disable-pip-version-check |
    grep -iE "^($(IFS='|'; echo "${names[*]%%==*}"))=="
}

execute() { # inside the namespace: everything that mounts and installs
  local lent=() name environment=() flags="" before="" brings=${BRINGS:-} python
  while IFS= read -r name; do
    [[ ${name,,} =~ ^(pip_.*|https?_proxy|no_proxy|ssl_cert_file)$ ]] && lent+=("$name=${!name}")
  done < <(compgen -e)
  mount --bind "$tree" "$inside"
  step "a clean Debian $suite in $tree"
  debian
  lend
  if [[ $dockerfile == *.ascend ]]; then
    copied_python
    brings=${BRINGS:-tensorflow-cpu==1.15.0 numpy==1.17.5 protobuf==3.20.3}
    environment=(--env PYTHONPATH=/workspace/unet/test/ascend/adapter --env JOB_ID=1)
    flags=" --device npu"
  else
    debian_python
  fi
  if [[ -n $brings ]]; then
    step "what the base image brings: $brings"
    # shellcheck disable=SC2086  # words
    in_tree "$python" -m pip install --quiet --no-cache-dir --disable-pip-version-check --no-warn-script-location $brings
    before=$(brought)
  fi
  step "the steps of $(basename "$dockerfile"), and five steps of training"
  PYTHONPATH=$here python3 -B -m test.dockerfile "$dockerfile" "$here" "$inside" \
    ${environment[@]+"${environment[@]}"} \
    --run "" "python main.py --exec_mode train_and_evaluate --crossvalidation_idx 0 --max_steps 5$flags" \
    --run 4242:4242 "python main.py --max_steps 1 --model_dir /results/another$flags"
  step "what is there afterwards"
  [[ -z $before || $before == "$(brought)" ]] || fail "the image's packages changed: $before, now: $(brought)"
  [[ -z $before ]] || printf 'unchanged: %s\n' "$before"
  in_tree ls -ln /results /results/another
  in_tree cat /results/evaluation.json
  in_tree du -shx /
}

# Outside ------------------------------------------------------------------------------------------------------------

clean() {
  trap - EXIT
  trap '' INT TERM HUP
  # The first process of the namespace takes all others with it, and its mounts.
  [[ -z ${child:-} ]] || { kill -KILL "$child" && wait "$child"; } 2>/dev/null || true
  step "removing $tree"
  # What was killed may still be ending.
  for _ in 1 2 3 4 5; do
    rm -rf --one-file-system "$tree" 2>/dev/null && return
    sleep 1
  done
  echo "try_dockerfile.sh: could not remove $tree" >&2
}

if [[ ${1:-} == --inside ]]; then
  dockerfile=$2 tree=$3
  execute
  exit
fi

case ${1:-} in -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit ;; esac
(($# <= 2)) || misused "too many arguments"
dockerfile=${1:-$here/Dockerfile} tree=${2:-}
[[ -f $dockerfile ]] || misused "$dockerfile: no such file"
[[ -z $tree || ! -e $tree ]] || misused "$tree is there already"
if [[ $dockerfile == *.ascend ]]; then
  [[ -x ${PYTHON_PREFIX:-}/bin/python3.7 ]] || misused "PYTHON_PREFIX must name a directory with bin/python3.7"
fi
IFS=: read -ra paths <<<"${LEND:-}"
for path in ${paths[@]+"${paths[@]}"}; do
  [[ $path == /* && -e $path ]] || misused "LEND: $path is not there, or no absolute path"
done
((EUID == 0)) || fail "must be root, for chroot and mounts"
for tool in debootstrap unshare python3; do
  command -v "$tool" >/dev/null || fail "$tool is not installed"
done

if [[ -n $tree ]]; then
  mkdir "$tree" && tree=$(cd "$tree" && pwd)
else
  tree=$(mktemp -d "${TMPDIR:-/tmp}/try-dockerfile.XXXXXX")
fi
chmod 755 "$tree"
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
unshare --mount --pid --fork --kill-child --mount-proc bash "${BASH_SOURCE[0]}" --inside "$dockerfile" "$tree" &
child=$!
code=0
wait "$child" || code=$?
child=
((code == 0)) || fail "failed; the lines above say where"
step "all of $(basename "$dockerfile") was executed"

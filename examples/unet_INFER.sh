#!/usr/bin/env bash
# Predicts the test slices with the run in MODEL_DIR, on one GPU in float32 (TF32 on A100).
set -euo pipefail
# shellcheck source=examples/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

launch 1 --exec_mode predict --batch_size 1 --xla --no-amp -- "$@"

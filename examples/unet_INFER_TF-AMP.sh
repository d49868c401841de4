#!/usr/bin/env bash
# Predicts the test slices with the run in MODEL_DIR, on one GPU in mixed precision.
set -euo pipefail
# shellcheck source=examples/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

launch 1 --exec_mode predict --batch_size 1 --xla --amp -- "$@"

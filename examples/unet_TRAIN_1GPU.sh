#!/usr/bin/env bash
# Trains and evaluates all five folds in turn on one GPU in float32 (TF32 on A100); the published Dice is their mean.
set -euo pipefail
# shellcheck source=examples/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

launch 1 "${published[@]}" --crossvalidation_idx all -- "$@"

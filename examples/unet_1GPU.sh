#!/usr/bin/env bash
# Trains UNet on one GPU in float32 (TF32 on A100) and evaluates fold 0.
set -euo pipefail
# shellcheck source=examples/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

launch 1 "${published[@]}" --crossvalidation_idx 0 -- "$@"

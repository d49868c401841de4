#!/usr/bin/env bash
# Trains and evaluates all five folds in turn on one GPU in mixed precision; the published Dice is their mean.
set -euo pipefail
# shellcheck source=examples/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

launch 1 "${published[@]}" --crossvalidation_idx all --amp -- "$@"

#!/usr/bin/env bash
# Measures UNet's prediction throughput and latency on one GPU in mixed precision, after 200 steps of warm-up.
set -euo pipefail
# shellcheck source=examples/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

launch 1 --recipe sstem-unet --exec_mode predict --benchmark --warmup_steps 200 --max_steps 600 --amp -- "$@"

#!/usr/bin/env bash
# Measures UNet's training throughput on eight GPUs in mixed precision: 800 steps after 200 of warm-up.
set -euo pipefail
# shellcheck source=examples/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

launch 8 --recipe sstem-unet --exec_mode train --benchmark --warmup_steps 200 --max_steps 1000 --amp -- "$@"

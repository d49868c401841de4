#!/usr/bin/env bash
# Measures training on one device, and writes a result file. --help lists the options.
set -euo pipefail
# shellcheck source=test/train_common.sh
source "$(dirname "${BASH_SOURCE[0]}")/train_common.sh"

train_and_report perf 1 "$@"

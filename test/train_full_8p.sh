#!/usr/bin/env bash
# Trains and evaluates on eight devices of one host, a process for each,
# and writes a result file. --help lists the options.
set -euo pipefail
# shellcheck source=test/train_common.sh
source "$(dirname "${BASH_SOURCE[0]}")/train_common.sh"

train_and_report acc 8 "$@"

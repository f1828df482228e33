#!/usr/bin/env bash
# Runs every fuzz target (fuzz/targets), one on each core, and prints what each has executed and how
# many edges it has covered. Ends with an error on a finding.
#
#   scripts/fuzz.sh [SECONDS [NAME]]     for each target whose name has NAME in it; 600 if not said
#   scripts/fuzz.sh build                builds them only
#
# What is found and learned stays in target/fuzz/{artifacts,corpus}. A finding is run again with
# `target/release/fuzz_TARGET FILE`.
set -euo pipefail
cd "$(dirname "$0")/.."

export SECONDS_EACH="${1:-600}"
only="${2:-}"
export BUILD="${CARGO_TARGET_DIR:-$PWD/target}"

# Targets are many, and optimizing each as a whole would take hours.
export CARGO_PROFILE_RELEASE_LTO=false CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
# Of the whole workspace, as `cargo build --bin lateen` is: so the crates of others have the features that
# they have there, and are not built again.
RUSTC_WORKSPACE_WRAPPER="$PWD/scripts/fuzz-rustc.sh" cargo build --release --locked --bin 'fuzz_*'

[ "$SECONDS_EACH" != build ] || exit 0

# One target; says so and fails on a finding.
run() {
    local target="$1" kept="$BUILD/fuzz" status=0 log executed edges
    local dictionary="fuzz/dictionaries/${target%%_*}.dict"
    log="$(mktemp)"
    mkdir -p "$kept/corpus/$target" "$kept/artifacts/$target"
    "$BUILD/release/fuzz_$target" "$kept/corpus/$target" -artifact_prefix="$kept/artifacts/$target/" \
        -max_total_time="$SECONDS_EACH" -timeout=10 -print_final_stats=1 \
        $([ ! -f "$dictionary" ] || echo "-dict=$dictionary") >"$log" 2>&1 </dev/null || status=$?
    executed="$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)"
    edges="$(grep -o 'cov: [0-9]*' "$log" | tail -1 | cut -d' ' -f2 || true)"
    echo "fuzz: $target: ${executed:-0} executions, ${edges:-0} edges, $SECONDS_EACH s"
    if [ "$status" -ne 0 ] || [ -z "$edges" ]; then
        tail -60 "$log"
        echo "fuzz: FOUND by $target"
        status=1
    fi
    rm -f "$log"
    return "$status"
}
export -f run

ls fuzz/targets | sed -n "s/\\.rs\$//p" | grep -F -- "$only" | xargs -P "$(nproc)" -I TARGET bash -c 'run TARGET'

#!/usr/bin/env bash
# Runs every fuzz target (fuzz/targets), one after the other, and prints what each has executed and
# how many edges it has covered. Ends with an error on a finding.
#
#   scripts/fuzz.sh [SECONDS [NAME]]     for each target whose name has NAME in it; 600 if not said
#
# What is found and learned stays in target/fuzz/{artifacts,corpus}. A finding is run again with
# `target/release/fuzz_TARGET FILE`.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds="${1:-600}"
only="${2:-}"
build="${CARGO_TARGET_DIR:-$PWD/target}"
kept="$build/fuzz"

RUSTC_WORKSPACE_WRAPPER="$PWD/scripts/fuzz-rustc.sh" cargo build --release --locked --package lateen-fuzz

log="$(mktemp)"
trap 'rm -f "$log"' EXIT
failed=()
for source in fuzz/targets/*"$only"*.rs; do
    target="$(basename "$source" .rs)"
    dictionary="fuzz/dictionaries/${target%%_*}.dict"
    mkdir -p "$kept/corpus/$target" "$kept/artifacts/$target"
    status=0
    "$build/release/fuzz_$target" "$kept/corpus/$target" -artifact_prefix="$kept/artifacts/$target/" \
        -max_total_time="$seconds" -timeout=10 -print_final_stats=1 \
        $([ ! -f "$dictionary" ] || echo "-dict=$dictionary") >"$log" 2>&1 </dev/null || status=$?
    executed="$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)"
    edges="$(grep -o 'cov: [0-9]*' "$log" | tail -1 | cut -d' ' -f2 || true)"
    echo "fuzz: $target: ${executed:-0} executions, ${edges:-0} edges, $seconds s"
    if [ "$status" -ne 0 ] || [ -z "$edges" ]; then
        tail -60 "$log"
        failed+=("$target")
    fi
done

if [ ${#failed[@]} -gt 0 ]; then
    printf 'fuzz: FOUND: %s\n' "${failed[@]}"
    exit 1
fi

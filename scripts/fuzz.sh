#!/usr/bin/env bash
# Runs every fuzz target of the repository (crates/*/fuzz), one after the other, and prints what
# each has executed and how many edges it has covered. Ends with an error on a finding.
#
#   scripts/fuzz.sh [SECONDS]     for each target; 600 if not said
#
# Needs a nightly compiler; without one everything is skipped and named, and with LATEEN_NO_SKIP=1
# a skip is a failure. What is found and learned stays in crates/*/fuzz/{artifacts,corpus}.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds="${1:-600}"
target_dir="${CARGO_TARGET_DIR:-$PWD/target}/fuzz"

# Lines of "folder target".
targets() {
    local manifest
    for manifest in crates/*/fuzz/Cargo.toml; do
        awk -v folder="${manifest%/Cargo.toml}" \
            '/^\[\[/ { bin = ($0 == "[[bin]]") } bin && /^name *=/ { gsub(/"/, "", $3); print folder, $3 }' "$manifest"
    done
}

if ! rustup toolchain list 2>/dev/null | grep -q '^nightly'; then
    echo "fuzz: no nightly compiler (rustup toolchain install nightly), SKIPPED:"
    targets | while read -r folder target; do
        echo "fuzz:   $folder $target"
        [ -z "${LATEEN_SKIPS:-}" ] || echo "fuzz $folder $target: no nightly compiler" >>"$LATEEN_SKIPS"
    done
    [ -z "${LATEEN_NO_SKIP:-}" ] || exit 1
    exit 0
fi
# cargo-fuzz runs whatever cargo it finds first.
PATH="$(dirname "$(rustup which --toolchain nightly cargo)"):$PATH"
cargo fuzz --version >/dev/null 2>&1 || cargo install --quiet --locked cargo-fuzz

log="$(mktemp)"
trap 'rm -f "$log"' EXIT
failed=()
while read -r folder target; do
    name="${folder#crates/}" && name="${name%/fuzz}/$target"
    dict="$(find "$folder" -maxdepth 1 -name '*.dict' | head -1)"
    mkdir -p "$folder/corpus/$target"
    echo "fuzz: $name, $seconds s"
    # With cargo fuzz's own output: a compiler's error is no finding, but must be seen.
    if ! cargo fuzz build --fuzz-dir "$folder" --target-dir "$target_dir" "$target" >"$log" 2>&1; then
        cat "$log"
        failed+=("$name (does not build)")
        continue
    fi
    status=0
    cargo fuzz run --fuzz-dir "$folder" --target-dir "$target_dir" "$target" -- \
        -max_total_time="$seconds" -print_final_stats=1 ${dict:+-dict="$dict"} >"$log" 2>&1 </dev/null || status=$?
    executed="$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)"
    edges="$(grep -o 'cov: [0-9]*' "$log" | tail -1 | cut -d' ' -f2 || true)"
    echo "fuzz: $name: ${executed:-0} executions, ${edges:-0} edges"
    if [ "$status" -ne 0 ]; then
        tail -60 "$log"
        failed+=("$name")
    fi
done < <(targets)

if [ ${#failed[@]} -gt 0 ]; then
    printf 'fuzz: FOUND: %s\n' "${failed[@]}"
    exit 1
fi

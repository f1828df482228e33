#!/usr/bin/env bash
# Where the time of Lateen goes in a scenario of bench/: samples, a flame graph, and tables.
#
#   scripts/profile.sh http1-hop          → target/profile/http1-hop.{data,svg,txt}
#   LATEEN_BIN=… scripts/profile.sh …     another binary; it needs its symbols, as a release build has them
#
# Needs perf (Debian: linux-perf), and what bench/run needs. inferno is installed into target/tools.
set -euo pipefail
cd "$(dirname "$0")/.."

scenario="${1:?a scenario: see bench/run --help}"
tools="${LATEEN_TOOLS:-$PWD/target/tools}"
out="target/profile"
mkdir -p "$out" "$tools"

if ! command -v perf >/dev/null; then
    echo "profile: installing linux-perf (Debian)"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends linux-perf >/dev/null
fi
if [ ! -x "$tools/bin/inferno-flamegraph" ]; then
    echo "profile: installing inferno (crates.io) into $tools"
    cargo install inferno --locked --quiet --no-default-features --features cli --root "$tools"
fi

bench/run --scenario "$scenario" --peer lateen --rounds 1 --duration 8 --perf "$out/$scenario.data"

# --no-inline: without it every inlined frame is looked up one by one, which takes an hour.
perf script --no-inline -i "$out/$scenario.data" 2>/dev/null |
    "$tools/bin/inferno-collapse-perf" >"$out/$scenario.folded"
"$tools/bin/inferno-flamegraph" --hash --minwidth 0.2 --title "Lateen, $scenario" <"$out/$scenario.folded" >"$out/$scenario.svg"

{
    echo "== parts"
    awk -f scripts/profile-parts.awk "$out/$scenario.folded" | sort -rn
    echo "== functions by their own time"
    perf report -i "$out/$scenario.data" --no-inline --no-children --stdio -g none --sort dso,symbol \
        --percent-limit 0.3 2>/dev/null | grep -v -e '^#' -e '^$'
} >"$out/$scenario.txt"
echo "profile: $out/$scenario.svg (flame graph), $out/$scenario.txt (parts and functions)"

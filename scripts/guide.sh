#!/usr/bin/env bash
# Makes profiles/release.profdata anew: the profile that guides optimized builds (docs/profiling.md).
#
# Builds an instrumented binary, lets it do the work of bench/, and merges what it counted. Worth its half
# hour after a new compiler or many changes to the request path; a profile that is behind still helps with
# all that has not changed. Installs `llvm-tools` (rustup); what bench/run needs, it installs.
set -euo pipefail
cd "$(dirname "$0")/.."

folder="$PWD/target/guide"
rm -rf "$folder/raw"
rustup component add llvm-tools
LATEEN_GUIDE="$folder/raw" cargo build --release --locked --bin lateen --target-dir "$folder"
# What ran while building, such as a crate that a build script shares with us, wrote there too.
rm -rf "$folder/raw"

LATEEN_BIN="$folder/release/lateen" bench/run --peer lateen --rounds 1 --duration 2 --scenario \
    http1-hop http2-hop grpc mtls-pair chain5 tls-handshakes body-1mib websocket-echo services-1000

tools="$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin"
# Sparse: what has not run is compiled as ever, not for size.
"$tools/llvm-profdata" merge --sparse -o profiles/release.profdata "$folder"/raw/*.profraw
rustc -V >profiles/release.profdata.rustc

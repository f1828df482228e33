#!/bin/sh
# What cargo calls instead of rustc for the workspace's own crates when it builds fuzz targets:
# libFuzzer's coverage counters, assertions and overflow checks. Third-party crates are left as they
# are, so those of the release build are used again; and a stable compiler will do.
rustc="$1"
shift
case " $* " in
# Runs while building, without libFuzzer's runtime.
*" build_script_build "*) exec "$rustc" "$@" ;;
esac
exec "$rustc" "$@" --cfg fuzzing \
    -Cdebug-assertions=on -Coverflow-checks=on \
    -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table

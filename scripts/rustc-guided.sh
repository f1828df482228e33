#!/bin/sh
# What cargo calls in place of rustc. Optimized code is guided by the profile of a run under load
# (profiles/release.profdata, made by scripts/guide.sh): a fifth fewer instructions per request.
#
# The profile speaks of the crates that it was made of: what is new since then is compiled as ever,
# and with another compiler, whose names differ, everything is. LATEEN_GUIDE=off leaves it out, and
# LATEEN_GUIDE=FOLDER makes a binary that leaves such a profile in FOLDER when it ends.
set -eu
# Clippy and fuzz targets have wrappers of their own; what runs while building is not optimized.
[ "${1##*/}" = rustc ] || exec "$@"
case " $* " in *" -C opt-level="*) ;; *) exec "$@" ;; esac

profile="$(dirname "$0")/../profiles/release.profdata"
case "${LATEEN_GUIDE:-}" in
off) exec "$@" ;;
"") ;;
*) exec "$@" "-Cprofile-generate=$LATEEN_GUIDE" ;;
esac
# (An older compiler cannot read the file at all.)
if [ -f "$profile" ] && [ "$("$1" -V)" = "$(cat "$profile.rustc")" ]; then
    # Blocks of a function are laid out by how often one follows another, for the instruction cache's sake:
    # the linker's step is where that takes effect.
    exec "$@" "-Cprofile-use=$profile" -Cllvm-args=-no-pgo-warn-mismatch \
        -Cllvm-args=-enable-ext-tsp-block-placement
fi
exec "$@"

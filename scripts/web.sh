#!/usr/bin/env bash
# wgrnn in the browser.
#
#   scripts/web.sh build    the JavaScript package, into web/pkg
#   scripts/web.sh serve    builds it and serves the demo page
#   scripts/web.sh test     builds it and runs the tests in a headless Chromium
#   scripts/web.sh bench    builds it and measures it beside its peers, in the same browser
#   scripts/web.sh lint     formatting and lints of the Rust in web/
#
# What follows goes to the command: scripts/web.sh serve --port 8080.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() { echo "web: $*" >&2; exit 1; }
self=$PWD/scripts/web.sh
command -v cargo >/dev/null || PATH="$HOME/.cargo/bin:$PATH"
command -v cargo >/dev/null || fail "cargo not found: install Rust from https://rustup.rs"

target=wasm32-unknown-unknown
profile=release
# SIMD is in every browser that has WebGPU.
flags="-C target-feature=+simd128"

# Installs Debian packages that are not there.
packages() {
    local missing=()
    for name in "$@"; do
        dpkg -s "$name" >/dev/null 2>&1 || missing+=("$name")
    done
    [[ ${#missing[@]} -gt 0 ]] || return 0
    command -v apt-get >/dev/null || fail "not found, and no apt-get to install them: ${missing[*]}"
    local root=env
    if [[ $(id -u) != 0 ]]; then
        command -v sudo >/dev/null || fail "neither root nor sudo here: as root, apt-get install ${missing[*]}"
        root="sudo env"
    fi
    echo "web: installing ${missing[*]}" >&2
    { $root apt-get -q update || true; } >&2
    $root DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "${missing[@]}" >&2
}

# cargo for the target: with rustup's standard library, or, where that can't be fetched, with the compiler and the
# library's sources that Debian has for browsers.
cargo_web() {
    local installed
    installed=$(rustc --print sysroot)/lib/rustlib/$target/lib
    if [[ -d $installed ]] || { command -v rustup >/dev/null && rustup -q target add $target; }; then
        RUSTFLAGS="$flags" cargo "$@"
    else
        packages rustc-web rust-web-src lld
        RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 RUSTFLAGS="$flags" \
            CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld cargo "$@" -Zbuild-std=std,panic_abort
    fi
}

# Where the wasm is, whatever the environment says.
export CARGO_TARGET_DIR=$PWD/web/target

build() {
    cargo_web build --manifest-path web/Cargo.toml --package wgrnn-web --$profile --locked --target $target
    cargo run --quiet --manifest-path web/Cargo.toml --package wgrnn-bindgen --locked -- \
        web/target/$target/$profile/wgrnn_web.wasm web/pkg
    # Where the sources are is what this checkout was cloned from.
    local origin
    origin=$(git remote get-url origin 2>/dev/null) || origin=
    sed "s|\"url\": \"\"|\"url\": \"${origin//|/}\"|" web/package.pkg.json >web/pkg/package.json
    cp web/README.md web/node.js LICENSE-APACHE LICENSE-MIT web/pkg/
    for file in web/pkg/wgrnn_bg.wasm web/pkg/wgrnn.js; do
        printf 'web: %s: %d kB, %d kB compressed\n' "$file" $(($(wc -c <$file) / 1000)) $(($(gzip -9c $file | wc -c) / 1000))
    done
}

# What the tests need; with --include=optional the peers too.
node_packages() {
    command -v npm >/dev/null || fail "npm not found: install Node.js"
    npm --prefix web ci --no-audit --no-fund "$@" >&2
}

browser() {
    [[ -n ${CHROMIUM-} ]] || command -v chromium >/dev/null || packages chromium
    export CHROMIUM=${CHROMIUM-$(command -v chromium)}
}

command=${1-}
[[ $# -eq 0 ]] || shift
case $command in
    build) build ;;
    serve) build; exec node web/tools/serve.mjs "$@" ;;
    test) browser; node_packages --omit=optional; build; exec node --test --test-concurrency=1 --test-force-exit --test-reporter=spec "$@" web/tests/*.test.mjs ;;
    bench) browser; node_packages --include=optional; build; exec node web/bench/run.mjs "$@" ;;
    lint)
        cargo fmt --manifest-path web/Cargo.toml --all --check
        cargo_web clippy --manifest-path web/Cargo.toml --package wgrnn-web --$profile --locked --target $target -- -D warnings
        cargo clippy --manifest-path web/Cargo.toml --package wgrnn-bindgen --locked -- -D warnings ;;
    *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$self" >&2; exit 2 ;;
esac

#!/usr/bin/env bash
# Packs the crate as `cargo publish --package wgrnn` does, and fails where cargo warns, where the package has 1 MB or
# more, and where what was packed does not compile on its own, examples included, by the oldest Rust that Cargo.toml
# promises. Nothing is published.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() { echo "package: $*" >&2; exit 1; }

limit=1000000
packages=$(realpath -m "${CARGO_TARGET_DIR-target}")/package
said=$(cargo package --package wgrnn --locked --allow-dirty --no-verify --color never 2>&1) || fail "$said"
grep -q '^warning' <<<"$said" && fail "$said"
file=$(ls -t "$packages"/wgrnn-*.crate | head -n 1)
size=$(wc -c <"$file")
[[ $size -lt $limit ]] || fail "$file has $size bytes, $limit or more: see 'include' in Cargo.toml"

# Below this folder, only a package with a workspace of its own is none of this workspace's.
unpacked=$packages/unpacked
rm -rf "$unpacked"
mkdir -p "$unpacked"
tar -xzf "$file" -C "$unpacked" --strip-components 1
echo '[workspace]' >>"$unpacked/Cargo.toml"
toolchain=+$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$unpacked/Cargo.toml")
if ! rustup -q toolchain install "${toolchain#+}" --profile minimal --no-self-update; then
    echo "package: NOT TESTED: Rust ${toolchain#+}, for want of rustup, or of its server" >&2
    toolchain=''
fi
cargo ${toolchain:+"$toolchain"} check --manifest-path "$unpacked/Cargo.toml" --release --locked --lib --examples
echo "package: $(basename "$file"), $((size / 1000)) kB"

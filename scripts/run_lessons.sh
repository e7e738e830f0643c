#!/usr/bin/env bash
# Trains every lesson as docs/uses.md records it: figures, seconds and pictures.
#
#   scripts/run_lessons.sh FOLDER [NAME ...]
#
# FOLDER gets NAME.txt with what each printed, its seconds and its seconds of processor time, and its pictures; as PNG too where rsvg-convert is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder=$(realpath -m "${1:?a folder for figures and pictures}")
shift
lessons=("$@")
[[ ${#lessons[@]} -gt 0 ]] || lessons=(digits caption voice sentiment forecast pronounce char_lm translate compose handwriting speech)
mkdir -p "$folder"
TIMEFORMAT="in %0R s, %0U s of processor time"
cargo build --release --locked --package wgrnn-training --examples
for name in "${lessons[@]}"; do
    case $name in
        translate) more=(--compare) ;;
        compose) more=(--music "$folder") ;;
        *) more=() ;;
    esac
    {
        time "${CARGO_TARGET_DIR-target}/release/examples/$name" --device "${DEVICE-cpu}" --plot "$folder" "${more[@]}" \
            ${STEPS:+--steps "$STEPS"} >"$folder/$name.txt" 2>"$folder/$name.log"
    } 2>"$folder/time" || { cat "$folder/$name.log" >&2; exit 1; }
    cat "$folder/time" >>"$folder/$name.txt"
    rm "$folder/time"
    echo "== $name"
    cat "$folder/$name.txt"
done
if command -v rsvg-convert >/dev/null; then
    for picture in "$folder"/*.svg; do rsvg-convert "$picture" -o "${picture%.svg}.png"; done
fi

#!/bin/sh
# Makes what the peers need, here: a virtual environment .venv with the Python
# packages, and the burn and candle programs in target/release.
#
#   benches/peers/setup.sh
#   PYTHON=python3.11 JOBS=2 benches/peers/setup.sh
set -eu
cd "$(dirname "$0")"

if [ ! -e .venv ]; then "${PYTHON:-python3}" -m venv .venv; fi
.venv/bin/python -m pip install --quiet --requirement requirements.txt
if command -v cargo >/dev/null; then
    cargo build --release --locked ${JOBS:+--jobs "$JOBS"}
else
    echo "setup: no cargo here: burn and candle are left out" >&2
fi
echo "setup: ready: $PWD/.venv/bin/python $PWD/run.py" >&2

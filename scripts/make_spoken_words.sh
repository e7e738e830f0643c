#!/usr/bin/env bash
# Makes tests/fixtures/spoken_words.wav: "seven" and "elephant", spoken by a voice that the lesson `speech` did not learn from, with a pause
# between them. Needs espeak-ng 1.51 (Debian's package `espeak-ng`).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

pause='<break time="700ms"/>'
espeak-ng -m -v en-us+m4 -s 150 -w tests/fixtures/spoken_words.wav "<speak>${pause}seven${pause}elephant${pause}</speak>"

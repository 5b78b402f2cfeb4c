#!/usr/bin/env bash
# Prints which commit is built, for `outrider --version`: twelve digits, and +changed where files differ from it.
# make passes it as OUTRIDER_BUILD; OUTRIDER_BUILD that is set already holds, as for a source without its history.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -n "${OUTRIDER_BUILD:-}" ]; then echo "$OUTRIDER_BUILD"; exit 0; fi
commit=$(git rev-parse --short=12 HEAD 2>/dev/null) || { echo unknown; exit 0; }
git diff --quiet HEAD -- . 2>/dev/null || commit+=+changed
echo "$commit"

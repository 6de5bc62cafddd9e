#!/usr/bin/env bash
# Written by `make lock` from models.lock.
set -euo pipefail
lock=$(mktemp)
trap 'rm -f "$lock"' EXIT
cat >"$lock" <<'LOCK'
rapidocr==3.10.0 \
    --hash=sha256:2fc34e26cd0f48514804a94f8832283039c7334076bff60768b1fed9ad068050
LOCK
python -m pip install --quiet --no-deps --require-hashes -r "$lock"

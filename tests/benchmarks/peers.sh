#!/usr/bin/env bash
# peers.sh [NAME...]     makes an environment of its own for each peer that the benchmarks compare with.
#
#   tests/benchmarks/peers.sh              all peers: dicognito, kitware, deid, presidio, and gdcmanon's certificate
#   PEERS=/path/to/place peers.sh          there instead of .cache/peers of this checkout
#
# Pinned versions stand in tests/benchmarks/peers/NAME.txt. An environment that is already complete is left as it is.
# gdcmanon comes from the system (Debian: libgdcm-tools), dciodvfy too (dicom3tools); where they are missing the
# benchmarks leave them out and say so. The last line printed is the place.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
place=${PEERS:-$(cd "$here/../.." && pwd)/.cache/peers}
python=${PYTHON:-python3}
mkdir -p "$place"
[ $# -gt 0 ] || set -- dicognito kitware deid presidio gdcmanon

for name in "$@"; do
    if [ "$name" = gdcmanon ]; then
        command -v gdcmanon >/dev/null || { echo "gdcmanon is missing: apt-get install libgdcm-tools" >&2; continue; }
        [ -f "$place/gdcmanon.pem" ] && continue # gdcmanon -e wants a certificate; nobody keeps its key
        openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=benchmark -keyout /dev/null \
            -out "$place/gdcmanon.pem" 2>/dev/null
        continue
    fi
    wanted=$here/peers/$name.txt
    [ -f "$wanted" ] || { echo "no such peer: $name" >&2; exit 2; }
    stamp=$place/$name/.installed
    [ -f "$stamp" ] && cmp -s "$wanted" "$stamp" && continue
    "$python" -m venv --clear "$place/$name"
    "$place/$name/bin/python" -m pip install -qq --disable-pip-version-check --no-input -r "$wanted"
    cp "$wanted" "$stamp"
done
echo "$place"

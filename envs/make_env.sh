#!/usr/bin/env bash
# make_env.sh FOLDER LOCK...     makes or completes the virtual environment FOLDER from hash-locked requirements.
#
#   envs/make_env.sh .venv requirements models          what a run needs
#   envs/make_env.sh .venv requirements models dev readers     and what the tests need
#
# A second call with the same locks does nothing. PYTHON=python3.12 chooses the interpreter (3.11 to 3.13).
set -euo pipefail
envs=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 2 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
folder=$1
shift

usable() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; }

find_python() {
    local candidate
    if [ -n "${PYTHON:-}" ]; then
        usable "$PYTHON" && { echo "$PYTHON"; return; }
        echo "PYTHON=$PYTHON is not a Python 3.11, 3.12 or 3.13 ($("$PYTHON" --version 2>&1 | head -n 1))." >&2
        return 1
    fi
    for candidate in python3 python3.13 python3.12 python3.11; do
        usable "$candidate" && { echo "$candidate"; return; }
    done
    echo "Python 3.11, 3.12 or 3.13 is needed; python3 here is: $(python3 --version 2>&1 | head -n 1)." >&2
    echo "Install one (Debian 12 and later: apt-get install python3 python3-venv), or name one: make PYTHON=/path/to/python3.12" >&2
    return 1
}

# Debian leaves ensurepip out of python3; without it `python3 -m venv` stops half way.
need_venv() {
    "$1" -c 'import ensurepip, venv' >/dev/null 2>&1 && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing python3-venv"
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv; } >/dev/null
        "$1" -c 'import ensurepip, venv' >/dev/null 2>&1 && return
    fi
    echo "$1 has no venv module: run  apt-get install python3-venv  and try again." >&2
    return 1
}

python=$(find_python)
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
# A moved or copied environment points at its old place, so the place is a part of the stamp.
place="$folder $("$python" -c 'import sys; print(sys.base_prefix, sys.version.split()[0])')"
if [ ! -x "$folder/bin/python" ] || ! "$folder/bin/python" -m pip --version >/dev/null 2>&1 ||
    { [ -f "$folder/.place" ] && [ "$(cat "$folder/.place")" != "$place" ]; }; then
    need_venv "$python"
    echo "making the environment in ${folder##*/}/ with $("$python" --version) (a minute or two)"
    "$python" -m venv --clear "$folder"
fi
echo "$place" >"$folder/.place"

for name in "$@"; do
    lock=$envs/$name.lock
    stamp=$folder/.$name.installed
    wanted=$(cat "$envs/build.lock" "$lock" | "$python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())')
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && continue
    echo "installing $(grep -c '==' "$lock") locked packages ($name)"
    pip=("$folder/bin/python" -m pip install -qq --disable-pip-version-check --no-input --require-hashes)
    "${pip[@]}" --only-binary :all: -r "$envs/build.lock"
    options=(--no-build-isolation --only-binary :all: --no-binary connection-pool)
    case $name in models | readers) options+=(--no-deps) ;; esac # their own requirements must stay out
    "${pip[@]}" "${options[@]}" -r "$lock"
    echo "$wanted" >"$stamp"
done

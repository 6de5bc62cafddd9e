#!/usr/bin/env bash
# Builds the container image from the locks:  envs/make_image.sh PYTHON [TAG]
#   PYTHON       interpreter of the project's environment; its pip fetches the locked packages, so that the build needs no
#                package index of its own and works behind the same proxy or mirror. The image's Debian has Python 3.11:
#                where this is another one, python3.11 does it
#   BASE_IMAGE   the Debian to build on; default: debian:bookworm-slim of Docker Hub, and where no hub answers a minimal
#                Debian made here from packages (mmdebstrap, as root)
#   SIF          if given and Apptainer is installed: the image is written there in Apptainer's format too
set -euo pipefail
python=$1 tag=${2:-localhost/phi-deid-pipeline:latest}
top=$(cd "$(dirname "$0")/.." && pwd)
cache=${CACHE:-$top/.cache} # holds the wheels
HUB=docker.io/library/debian:bookworm-slim OWN_BASE=localhost/phi-deid-base:bookworm
CA=/etc/ssl/certs/ca-certificates.crt # lent to the build: a network may have an authority of its own

fail() { echo "make_image.sh: $*" >&2; exit 2; }
for tool in podman buildah; do
    command -v "$tool" >/dev/null || fail "$tool is not installed: sudo apt-get install podman buildah"
done
fetches() { "$1" -c 'import pip, sys; sys.exit(sys.version_info[:2] != (3, 11))' >/dev/null 2>&1; }
fetches "$python" || python=python3.11
fetches "$python" || fail "the image's Debian has Python 3.11, and only that one fetches packages for it: install it beside" \
    "the environment (sudo apt-get install python3.11 python3-pip), or make the environment with it (PYTHON=python3.11)"

own_base() {
    podman image exists "$OWN_BASE" && return
    command -v mmdebstrap >/dev/null || fail "no container hub answers; install mmdebstrap to make a Debian here, or give BASE_IMAGE"
    [ "$(id -u)" = 0 ] || fail "no container hub answers, and only root can make a Debian here; give BASE_IMAGE"
    local root mirror
    root=$(mktemp -d)
    mirror=$(awk '/^URIs:/{print $2; exit}' /etc/apt/sources.list.d/debian.sources)
    mmdebstrap --quiet --variant=minbase --include=ca-certificates \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        bookworm "$root/base.tar" "$mirror"
    podman import --quiet "$root/base.tar" "$OWN_BASE" >/dev/null
    rm -rf "$root"
}

base=${BASE_IMAGE:-}
if [ -z "$base" ]; then
    base=$HUB
    podman image exists "$HUB" || timeout 120 podman pull --quiet "$HUB" >/dev/null 2>&1 || { own_base; base=$OWN_BASE; }
fi

# What the locks name, each file proven by its hash once here and once in the build.
wheels=$cache/wheels
mkdir -p "$wheels"
fetch=("$python" -m pip download --quiet --disable-pip-version-check --require-hashes --dest "$wheels" --no-build-isolation)
"${fetch[@]}" --only-binary :all: -r "$top/envs/build.lock"
"${fetch[@]}" --only-binary :all: --no-binary connection-pool -r "$top/envs/requirements.lock"
"${fetch[@]}" --only-binary :all: --no-deps -r "$top/envs/models.lock"

build=(--layers --network host --volume "$wheels:/wheels:ro" --build-arg BASE_IMAGE="$base"
    --build-arg PIP_NO_INDEX=1 --build-arg PIP_FIND_LINKS=/wheels)
[ -f "$CA" ] && build+=(--volume "$CA:$CA:ro")
[ "$(id -u)" = 0 ] && build+=(--isolation chroot)
buildah bud --quiet "${build[@]}" --file "$top/envs/Containerfile" --tag "$tag" "$top" >/dev/null
podman image inspect --format "$tag: {{.Size}} bytes" "$tag"

if [ -n "${SIF:-}" ]; then
    command -v apptainer >/dev/null || fail "apptainer is not installed; the image $tag is built"
    archive=$(mktemp -d)
    buildah push --quiet "$tag" "docker-archive:$archive/image.tar"
    apptainer --quiet build --force --notest --mksquashfs-args "-processors 2" --build-arg IMAGE="$archive/image.tar" "$SIF" "$top/envs/apptainer.def"
    rm -rf "$archive"
    echo "$SIF: $(stat -c %s "$SIF") bytes"
fi

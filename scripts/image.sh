# shellcheck shell=sh disable=SC2154  # choose_gpu in docker.sh sets target
# Images: built anew when what they are made of changed. Sourced after docker.sh.

# Where pip takes packages from in a build, as a file only this user reads: a secret, since addresses may hold passwords.
pip_conf() {
    say "[global]"
    [ -z "${PIP_INDEX_URL:-}" ] || say "index-url = $PIP_INDEX_URL"
    [ -z "${PIP_EXTRA_INDEX_URL:-}" ] || say "extra-index-url = $PIP_EXTRA_INDEX_URL"
    [ -z "${PIP_TRUSTED_HOST:-}" ] || say "trusted-host = $PIP_TRUSTED_HOST"
    [ -z "${PIP_DEFAULT_TIMEOUT:-}" ] || say "timeout = $PIP_DEFAULT_TIMEOUT"
}

# build_image TAG DOCKERFILE INPUT… : build TAG unless it was built of these very files.
# EXTRA_CA: a file with one more certificate authority. BUILD_NETWORK=none: no network; wheelhouse/ has all packages.
build_image() (
    tag=$1 dockerfile=$2
    shift 2
    inputs=$( { say "$BASE_IMAGE" "$target"; find "$dockerfile" "$@" -type f ! -path '*__pycache__*' -exec cksum {} + | sort -k 3; } | cksum)
    [ "$(docker image inspect --format '{{index .Config.Labels "ss-poc.inputs"}}' "$tag" 2>/dev/null)" != "$inputs" ] || exit 0
    say "building the image $tag: the first time it downloads packages, later only what changed is made anew"
    before=$(docker image inspect --format '{{.Id}}' "$tag" 2>/dev/null || true)
    scratch=$(mktemp -d) && trap 'rm -rf "$scratch"' EXIT && trap 'exit 130' INT TERM
    (umask 077 && pip_conf >"$scratch/pip_conf")
    wheels=none && [ ! -d wheelhouse ] || wheels=local
    DOCKER_BUILDKIT=1 docker build --progress plain -f "$dockerfile" --target "$target" -t "$tag" \
        --label "ss-poc.inputs=$inputs" --build-arg "BASE_IMAGE=$BASE_IMAGE" --build-arg "WHEELS=$wheels" \
        --build-arg "VERSION=${version:-}" --build-arg HTTP_PROXY --build-arg HTTPS_PROXY --build-arg NO_PROXY \
        --secret "id=pip_conf,$(field "src=$scratch/pip_conf")" ${EXTRA_CA:+--secret "id=ca,$(field "src=$EXTRA_CA")"} \
        ${BUILD_NETWORK:+--network "$BUILD_NETWORK"} . >"$scratch/log" 2>&1 &
    watch_build "$!" "$scratch/log" || build_failed "$scratch/log"
    # What the new image replaced would lie about without a name.
    [ -z "$before" ] || docker image rm "$before" >/dev/null 2>&1 || true
)

# watch_build PID LOG: a line every 10 seconds until PID ends; its status.
watch_build() {
    seconds=0
    while kill -0 "$1" 2>/dev/null; do
        sleep 1
        seconds=$((seconds + 1))
        [ $((seconds % 10)) -ne 0 ] || say "  $seconds s: $(sed -n 's/^#[0-9]* \(\[.*\)/\1/p' "$2" | tail -n 1 | cut -c 1-90)"
    done
    wait "$1"
}

build_failed() {
    tail -n 15 "$1" >&2
    case $(cat "$1") in
    *"buildx component is missing"* | *"BuildKit is enabled but"* | *"unknown flag: --secret"*)
        fail "this Docker has no BuildKit" "install it (docker-buildx-plugin, or docker-buildx), or do without Docker: MODE=native" ;;
    *"No space left"* | *"no space left"*)
        fail "the disk is full" "make room where Docker keeps its images ($(docker info --format '{{.DockerRootDir}}')): docker system prune" ;;
    esac
    fail "the image could not be built" \
        "read the lines above (PIP_INDEX_URL, HTTPS_PROXY and EXTRA_CA=FILE are obeyed; docs/air-gapped.md builds without a network)"
}

# Fill wheelhouse/ for builds without a network: in the base image where there is Docker, so that its Python fits.
wheelhouse() {
    files="requirements.lock requirements-serve.lock"
    [ "${GPU:-no}" != yes ] || files="$files requirements-gpu.txt requirements-serve-gpu.txt"
    choose_mode none
    mkdir -p wheelhouse
    if [ "$mode" = docker ]; then
        # shellcheck disable=SC2086  # a list of names
        (umask 077 && pip_conf >wheelhouse/.pip_conf && trap 'rm -f wheelhouse/.pip_conf' EXIT &&
            docker run --rm --user "$(container_user)" --env HOME=/tmp --env HTTP_PROXY --env HTTPS_PROXY --env NO_PROXY \
                --mount "$(bind "$(pwd)" /app readonly)" --workdir /app \
                --mount "$(bind "$(pwd)/wheelhouse" /app/wheelhouse)" \
                --mount "$(bind "$(pwd)/wheelhouse/.pip_conf" /run/secrets/pip_conf readonly)" \
                ${EXTRA_CA:+--mount "$(bind "$EXTRA_CA" /run/secrets/ca readonly)"} \
                "$BASE_IMAGE" sh scripts/wheels.sh $files)
    else
        # shellcheck disable=SC2086
        sh scripts/wheels.sh $files
    fi
    say "wheelhouse/ holds $(find wheelhouse -name '*.whl' | wc -l) wheels, $(du -sm wheelhouse | cut -f1) MB: take this folder along"
}

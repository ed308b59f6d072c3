# shellcheck shell=sh disable=SC2034  # mode and target are for who sources this
# Docker: may it be used, as whom, and does it have a GPU. Sourced after python.sh.
BASE_IMAGE=${BASE_IMAGE:-python:3.11.14-slim-bookworm}

# Why Docker cannot be used; nothing where it can.
docker_trouble() {
    command -v docker >/dev/null 2>&1 || { say "no docker command is installed"; return; }
    answer=$(timeout 20 docker version --format '{{.Server.Version}}' 2>&1) && return
    case $answer in
    *"permission denied"*) say "this user may not use the Docker engine (sudo usermod -aG docker $(id -un), then log in again)" ;;
    *) say "no Docker engine answers (sudo systemctl start docker)" ;;
    esac
}

# Why images cannot be built of BASE_IMAGE; nothing where they can.
base_trouble() {
    docker image inspect "$BASE_IMAGE" >/dev/null 2>&1 && return
    say "pulling $BASE_IMAGE" >&2
    docker pull -q "$BASE_IMAGE" >/dev/null 2>&1 ||
        say "the image $BASE_IMAGE is neither here nor can it be pulled (BASE_IMAGE names another, docker load brings one)"
}

# field NAME=VALUE: a field of --mount or --secret, which are lines of CSV: a path may hold commas and quotes.
field() {
    case $1 in
    *[,\"]*) printf '"%s"' "$(printf '%s' "$1" | sed 's/"/""/g')" ;;
    *) printf '%s' "$1" ;;
    esac
}

# bind SOURCE TARGET [readonly]: a file or folder that a container sees, for --mount.
bind() { printf 'type=bind,%s,%s%s\n' "$(field "source=$1")" "$(field "target=$2")" "${3:+,$3}"; }

# Once, where scripts call each other.
say_mode() { [ -n "${MODE_SAID:-}" ] || say "$1"; }

# choose_mode IMAGE: set mode to docker, native, or image (already inside of one), and say why. IMAGE, where it is there
# already, needs no base.
choose_mode() {
    mode=${MODE:-auto}
    case $mode in
    image) return ;;
    native) say_mode "mode: native (everything in .venv), as MODE says" && return ;;
    auto | docker) ;;
    *) printf 'error: MODE is %s\n  expected: auto, docker or native\n' "$mode" >&2 && exit 2 ;;
    esac
    trouble=$(docker_trouble)
    [ -n "$trouble" ] || docker image inspect "$1" >/dev/null 2>&1 || trouble=$(base_trouble)
    if [ -z "$trouble" ]; then
        mode=docker
        say_mode "mode: docker (an engine answers; MODE=native does without)"
    elif [ "$mode" = auto ]; then
        mode=native
        say "mode: native (everything in .venv), because $trouble"
    else
        fail "MODE is docker, but $trouble" "put that right, or do without Docker: MODE=native"
    fi
}

require_docker() {
    trouble=$(docker_trouble)
    [ -z "$trouble" ] || fail "$1 needs Docker, but $trouble" "put that right"
}

# Without root in the engine, root inside is this user outside; else containers run as whoever calls.
container_user() {
    case $(docker info --format '{{.SecurityOptions}}' 2>/dev/null) in
    *rootless*) say 0:0 ;;
    *) say "$(id -u):$(id -g)" ;;
    esac
}

# Whether containers get the GPU: GPU=yes wants it, GPU=no does without, else it is taken where it is there.
choose_gpu() {
    target=cpu
    [ "${GPU:-auto}" != no ] || return 0
    if docker info --format '{{json .Runtimes}}' 2>/dev/null | grep -q '"nvidia"'; then
        target=gpu
    elif [ "${GPU:-auto}" = yes ]; then
        fail "GPU=yes, but this Docker engine has no NVIDIA runtime" \
            "install the NVIDIA container toolkit (nvidia-ctk runtime configure), or train on the processor: GPU=no"
    elif has_gpu; then
        say "a GPU is here, but Docker has no NVIDIA runtime (install the NVIDIA container toolkit): going on without it"
    fi
}

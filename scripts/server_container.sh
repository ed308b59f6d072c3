# shellcheck shell=sh disable=SC2154  # serve.sh, which sources this, sets state, port, version, bento, follow, verb
# The container that serves, of the image of a version. The same words as in server_process.sh.
image=ss-poc-serve:$version container=ss-poc-$port

ask() { docker exec "$container" .venv/bin/python scripts/supervisor.py ask /state "$@"; }
state_of() { docker inspect --format "{{$1}}" "$container" 2>/dev/null || true; }
is_running() { [ "$(state_of .State.Running)" = true ]; }
owner() { say "container $container"; }

# A port has one container, whichever folder started it: what another folder serves is its own.
leave_strangers_alone() {
    folder=$(state_of 'index .Config.Labels "ss-poc.folder"')
    case $folder in
    '' | '<no value>' | "$(pwd)") ;;
    *) fail "port $port is served by the project in $folder" "stop it there: PORT=$port sh server.sh stop; or serve elsewhere: PORT=8893 sh server.sh" ;;
    esac
}

prepare() {
    choose_gpu
    build_image "$image" Dockerfile.serve requirements-serve.lock requirements-serve-gpu.txt \
        src/ss_poc/serving/supervisor.py scripts/python.sh scripts/image_packages.sh "$bento"
}

# The settings of the service that are set here, as -e NAME: values stay out of the list of processes.
settings() { env | sed -n 's/^\(SS_POC_[A-Z_]*\|API_TOKEN\|COLLECT\)=..*/\1/p'; }

launch() {
    docker rm -f "$container" >/dev/null 2>&1 || true
    mkdir -p "$state"
    rm -f "$state/served.json"
    collected=coco-annotator/datasets/collected
    set -- "$image"
    if [ -n "${SS_POC_RULES:-}" ]; then set -- --mount "$(bind "$SS_POC_RULES" "$SS_POC_RULES" readonly)" "$@"; fi
    for setting in $(settings); do set -- -e "$setting" "$@"; done
    if [ -d coco-annotator/datasets ]; then # Label Studio asks it about photographs by their place in there
        set -- -e "SS_POC_LABEL_STUDIO_FILES=${SS_POC_LABEL_STUDIO_FILES:-/app/coco-annotator/datasets}" \
            --mount "$(bind "$(pwd)/coco-annotator/datasets" /app/coco-annotator/datasets readonly)" "$@"
    fi
    if [ -n "${COLLECT:-}" ]; then
        mkdir -p "$collected"
        set -- -e "SS_POC_COLLECT_PATH=/app/$collected" \
            --mount "$(bind "$(pwd)/$collected" "/app/$collected")" "$@"
    fi
    if [ "$target" = gpu ]; then set -- --gpus all "$@"; fi
    host=$(listen_on SERVER_HOST "${SERVER_HOST:-}" 0.0.0.0)
    # Versions are exchanged inside, so it sees all of them; it can write nothing but its state, and memory.
    said=$(docker run -d --name "$container" --label "ss-poc.folder=$(pwd)" \
        --publish "$host:$port:8892" --user "$(container_user)" --restart unless-stopped --stop-timeout 80 \
        --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges --pids-limit 512 --memory "${SERVER_MEMORY:-2g}" \
        --cpus "${SERVER_CPUS:-$(nproc)}" --log-opt max-size=10m --log-opt max-file=6 \
        --mount "$(bind "$(pwd)/$state" /state)" \
        --mount "$(bind "$(pwd)/deploy/KerasSegmentationService" /app/deploy/KerasSegmentationService readonly)" \
        "$@" 2>&1) || not_started "$said"
    printf 'starting version %s on port %s ' "$version" "$port" && tries=0
    until is_ready; do
        tries=$((tries + 1))
        [ "$(state_of .State.Running)$(state_of .RestartCount)" = true0 ] || not_started "$(docker logs --tail 20 "$container" 2>&1)"
        [ $((tries % 10)) -ne 0 ] || printf .
        sleep 0.1
    done
    say " ready"
}

not_started() {
    docker rm -f "$container" >/dev/null 2>&1 || true
    case $1 in
    *"already allocated"* | *"address already in use"*)
        fail "port $port is taken by another program" "stop that program, or serve elsewhere: PORT=8893 sh server.sh" ;;
    esac
    printf '%s\n' "$1" >&2
    fail "version $version is not served" "read the lines above; package it again: sh trainer.sh --model_name $version --reuse"
}

same_packages() { docker exec "$container" cat requirements-serve.lock | cmp -s - requirements-serve.lock; }

before_exchange() {
    same_packages || fail "version $version needs other packages than the container that runs, so it cannot take over from within" \
        "sh server.sh stop, then: service_version=$version sh server.sh (a few seconds without a service)"
}

stop() {
    if ! docker inspect "$container" >/dev/null 2>&1; then
        say "nothing is served on port $port"
        return
    fi
    # It answers what it accepted first.
    docker stop "$container" >/dev/null
    docker rm "$container" >/dev/null
    rm -f "$state/version"
    say "stopped what was served on port $port"
}

logs() {
    docker inspect "$container" >/dev/null 2>&1 || fail "there is no container $container" "start it first: sh server.sh"
    docker logs --tail 200 ${follow:+"$follow"} "$container"
}

[ "$verb" = bundle ] || leave_strangers_alone

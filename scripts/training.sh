# shellcheck shell=sh disable=SC2154  # docker.sh sets target; trainer.sh and train_serve.sh set mode
# Where training runs: in .venv, or in a container that reads coco-annotator/datasets, writes result/ and deploy/, and sees
# nothing else of this machine but the files that flags name. Sourced after docker.sh.

prepare_container() {
    choose_gpu
    image=ss-poc-trainer:$target
    build_image "$image" Dockerfile requirements.lock requirements-gpu.txt requirements-serve.lock \
        pyproject.toml LICENSE trainer.sh scripts src
    # Made here: the engine would make them as root.
    mkdir -p coco-annotator/datasets result deploy
}

# prepare CHECK…: get the mode's Python ready, keep the KEY=VALUE lines that CHECK prints for `value`. A check needs no
# packages: where this machine has a Python, it comes before anything long.
prepare() {
    case $mode in
    image) python=.venv/bin/python ;;
    native) python=$(find_python) ;;
    docker) python=$(find_python 2>/dev/null) || python='' ;;
    esac
    [ -z "$python" ] || checked=$("$@") || exit "$?"
    case $mode in native) training_env ;; docker) prepare_container ;; esac
    [ -n "$python" ] || checked=$("$@") || exit "$?"
}

# value KEY: what the check said of KEY; a line each where it said several. Whatever follows the first = is the value.
value() { say "$checked" | sed -n "s/^$1=//p"; }

# What follows from the flags, by the Python of this machine or, where it has none, of the image.
check_flags() {
    if [ -n "$python" ]; then PYTHONPATH=src "$python" -m ss_poc.config "$@"; else project_python -m ss_poc.config "$@"; fi
}

# here FOLDER [readonly]: a folder of the project, for --mount.
here() { bind "$(pwd)/$1" "/app/$1" ${2:+"$2"}; }

# project_python ARGUMENT… : Python with the packages of training, in whichever mode; may write data sets.
project_python() {
    if [ "$mode" = docker ]; then
        docker run --rm --user "$(container_user)" --env PYTHONPATH=src --mount "$(here coco-annotator/datasets)" \
            --mount "$(here result readonly)" --entrypoint .venv/bin/python "$image" "$@"
    else
        PYTHONPATH=src .venv/bin/python "$@"
    fi
}

# train_in_container FLAG… : trainer.sh in a container. What training reads outside of the mounted folders is shown to it
# where the flag will look.
train_in_container() {
    set -- "$image" "$@"
    while IFS= read -r file; do
        case $file in
        '' | coco-annotator/datasets/* | result/*) ;;
        /*) set -- --mount "$(bind "$file" "$file" readonly)" "$@" ;;
        *) set -- --mount "$(here "$file" readonly)" "$@" ;;
        esac
    done <<TEXT
$(value reads)
TEXT
    [ "$target" = cpu ] || set -- --gpus all "$@"
    if [ -t 1 ]; then set -- --tty "$@"; fi
    container=ss-poc-trainer-$$
    trap stop_training INT TERM HUP
    docker run --rm --name "$container" --user "$(container_user)" --cap-drop ALL --security-opt no-new-privileges \
        ${TRAINER_MEMORY:+--memory "$TRAINER_MEMORY"} ${TRAINER_CPUS:+--cpus "$TRAINER_CPUS"} \
        --mount "$(here coco-annotator/datasets readonly)" --mount "$(here result)" --mount "$(here deploy)" --env OVERWRITE "$@" &
    wait "$!"
}

# Files are written whole, then renamed: nothing is lost by stopping at once.
stop_training() {
    trap '' INT TERM HUP
    docker kill "$container" >/dev/null 2>&1 || true
    wait || true
    say "" "stopped; go on with the same command and --resume" >&2
    exit 130
}

# Curves of all runs, in a browser.
board() {
    port=${PORT:-6006}
    host=$(listen_on BOARD_HOST "${BOARD_HOST:-}" 127.0.0.1)
    choose_mode ss-poc-trainer:cpu
    say "curves: http://127.0.0.1:$port/   (end it with Ctrl-C)"
    if [ "$mode" = docker ]; then
        prepare_container
        exec docker run --rm --user "$(container_user)" --publish "$host:$port:6006" \
            --mount "$(here result readonly)" --entrypoint .venv/bin/tensorboard "$image" --logdir result --bind_all
    fi
    training_env
    exec .venv/bin/tensorboard --logdir result --host "$host" --port "$port"
}

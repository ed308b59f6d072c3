#!/bin/sh
# The whole job: train, optimise, package, serve, and one prediction as proof. Takes the flags and variables of trainer.sh.
set -eu

usage() {
    cat <<'TEXT'
usage: sh train_serve.sh [flags of trainer.sh]

Runs trainer.sh, then server.sh, then sends one photograph to the service and shows the answer.
It does not train again if there is a finished run of the same name and settings. PORT sets the port (default 8892).
TEXT
}

# A port that somebody else has is known before the training, not after it.
require_port() {
    said=$(sh server.sh status 2>&1) && return # what is served there makes way
    status=$?
    [ "$status" = 3 ] || { printf '%s\n' "$said" >&2 && exit "$status"; }
    curl -s -m 2 -o /dev/null "http://127.0.0.1:${PORT:-8892}/" || [ "$?" -ne 7 ] || return 0
    fail "port ${PORT:-8892} is taken by another program" "stop that program, or serve elsewhere: PORT=8893 sh train_serve.sh"
}

prove() {
    image_file=$(project_python scripts/proof.py choose "$run")
    url="http://127.0.0.1:${PORT:-8892}/predict"
    mkdir -p "$run/prediction"
    say "" "curl -X POST $url -F image=@$image_file"
    curl -sS --fail-with-body -m 60 -X POST "$url" -F "image=@$image_file" -o "$run/prediction/proof.json"
    project_python scripts/proof.py show "$run/prediction/proof.json"
    curl -sS --fail -m 60 -X POST "$url?format=png" -F "image=@$image_file" -o "$run/prediction/proof.png"
    say "" "the answer as a picture: $run/prediction/proof.png" "" "$run/valid/valid_score.csv:"
    cat "$run/valid/valid_score.csv"
}

_main() {
    cd "$(dirname "$0")"
    for flag; do
        case $flag in
        -h | --help) usage; exit 0 ;;
        --overwrite | --resume | --reuse) chosen=yes ;;
        esac
    done
    . scripts/setup.sh
    . scripts/docker.sh
    . scripts/image.sh
    . scripts/training.sh
    require_curl
    sh trainer.sh check "$@"
    started=$(date +%s)
    choose_mode ss-poc-trainer:cpu
    export MODE="$mode" MODE_SAID=yes
    require_port
    [ -n "${chosen:-}" ] || set -- --reuse "$@"
    sh trainer.sh "$@"
    run=$(cat result/.latest_run)
    service_version=${run##*/} sh server.sh start
    [ "$mode" != docker ] || prepare_container
    prove
    say "" "all done in $(($(date +%s) - started)) s; the service goes on until: sh server.sh stop"
}

_main "$@"

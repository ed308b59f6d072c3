#!/bin/sh
# The whole job: train, optimise, package, serve, and one prediction as proof. Takes the flags and variables of trainer.sh.
set -eu

usage() {
    cat <<'TEXT'
usage: sh train_serve.sh [flags of trainer.sh]

Runs trainer.sh, then server.sh, then asks the service about one photograph and shows the answer.
A finished run of the same name and settings is used again; PORT chooses another port than 8892.
TEXT
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
    started=$(date +%s)
    choose_mode ss-poc-trainer:cpu
    export MODE="$mode"
    [ -n "${chosen:-}" ] || set -- --reuse "$@"
    sh trainer.sh "$@"
    run=$(cat result/.latest_run)
    service_version=${run##*/} sh server.sh start
    [ "$mode" != docker ] || prepare_container
    prove
    say "" "all done in $(($(date +%s) - started)) s; the service goes on until: sh server.sh stop"
}

_main "$@"

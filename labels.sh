#!/bin/sh
# Labels from one format to another, without a labelling tool:  sh labels.sh convert photos yolo --to yolo
set -eu

usage() {
    cat <<'TEXT'
usage: sh labels.sh convert SOURCE TARGET --to coco|yolo|labelme|voc|label-studio
                    [--photos FOLDER] [--no_photos] [--exif_labels auto|shown|stored] [--all]

Reads labels of any format that training reads, and writes them with copies of their photographs to the new folder
TARGET, whole or not at all. Says what the format cannot hold, and which photographs lose what.
  --photos FOLDER   where the photographs are, if they are not beside SOURCE
  --no_photos       write labels alone
  --all             name every photograph that loses something, not 5 of a kind

examples:
       sh labels.sh convert coco-annotator/datasets/photos yolo --to yolo
       sh labels.sh convert cvat.zip labelme --to labelme

MODE=docker runs it in a container, MODE=native without one. Without MODE, .venv is used if it is there.
TEXT
}

# check SOURCE TARGET FLAG…: end here, before anything is set up, if the words are not those that convert takes.
check() {
    case ${1:--} in -*) wrong_call "convert needs SOURCE TARGET" ;; esac
    case ${2:--} in -*) wrong_call "convert needs SOURCE TARGET" ;; esac
    shift 2
    to='' before=''
    for word; do
        case $before$word in
        --to | --photos | --exif_labels) before=$word= && continue ;;
        --to=coco | --to=yolo | --to=labelme | --to=voc | --to=label-studio) to=$word ;;
        --photos=?* | --exif_labels=auto | --exif_labels=shown | --exif_labels=stored | --no_photos | --all) ;;
        *) wrong_call "unknown argument: $before$word" ;;
        esac
        before=''
    done
    [ -z "$before" ] || wrong_call "$before needs a value"
    [ -n "$to" ] || wrong_call "convert needs --to coco, yolo, labelme, voc or label-studio"
}

# whole PATH: the path as it is from everywhere.
whole() {
    [ -d "$(dirname "$1")" ] || fail "there is no folder $(dirname "$1")"
    say "$(cd "$(dirname "$1")" && pwd)/$(basename "$1")"
}

# in_container SOURCE TARGET FLAG…: it sees the source, the photographs, and the folder that TARGET comes into.
in_container() {
    source=$(whole "$1")
    target=$(whole "$2")
    shift 2
    photos='' before=''
    for word; do
        shift
        case $before$word in
        --photos) before=--photos= && continue ;;
        --photos=*) photos=${before:+$word} && photos=$(whole "${photos:-${word#--photos=}}") && word=--photos=$photos ;;
        esac
        before=''
        set -- "$@" "$word"
    done
    docker run --rm --user "$(container_user)" --env PYTHONPATH=src --mount "$(bind "$(dirname "$target")" "$(dirname "$target")")" \
        --mount "$(bind "$source" "$source" readonly)" ${photos:+--mount "$(bind "$photos" "$photos" readonly)"} \
        --entrypoint .venv/bin/python "$image" -m ss_poc.data convert "$source" "$target" "$@"
}

_main() {
    for word; do case $word in -h | --help) usage; exit 0 ;; esac; done
    cd "$(dirname "$0")"
    . scripts/setup.sh
    . scripts/docker.sh
    . scripts/image.sh
    . scripts/training.sh
    case ${1:-} in
    convert) shift ;;
    '') wrong_call "labels.sh needs to be told what to do" ;;
    *) wrong_call "unknown argument: $1" ;;
    esac
    check "$@"
    if [ -z "${MODE:-}" ] && [ -f .venv/.ready ]; then mode=native; else choose_mode ss-poc-trainer:cpu; fi
    case $mode in docker) prepare_container ;; native) training_env ;; esac
    if [ "$mode" = docker ]; then in_container "$@"; else project_python -m ss_poc.data convert "$@"; fi
}

_main "$@"

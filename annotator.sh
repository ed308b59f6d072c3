#!/bin/sh
# Label photographs in a browser, on port 8890:  sh annotator.sh
set -eu

usage() {
    cat <<'TEXT'
usage: sh annotator.sh [start | stop | status | logs [-f] | backup | restore FILE]
       sh annotator.sh new NAME --labels A,B         make the folder coco-annotator/datasets/NAME and a project on it
       sh annotator.sh scan NAME                     take in photographs that were copied into the folder
       sh annotator.sh export NAME                   write the labels to NAME/.exports/coco-<time>.json, for training
       sh annotator.sh import NAME FILE [--labels A,B] [--photos FOLDER] [--exif_labels shown|stored]
                                                     take in labels of any format that training reads, or PNG masks
       sh annotator.sh propose NAME [N] [VERSION]    put a model's regions on the N photographs worth labelling most (20, v_1)
       sh annotator.sh assist NAME                   let the service propose regions and answer clicks (no service: clicks)
       sh annotator.sh changed NAME                  exit 0 if labels changed since the last export, else 1

examples:
       sh annotator.sh new photos --labels scratch,pit:#00ff00
       sh annotator.sh import photos masks.zip --labels scratch,pit
       sh annotator.sh propose photos 20 v_1
       ANNOTATOR_HOST=0.0.0.0 ANNOTATOR=label-studio sh annotator.sh

variables: ANNOTATOR (coco-annotator or label-studio; default: the tool used before, the first time coco-annotator if Docker runs),
ANNOTATOR_PORT (8890), CLICKS_PORT (8894), ANNOTATOR_HOST (127.0.0.1; 0.0.0.0 lets other machines in), SERVICE (http://127.0.0.1:8892, which proposes)
TEXT
}

start() {
    require_curl
    fresh=no
    account
    mkdir -p coco-annotator/datasets
    if is_up; then say "$tool runs already"; else up; fi
    clicks_up
    say "$tool" >"$state/tool"
    say "$port" >"$state/port"
    say "label at   http://127.0.0.1:$port/"
    [ "$fresh" = no ] || say "log in as  $ANNOTATOR_LOGIN" "password   $ANNOTATOR_PASSWORD" \
        "           (shown once; it is kept in $state/account)"
    say "next:      sh annotator.sh new photos --labels scratch,pit"
}

stop() { if is_up; then down && say "stopped $tool"; else say "no annotator runs on port $port"; fi; }

status() {
    if is_up; then say "$tool runs: http://127.0.0.1:$port/"; else say "$tool does not run" && exit 3; fi
}

# check VERB WORD…: end here, before anything is set up, if the words are not those that the verb takes.
check() {
    case $1 in
    logs) [ "${2:--f}" = -f ] || wrong_call "unknown argument: $2" ;;
    start | stop | status | backup) [ "$#" -eq 1 ] || wrong_call "unknown argument: $2" ;;
    restore) [ "$#" -ge 2 ] || wrong_call "restore needs FILE" ;;
    import) [ "$#" -ge 3 ] || wrong_call "import needs NAME FILE" ;;
    new) case " $* " in *" --labels"*) [ "$#" -ge 3 ] || wrong_call "new needs NAME" ;; *) wrong_call "new needs NAME --labels a,b" ;; esac ;;
    *) [ "$#" -ge 2 ] || wrong_call "$1 needs NAME" ;;
    esac
}

_main() {
    cd "$(dirname "$0")"
    . scripts/setup.sh
    . scripts/docker.sh
    . scripts/image.sh
    . scripts/training.sh
    . scripts/stack.sh
    . scripts/annotating.sh
    . scripts/labels.sh
    state=coco-annotator/.annotator service=${SERVICE:-http://127.0.0.1:8892} verb=${1:-start}
    port=${ANNOTATOR_PORT:-$(cat "$state/port" 2>/dev/null || say 8890)} # where it was started last
    case $verb in
    -h | --help) usage; exit 0 ;;
    start | stop | status | logs | backup | restore | new | scan | export | import | propose | assist | changed) ;;
    *) wrong_call "unknown argument: $1" ;;
    esac
    case $port in '' | *[!0-9]*) wrong_call "ANNOTATOR_PORT is '$port', expected a number" ;; esac
    [ "$#" -eq 0 ] || shift
    check "$verb" "$@"
    choose_tool
    case $verb in
    new | scan | export | import | assist | changed) ask "$verb" "$@" ;;
    propose) propose_labels "$@" ;;
    *) "$verb" "$@" ;;
    esac
}

_main "$@"

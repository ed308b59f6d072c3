#!/bin/sh
# What server.sh runs: serve one version on one port, exchange it for another, look at it, stop it.
set -eu

usage() {
    cat <<'TEXT'
usage: sh server.sh [start | deploy NAME | rollback | stop | status | logs [-f]] [--service_version NAME] [--port N]

  start     serve the version (default v_1) on the port (default 8892); exchanges another version served there
  deploy    the same for the version NAME: it is started beside the one that serves, tried on its samples, and takes
            over without a dropped request; if it is bad, the old one goes on
  rollback  serve the version before the last deploy again
  stop      stop what is served there, once it has answered what it accepted
  status    what is served there; exit 0 if it answers, 3 if nothing does
  logs      its log; -f to follow it
TEXT
}

wrong_call() {
    printf 'error: %s\n' "$1" >&2
    usage >&2
    exit 2
}

start() {
    bento="deploy/KerasSegmentationService/segment/$version"
    [ -f "$bento/bento.yaml" ] || fail "there is no version $version in deploy/ ($(deployed))" \
        "train it first (model_name=$version sh trainer.sh), or name one that is there: service_version=NAME"
    require_curl
    serving_env
    if is_running; then
        if [ "$(served_now)" = "$(wanted)" ] && is_ready; then
            say "version $version is served already: http://127.0.0.1:$port/ (process $(cat "$state/pid"))"
            return
        fi
        exchange deploy "$version"
    else
        wait_free_port
        launch
        say "version $version is served: http://127.0.0.1:$port/   (log: $state/log)"
    fi
    say "  ask it:   curl -X POST http://127.0.0.1:$port/predict -F image=@sample_image.png"
    say "  stop it:  $([ "$port" = 8892 ] || printf 'PORT=%s ' "$port")sh server.sh stop"
}

# Workers whose supervisor was killed still answer what they accepted; anybody else's port stays theirs.
wait_free_port() {
    tries=0
    until owner=$("$server" scripts/port_owner.py "$port"); do
        [ "$((tries += 1))" -lt 40 ] && [ "${owner#*ss_poc.keras_segment}" != "$owner" ] ||
            fail "port $port is taken by $owner" "stop that program, or serve elsewhere: PORT=8893 sh server.sh"
        sleep 0.5
    done
}

_main() {
    # By its own path, not the caller's directory.
    cd "$(dirname "$0")/.."
    . scripts/setup.sh
    . scripts/server_process.sh
    verb=start follow='' version=${service_version:-v_1} port=${PORT:-8892}
    while [ "$#" -gt 0 ]; do
        case $1 in
        start | stop | status | logs | rollback) verb=$1 ;;
        deploy)
            [ "$#" -gt 1 ] || wrong_call "deploy needs the name of a version ($(deployed))"
            verb=start version=$2
            shift
            ;;
        -f) follow=-f ;;
        --service_version=* | --port=*) set_option "${1%%=*}" "${1#*=}" ;;
        --service_version | --port)
            [ "$#" -gt 1 ] || wrong_call "$1 needs a value"
            set_option "$1" "$2"
            shift
            ;;
        -h | --help) usage; exit 0 ;;
        *) wrong_call "unknown argument: $1" ;;
        esac
        shift
    done
    check_options
    state="deploy/.server/$port" server="$(pwd)/.venv-serve/bin/python"
    "$verb"
}

set_option() {
    case $1 in
    --service_version) version=$2 ;;
    --port) port=$2 ;;
    esac
}

check_options() {
    case $port in '' | *[!0-9]*) wrong_call "port is '$port', expected a number" ;; esac
    case $version in '' | *[!A-Za-z0-9._-]* | .*) wrong_call "service_version is '$version', expected a name such as v_1" ;; esac
}

_main "$@"

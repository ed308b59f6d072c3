#!/bin/sh
# What server.sh runs: serve one version on one port, exchange it for another, look at it, stop it, carry it elsewhere.
set -eu

usage() {
    cat <<'TEXT'
usage: sh server.sh [start | deploy NAME | rollback | stop | status | logs [-f]] [--service_version NAME] [--port N]
       sh server.sh bundle NAME | load FILE

  start     serve the version (default v_1) on the port (default 8892); it replaces another version on this port
  deploy    serve the version NAME: it starts beside the old version, is checked on its samples, and takes over without
            a dropped request; if the check fails, the old version goes on
  rollback  serve the version before the last deploy again
  stop      stop the service after it has answered all requests that it accepted
  status    show what is served on the port; exit 0 if it answers, 3 if nothing does
  logs      show the log of the service; -f follows it
  bundle    write the image of a version and its checksum into files, for a host without internet
  load      check a file that bundle wrote, load it, and serve its version; OVERWRITE=yes replaces a version of the same
            name of another data set
MODE=docker runs it in a container, MODE=native without one. MODE=auto, the default, uses Docker if an engine answers.
TEXT
}

start() {
    require_curl
    prepare
    if is_running; then
        if [ "$(served_now)" = "$(wanted)" ] && is_ready; then
            say "version $version is served already: http://127.0.0.1:$port/ ($(owner))"
            return
        fi
        exchange deploy "$version"
    else
        launch
        wanted >"$state/version"
        say "version $version is served: http://127.0.0.1:$port/   (log: sh server.sh logs)"
    fi
    say "  ask it:   curl -X POST http://127.0.0.1:$port/predict -F image=@sample_image.png"
    say "  stop it:  $([ "$port" = 8892 ] || printf 'PORT=%s ' "$port")sh server.sh stop"
}

read_arguments() {
    verb=start follow='' version=${service_version:-v_1} port=${PORT:-8892} file=''
    while [ "$#" -gt 0 ]; do
        case $1 in
        start | stop | status | logs | rollback) verb=$1 ;;
        deploy | bundle | load)
            [ "$#" -gt 1 ] || wrong_call "$1 needs a name (deploy, bundle: of a version, $(deployed); load: of a file)"
            case $1 in deploy) verb=start version=$2 ;; bundle) verb=$1 version=$2 ;; load) verb=$1 file=$2 ;; esac
            shift
            ;;
        -f) follow=-f ;;
        --service_version=*) version=${1#*=} ;;
        --port=*) port=${1#*=} ;;
        --service_version | --port)
            [ "$#" -gt 1 ] || wrong_call "$1 needs a value"
            if [ "$1" = --port ]; then port=$2; else version=$2; fi
            shift
            ;;
        -h | --help) usage; exit 0 ;;
        *) wrong_call "unknown argument: $1" ;;
        esac
        shift
    done
    case $port in '' | *[!0-9]*) wrong_call "port is '$port', expected a number" ;; esac
    case $version in '' | *[!A-Za-z0-9._-]* | .*) wrong_call "service_version is '$version', expected a name such as v_1" ;; esac
}

_main() {
    # By its own path, not the caller's directory.
    cd "$(dirname "$0")/.."
    . scripts/setup.sh
    . scripts/docker.sh
    . scripts/image.sh
    . scripts/served.sh
    . scripts/bento.sh
    read_arguments "$@"
    bento="deploy/KerasSegmentationService/segment/$version" state="deploy/.server/$port"
    server_mode
    if [ "$mode" = docker ]; then . scripts/server_container.sh && . scripts/bundle.sh; else . scripts/server_process.sh; fi
    "$verb"
}

_main "$@"

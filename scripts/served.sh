# shellcheck shell=sh disable=SC2034,SC2154  # serve.sh, which sources this, sets state, port, version, bento, verb; uses mode
# What serving has in common, whether a process or a container does it. Sourced by serve.sh.

deployed() {
    found=$(cd deploy/KerasSegmentationService/segment 2>/dev/null && ls) || found=
    if [ -n "$found" ]; then printf 'there: %s' "$(printf '%s' "$found" | tr '\n' ' ')"; else printf 'none is there'; fi
}

require_version() {
    [ -f "$bento/bento.yaml" ] || fail "there is no version $version in deploy/ ($(deployed))" \
        "train it first (model_name=$version sh trainer.sh), or name one that is there: service_version=NAME"
}

# What is served goes on as it is served: only where nothing is, MODE decides.
server_mode() {
    case $verb in
    bundle) mode=docker && require_version && require_docker "$verb" ;;
    load) mode=docker && require_docker "$verb" ;;
    *)
        [ "$verb" != start ] || require_version
        mode=native
        . scripts/server_process.sh
        if ! is_running; then
            if container_exists; then mode=docker
            elif [ "$verb" = start ]; then choose_mode "ss-poc-serve:$version"; fi
        fi
        ;;
    esac
}

container_exists() { command -v docker >/dev/null 2>&1 && timeout 20 docker inspect "ss-poc-$port" >/dev/null 2>&1; }

is_ready() { curl -sf -m 2 -o /dev/null "http://127.0.0.1:$port/readyz"; }

# Name and checksum of the version that is wanted, and of the one that is served.
wanted() { printf '%s %s' "$version" "$(cksum <"$bento/bento.yaml")"; }
served_now() { cat "$state/version" 2>/dev/null || true; }

exchange() { # deploy NAME | rollback
    [ "$1" = rollback ] || say "starting version $version beside the one that serves"
    before_exchange
    ask "$@" || fail "nothing was exchanged: $(ask status | head -n 1)" "read the lines above"
    version=$(ask status | sed -n 's/^version \([^ ]*\) .*/\1/p')
    bento="deploy/KerasSegmentationService/segment/$version"
    wanted >"$state/version"
}

rollback() {
    is_running || fail "nothing is served on port $port" "start it first: sh server.sh"
    exchange rollback
}

status() {
    if is_running && is_ready; then
        say "http://127.0.0.1:$port/ ($(owner))"
        ask status
        name=$(curl -sf -m 2 "http://127.0.0.1:$port/readyz" | sed -n 's/.*"name": *"\([^"]*\)".*/\1/p')
        [ -z "$name" ] || say "data set: $name" # models packaged earlier do not tell
    elif is_running; then
        say "$(owner) runs on port $port but does not answer"
        exit 3
    else
        say "nothing is served on port $port ($(deployed))"
        exit 3
    fi
}

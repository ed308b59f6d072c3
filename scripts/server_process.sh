# shellcheck shell=sh disable=SC2154  # serve.sh, which sources this, sets state, port, version, bento, server, follow
# The process that serves (scripts/supervisor.py): start, ask, stop, look.

deployed() {
    found=$(cd deploy/KerasSegmentationService/segment 2>/dev/null && ls) || found=
    if [ -n "$found" ]; then printf 'there: %s' "$(printf '%s' "$found" | tr '\n' ' ')"; else printf 'none is there'; fi
}

command_of() {
    if [ -r "/proc/$1/cmdline" ]; then tr '\0' ' ' <"/proc/$1/cmdline"; else ps -o args= -p "$1" 2>/dev/null || true; fi
}

# A pid file outlives a crash and a reboot, so the process must also look like ours.
is_running() {
    [ -s "$state/pid" ] || return 1
    case $(command_of "$(cat "$state/pid")") in
    *supervisor.py*"$state"*) return 0 ;;
    *) return 1 ;;
    esac
}

is_ready() { curl -sf -m 2 -o /dev/null "http://127.0.0.1:$port/readyz"; }
ask() { "$server" scripts/supervisor.py ask "$state" "$@"; }

# Name and checksum of the version that is wanted, and of the one that is served.
wanted() { printf '%s %s' "$version" "$(cksum <"$bento/bento.yaml")"; }
served_now() { cat "$state/version" 2>/dev/null || true; }

launch() {
    mkdir -p "$state"
    # What fell over (a reboot, kill -9) had a version before it: rollback still knows it.
    previous=$(sed -n 's/.*"previous": "\([^"]*\)".*/\1/p' "$state/served.json" 2>/dev/null || true)
    SS_POC_COLLECT_PATH="${SS_POC_COLLECT_PATH:-$(pwd)/coco-annotator/datasets/collected}" \
        nohup setsid "$server" scripts/supervisor.py run "$state" --host "${HOST:-0.0.0.0}" --port "$port" \
        --python "$server" --version "$version" --previous "$previous" >"$state/start.log" 2>&1 </dev/null &
    starting=$!
    printf 'starting version %s on port %s ' "$version" "$port" && tries=0
    until [ "$(cat "$state/pid" 2>/dev/null || true)" = "$starting" ] && is_ready; do
        tries=$((tries + 1))
        kill -0 "$starting" 2>/dev/null || {
            say " it did not start"
            cat "$state/start.log" >&2
            fail "version $version is not served (log: $state/log)" \
                "read the lines above; package it again: sh trainer.sh --model_name $version --reuse"
        }
        [ $((tries % 10)) -ne 0 ] || printf .
        sleep 0.1
    done
    say " ready"
    wanted >"$state/version"
}

exchange() { # deploy NAME | rollback
    [ "$1" = rollback ] || say "starting version $version beside the one that serves"
    ask "$@" || fail "nothing was exchanged: $(ask status | head -n 1)" "read the lines above"
    version=$(ask status | sed -n 's/^version \([^ ]*\) .*/\1/p')
    bento="deploy/KerasSegmentationService/segment/$version"
    wanted >"$state/version"
}

rollback() {
    is_running || fail "nothing is served on port $port" "start it first: sh server.sh"
    exchange rollback
}

stop() {
    if ! is_running; then
        rm -f "$state/pid"
        say "nothing is served on port $port"
        return
    fi
    pid=$(cat "$state/pid") waited=0
    kill -TERM "$pid"
    # Running requests are answered first; then the whole process group must be gone.
    while kill -0 "-$pid" 2>/dev/null; do
        if [ "$waited" -ge 160 ]; then kill -KILL "-$pid" 2>/dev/null || true; fi
        waited=$((waited + 1)) && sleep 0.5
    done
    rm -f "$state/pid"
    say "stopped what was served on port $port"
}

status() {
    if is_running && is_ready; then
        say "http://127.0.0.1:$port/ (process $(cat "$state/pid"))"
        ask status
    elif is_running; then
        say "process $(cat "$state/pid") runs on port $port but does not answer"
        exit 3
    else
        say "nothing is served on port $port ($(deployed))"
        exit 3
    fi
}

logs() {
    [ -f "$state/log" ] || fail "there is no log for port $port" "start it first: sh server.sh"
    tail -n 200 ${follow:+"$follow"} "$state/log"
}

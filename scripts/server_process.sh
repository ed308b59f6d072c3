# shellcheck shell=sh
# shellcheck disable=SC2154  # serve.sh, which sources this, sets state, port, version, bento, server, follow
# The process that serves: start, stop, look.

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
    *bentoml*serve*"--port $port"*) return 0 ;;
    *) return 1 ;;
    esac
}

# The socket listens before the service answers: without a limit a probe would hang.
is_ready() { curl -sf -m 2 -o /dev/null "http://127.0.0.1:$port/readyz"; }

launch() {
    mkdir -p "$state"
    # A home of its own: BentoML wipes the metrics folder of its home at each start.
    BENTOML_HOME="$(pwd)/$state/home" BENTOML_DO_NOT_TRACK=true \
        nohup setsid "$server" -m bentoml serve "$(pwd)/$bento" --host "${HOST:-0.0.0.0}" --port "$port" \
        --timeout-graceful-shutdown 30 >"$state/log" 2>&1 </dev/null &
    printf '%s\n' "$!" >"$state/pid"
    printf '%s\n' "$version $(cksum <"$bento/bento.yaml")" >"$state/version"
}

wait_ready() {
    printf 'starting version %s on port %s ' "$version" "$port"
    tries=0
    until is_ready; do
        tries=$((tries + 1))
        if ! kill -0 "$(cat "$state/pid")" 2>/dev/null || [ "$tries" -gt 240 ]; then
            say " it did not start"
            tail -n 20 "$state/log" >&2
            stop >/dev/null
            fail "version $version could not be started (log: $state/log)" "read the lines above"
        fi
        [ $((tries % 4)) -ne 0 ] || printf .
        sleep 0.25
    done
    say " ready"
}

stop() {
    if ! is_running; then
        rm -f "$state/pid"
        say "nothing is served on port $port"
        return
    fi
    pid=$(cat "$state/pid")
    kill -TERM "$pid"
    waited=0
    # Running requests are answered first; then the whole process group must be gone.
    while kill -0 "-$pid" 2>/dev/null; do
        if [ "$waited" -ge 70 ]; then kill -KILL "-$pid" 2>/dev/null || true; fi
        waited=$((waited + 1))
        sleep 0.5
    done
    rm -f "$state/pid"
    say "stopped what was served on port $port"
}

status() {
    if is_running && is_ready; then
        say "version $(cut -d' ' -f1 "$state/version") is served: http://127.0.0.1:$port/ (process $(cat "$state/pid"))"
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

# shellcheck shell=sh disable=SC2154  # serve.sh, which sources this, sets state, port, version, follow
# The process that serves (supervisor.py): start, ask, stop, look. server_container.sh has the same words.
server="$(pwd)/.venv-serve/bin/python" supervisor=src/ss_poc/serving/supervisor.py

ask() { "$server" "$supervisor" ask "$state" "$@"; }
owner() { say "process $(cat "$state/pid")"; }
before_exchange() { :; }

prepare() {
    serving_env
    is_running || wait_free_port
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

# Workers whose supervisor was killed still answer what they accepted; anybody else's port stays theirs.
wait_free_port() {
    tries=0
    until owner=$("$server" scripts/port_owner.py "$port"); do
        [ "$((tries += 1))" -lt 40 ] && [ "${owner#*ss_poc.keras_segment}" != "$owner" ] ||
            fail "port $port is taken by $owner" "stop that program, or serve elsewhere: PORT=8893 sh server.sh"
        sleep 0.5
    done
}

launch() {
    mkdir -p "$state"
    # What fell over (a reboot, kill -9) had a version before it: rollback still knows it.
    host=$(listen_on SERVER_HOST "${SERVER_HOST:-}" 0.0.0.0)
    previous=$(sed -n 's/.*"previous": "\([^"]*\)".*/\1/p' "$state/served.json" 2>/dev/null || true)
    SS_POC_COLLECT_PATH="${SS_POC_COLLECT_PATH:-$(pwd)/coco-annotator/datasets/collected}" \
        SS_POC_LABEL_STUDIO_FILES="${SS_POC_LABEL_STUDIO_FILES:-$(pwd)/coco-annotator/datasets}" \
        nohup setsid "$server" "$supervisor" run "$state" --host "$host" --port "$port" \
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
}

stop() {
    if ! is_running; then
        rm -f "$state/pid"
        say "nothing is served on port $port"
        return
    fi
    end_group "$(cat "$state/pid")" 80 # running requests are answered first
    rm -f "$state/pid"
    say "stopped what was served on port $port"
}

logs() {
    [ -f "$state/log" ] || fail "there is no log for port $port" "start it first: sh server.sh"
    tail -n 200 ${follow:+"$follow"} "$state/log"
}

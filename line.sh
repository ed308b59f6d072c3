#!/bin/sh
# Photographs come by themselves, answers go where the line listens:  sh line.sh start line.yaml
set -eu

usage() {
    cat <<'TEXT'
usage: sh line.sh start FILE | check FILE | stop [FILE] | status [FILE] | logs [-f] [FILE] | demo

  start     check the yaml, then run its line in the background; without FILE the one that was started last
  check     say all that is wrong with the yaml, each error with its line; nothing is started
  stop      end the line: what was asked is archived, the rest is taken up at the next start
  status    show what the line has done and what is wrong; exit 0 if it runs, 3 if not
  logs      show the log of the line; -f follows it
  demo      play the demo photographs as a line, against the service on port 8892; needs no hardware

Secrets of the yaml (${NAME}) come from the environment that start has. docs/line.md shows the yaml.
TEXT
}

line_python() { PYTHONPATH=src .venv-line/bin/python -m ss_poc.line "$@"; }

is_running() { runs_as "$state/pid" ss_poc.line; }

start() {
    line_python check "$yaml"
    if is_running; then say "it runs already (process $(cat "$state/pid"))"; return; fi
    mkdir -p "$state" .line && rm -f "$state/status.json"
    PYTHONPATH=src nohup setsid .venv-line/bin/python -m ss_poc.line run "$yaml" >>"$state/log" 2>&1 </dev/null &
    starting=$! tries=0
    until is_running && [ -s "$state/status.json" ]; do
        kill -0 "$starting" 2>/dev/null || { tail -n 15 "$state/log" >&2 && fail "the line did not start" "read the lines above ($state/log)"; }
        [ "$((tries += 1))" -lt 600 ] || fail "the line does not say that it runs" "sh line.sh logs"
        sleep 0.1
    done
    say "$yaml" >.line/latest
    say "the line runs (process $(cat "$state/pid"))   log: sh line.sh logs   end it: sh line.sh stop"
}

stop() {
    if ! is_running; then say "no line runs with $yaml"; return; fi
    end_group "$(cat "$state/pid")" 60
    rm -f "$state/pid"
    say "stopped"
}

status() {
    if ! is_running; then say "no line runs with $yaml" && exit 3; fi
    cat "$state/status.json"
}

logs() { tail -n 200 ${follow:+"$follow"} "$state/log"; }

_main() {
    yaml='' verb='' follow=''
    for word; do
        case $word in
        -h | --help) usage; exit 0 ;;
        -f) follow=-f ;;
        -*) wrong="unknown argument: $word" ;;
        *) if [ -z "$verb" ]; then verb=$word; elif [ -z "$yaml" ]; then yaml=$word; else wrong="unknown argument: $word"; fi ;;
        esac
    done
    case $yaml in '' | /*) ;; *) yaml=$(pwd)/$yaml ;; esac
    cd "$(dirname "$0")"
    . scripts/setup.sh
    . scripts/line_demo.sh
    [ -z "${wrong:-}" ] || wrong_call "$wrong"
    case $verb in start | check | stop | status | logs | demo) ;; *) wrong_call "expected start, check, stop, status, logs or demo" ;; esac
    [ "$verb" = logs ] || [ -z "$follow" ] || wrong_call "unknown argument: -f"
    yaml=${yaml:-$(cat .line/latest 2>/dev/null || true)}
    [ "$verb" = demo ] || [ -n "$yaml" ] || wrong_call "$verb needs the yaml of a line"
    require_curl
    line_env
    case $verb in
    check) line_python check "$yaml" ;;
    demo) demo ;;
    *) state=$(line_python state "$yaml") || exit 2; "$verb" ;;
    esac
}

_main "$@"

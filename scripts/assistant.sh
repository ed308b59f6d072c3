# shellcheck shell=sh disable=SC2154  # annotator.sh sets state, service; annotator_studio.sh sets annotate
# What answers clicks in Label Studio while no model is served. Sourced by annotator_studio.sh.
clicks_port=${CLICKS_PORT:-8894} clicks=http://127.0.0.1:${CLICKS_PORT:-8894}

# By ours: another project's does not know the photographs of this one.
clicks_answered() { runs_as "$state/clicks.pid" ss_poc.assistant && curl -sf -m 2 -o /dev/null "$clicks/label-studio/health"; }

# It begins beside Label Studio; where it cannot, people label without it.
clicks_up() {
    if serves || clicks_answered; then return 0; fi
    if ! owner=$("$annotate" scripts/port_owner.py "$clicks_port"); then
        say "clicks are not answered: port $clicks_port is taken by $owner (CLICKS_PORT=8895 sh annotator.sh)" && return 0
    fi
    (
        files=$(pwd)/coco-annotator/datasets
        export SS_POC_LABEL_STUDIO_URL="http://127.0.0.1:$port" SS_POC_LABEL_STUDIO_TOKEN="$ANNOTATOR_TOKEN" \
            SS_POC_LABEL_STUDIO_FILES="$files" PYTHONPATH=src
        exec nohup setsid "$annotate" -m ss_poc.assistant --port "$clicks_port" >>"$state/clicks.log" 2>&1 </dev/null
    ) &
    echo "$!" >"$state/clicks.pid"
    tries=0
    until clicks_answered; do
        kill -0 "$(cat "$state/clicks.pid")" 2>/dev/null && [ "$((tries += 1))" -lt 60 ] ||
            { say "clicks are not answered: read $state/clicks.log" && return 0; }
        sleep 0.5
    done
    say "clicks:    a region for each click, on $clicks (until a model is served: sh annotator.sh assist NAME)"
}

clicks_down() {
    if runs_as "$state/clicks.pid" ss_poc.assistant; then end_group "$(cat "$state/clicks.pid")" 5; fi
    rm -f "$state/clicks.pid"
}
